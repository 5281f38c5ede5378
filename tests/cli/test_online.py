"""Verbs against a whole running Penstock with its simulated plant."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from product import PENSTOCK, Product, processes_of, running_product

from penstock.cli.client import Client
from penstock.cli.times import time_text
from penstock.node.home import Home

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SPEED = "Lakeside Water/Intake/P-101/speed"
RUN = "Lakeside Water/Intake/P-101/run-command"
PASSWORD = "correct horse battery staple"
WAIT_S_MAX = 30.0


def wait_until(is_true: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + WAIT_S_MAX
    while not is_true():
        assert time.monotonic() < until, f"waited {WAIT_S_MAX:.0f} s in vain until {what}"
        time.sleep(0.1)


def last(product: Product, path: str) -> dict[str, object]:
    done = product.cli("read", path, "--json")
    assert 0 == done.returncode, done.stderr
    (row,) = json.loads(done.stdout)
    return row


def wait_for_data(product: Product) -> None:
    """Core knows its points only after its first apply."""

    def is_there() -> bool:
        rows = json.loads(product.cli("read", SPEED, "--json").stdout or "[]")
        return ["good"] == [row["quality"] for row in rows]

    wait_until(is_there, "the pump's speed is good")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A Penstock that tests of this file may set up, command and hurt."""
    with running_product(tmp_path_factory.mktemp("own")) as running:
        yield running


# --- looking


def test_up_tells_where_it_runs_in_three_lines(product: Product) -> None:
    lines = (product.home.parent / "up.txt").read_text().splitlines()

    said = [line for line in lines if not line.startswith("Starting")]
    assert 3 == len(said)
    assert f"http://{product.http}/setup#token=" in said[0]
    assert str(product.home) in said[1]
    assert "Ctrl-C" in said[2]


def test_ports_are_those_that_ready_told(product: Product) -> None:
    ports = json.loads(product.cli("ports", "--json").stdout)

    assert product.http == ports["http"]
    assert product.https == ports["https"]


def test_read_shows_a_value_with_unit_quality_and_age(product: Product) -> None:
    wait_for_data(product)
    header, line = product.cli("read", SPEED).stdout.splitlines()

    assert ["POINT", "VALUE", "QUALITY", "AGE"] == header.split()
    assert line.startswith(SPEED)
    assert "%" in line
    assert "good" in line


def test_the_system_page_counts_what_lines_and_node_do(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_data(product)
    monkeypatch.setenv("XDG_RUNTIME_DIR", product.environment["XDG_RUNTIME_DIR"])
    client = Client(Home(product.home))
    wait_until(lambda: bool(client.get("/system")["connections"]), "a heartbeat of field")
    system = client.get("/system")
    counters = system["counters"]
    line = system["connections"][0]["counters"]  # type: ignore[index,call-overload]

    assert {"downlink_batches", "uplink_rows", "alarms_events", "field_crashes"} <= set(counters)  # type: ignore[arg-type]
    assert {"server_requests_refused", "commands_behind_records"} <= set(counters)  # type: ignore[arg-type]
    assert {"polls", "requests", "connects"} <= set(line)  # type: ignore[arg-type]


def test_read_takes_patterns_and_all(product: Product) -> None:
    some = json.loads(product.cli("read", "Lakeside Water/Intake/*", "--json").stdout)
    every = json.loads(product.cli("read", "--all", "--json").stdout)

    assert 1 < len(some) < len(every)
    assert all(str(row["path"]).startswith("Lakeside Water/Intake/") for row in some)


def test_a_wrong_path_is_answered_with_near_ones(product: Product) -> None:
    done = product.cli("read", SPEED.replace("speed", "sped"))

    assert 1 == done.returncode
    assert SPEED in done.stderr


def test_history_as_csv_and_as_rows_agree(product: Product) -> None:
    wait_for_data(product)
    first = last(product, SPEED)["time"]
    wait_until(lambda: first != last(product, SPEED)["time"], "there is a second sample")
    span = ["--from", "1h", "--to", str(last(product, SPEED)["time"])]
    rows = json.loads(product.cli("read", SPEED, *span, "--json").stdout)
    table = list(csv.DictReader(io.StringIO(product.cli("read", SPEED, *span, "--csv").stdout)))

    assert rows
    assert [row["time"] for row in rows] == [line["time"] for line in table]


def test_watch_prints_a_line_a_change(product: Product) -> None:
    wait_for_data(product)
    done = product.cli("watch", "Lakeside Water/Intake/*", "--count", "40", "--json")

    changes = [json.loads(line) for line in done.stdout.splitlines()]
    assert 0 == done.returncode, done.stderr
    assert 40 == len(changes)
    assert all(str(row["path"]).startswith("Lakeside Water/Intake/") for row in changes)


def test_watch_ends_with_0_on_ctrl_c(product: Product) -> None:
    command = [*PENSTOCK, "watch", SPEED, "--home", str(product.home)]
    with subprocess.Popen(
        command, env=product.environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert SPEED in process.stdout.readline()
        process.send_signal(signal.SIGINT)

        assert 0 == process.wait(20)


def test_apply_has_nothing_to_do_after_the_start(product: Product) -> None:
    done = product.cli("apply", "--plan")

    assert 0 == done.returncode, done.stderr
    assert "Nothing to change" in done.stdout


def test_check_and_doctor_work_beside_a_running_penstock(product: Product) -> None:
    assert 0 == product.cli("check").returncode
    done = product.cli("doctor", "--json")

    notices = {row["name"]: row for row in json.loads(done.stdout)["notices"]}
    assert 0 == done.returncode, done.stdout
    assert "answers" in notices["http"]["detail"]
    assert "answers" in notices["https"]["detail"]


def test_a_second_start_says_who_holds_the_home(product: Product) -> None:
    done = product.cli("up", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0")

    assert 1 == done.returncode
    assert f"in use by process {product.process.pid}. " in done.stderr, "who is to be stopped"


# --- changing


def test_a_new_link_voids_the_first(own: Product) -> None:
    done = own.cli("setup-link")

    assert 0 == done.returncode, done.stderr
    assert done.stdout.startswith(f"http://{own.http}/setup#token=")
    assert own.setup_link != done.stdout.strip()


def test_users_come_and_go(own: Product) -> None:
    own.add_user("ada", PASSWORD)
    own.add_user("ben", PASSWORD, "operator")
    short = own.cli("user", "password", "ben", "--password-stdin", text="short")
    fine = own.cli("user", "password", "ben", "--password-stdin", text=PASSWORD + "r")
    removed = own.cli("user", "remove", "ben")

    assert 1 == short.returncode
    assert "12 characters" in short.stderr
    assert 0 == fine.returncode, fine.stderr
    assert 0 == removed.returncode, removed.stderr
    assert ["ada"] == [row["name"] for row in json.loads(own.cli("user", "list", "--json").stdout)]
    assert "done before" in own.cli("setup-link").stderr


def test_a_confirmed_write_is_what_the_device_reads(own: Product) -> None:
    """The home, the simulator and its port are this test's own."""
    wait_for_data(own)
    assert str(own.simulator_port) in (own.home / "plant/connectors/lakeside.toml").read_text()
    before = str(last(own, RUN)["value"])
    wanted = "STOP" if before == "1" else "RUN"

    done = own.cli("write", RUN, wanted, "--reason", "test of the command line", "--yes")

    assert 0 == done.returncode, done.stderr
    assert f"-> {wanted}" in done.stderr
    assert "Confirmed" in done.stdout
    wait_until(lambda: str(last(own, RUN)["value"]) != before, "the new value is read")


def test_a_write_out_of_range_is_refused_with_the_range(own: Product) -> None:
    done = own.cli("write", RUN, "7", "--reason", "test of the command line", "--yes")

    assert 1 == done.returncode
    assert "0" in done.stderr


def test_nobody_is_asked_without_a_terminal(own: Product) -> None:
    assert 2 == own.cli("write", RUN, "RUN", "--reason", "test").returncode


def test_apply_takes_a_new_point_in(own: Product) -> None:
    points = own.home / "plant" / "points"
    points.mkdir()
    (points / "extra.csv").write_text("asset,name,kind\nLakeside Water/Extra,note,text\n")
    plan = own.cli("apply", "--plan")
    done = own.cli("apply")

    assert "+ Lakeside Water/Extra/note" in plan.stdout
    assert "+ Lakeside Water/Extra/note" in done.stdout, done.stderr
    assert 0 == len(json.loads(own.cli("apply", "--plan", "--json").stdout)["added"])


def test_a_wrong_folder_is_refused_with_every_problem(own: Product) -> None:
    path = own.home / "plant" / "points" / "extra.csv"
    right = path.read_text()
    path.write_text(right + ",Lakeside Water/Extra,one,nonsense\n,Lakeside Water/Extra,two,what\n")
    done = own.cli("apply")
    path.write_text(right)

    assert 1 == done.returncode
    assert 3 <= len(done.stderr.splitlines())


@pytest.mark.parametrize("name", ["field", "core"])
def test_a_killed_process_comes_back(name: str, own: Product) -> None:
    old = own.kill(name)
    wait_until(lambda: old not in dict(processes_of(own.home)), "it is gone")
    wait_until(
        lambda: any(f"node.{name}.main" in line for _pid, line in processes_of(own.home)),
        "it is back",
    )
    wait_until(lambda: 0 == own.cli("ports").returncode, "core answers")

    wait_for_data(own)
    assert own.http == json.loads(own.cli("ports", "--json").stdout)["http"]


def test_it_stops_with_0_and_leaves_no_process(own: Product) -> None:
    began = time.monotonic()

    assert 0 == own.stop()
    assert 15 > time.monotonic() - began
    assert [] == processes_of(own.home)


def test_size_shares_out_what_is_on_disk_and_admits_that_it_is_new(product: Product) -> None:
    wait_for_data(product)

    done = product.cli("size", "--by", "connector", "--json")

    assert 0 == done.returncode, done.stderr
    answer = json.loads(done.stdout)
    assert "too_little" == answer["growth"]["state"]
    assert answer["rows"] == sum(item["rows"] for item in answer["kinds"])
    assert "cannot be said yet" in product.cli("size").stdout


def test_a_deletion_asks_for_its_phrase_hides_and_can_be_undone(product: Product) -> None:
    wait_for_data(product)
    order = ("delete", "--path", SPEED, "--from", "1h", "--to", "0s", "--reason", "a test of it")
    assert 1 == product.cli(*order, "--confirm", "yes").returncode

    done = product.cli(*order, "--confirm", f"delete {SPEED}", "--json")

    assert 0 == done.returncode, done.stderr
    hidden = json.loads(done.stdout)
    assert hidden["rows"] > 0
    assert "hidden" in product.cli("delete", "--list").stdout
    end = time_text(int(hidden["to_ns"]))
    left = product.cli("read", SPEED, "--from", "1h", "--to", end, "--csv")
    assert 1 == len(left.stdout.splitlines()), left.stdout
    undone = product.cli("delete", "--undo", hidden["id"])
    assert 0 == undone.returncode, undone.stderr
    again = product.cli("read", SPEED, "--from", "1h", "--to", end, "--csv")
    assert 1 + hidden["rows"] == len(again.stdout.splitlines())
