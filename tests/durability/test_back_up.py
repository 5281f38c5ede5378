"""docs/how-to/back-up.md, carried out: while it runs, and copied while stopped."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import product as kit
import pytest
from counting_server import CountingServer
from whole import COUNTER, Whole, Witness, read_log, wait_until

from penstock.historian import Historian, HistorianSettings
from penstock.historian.query import raw
from penstock.world import SystemDisk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "back-up.md"
PASSWORD = "a sentence that is easy to keep"


def sign_in(product: Whole, password: str) -> int:
    """Status of a login by the plain HTTP door."""
    assert product.running is not None
    host, _, port = product.running.http.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    try:
        body = json.dumps({"name": "ada", "password": password})
        headers = {"Content-Type": "application/json", "Origin": f"http://{host}:{port}"}
        connection.request("POST", "/api/v1/session", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def key_folder(product: Whole) -> Path:
    """As the page says: data/FORMAT names it."""
    name = json.loads((product.home / "data" / "FORMAT").read_text())["keys"]
    return product.folder / "user" / ".config" / "penstock" / "keys" / str(name)


def test_a_cold_backup_restores_samples_users_and_alarms(
    whole: Callable[..., Whole], server: CountingServer, tmp_path: Path
) -> None:
    for name in ("before", "backup", "after"):
        (tmp_path / name).mkdir(mode=0o700)
    product = whole(tmp_path / "before")
    product.start()
    assert product.running is not None
    product.running.add_user("ada", PASSWORD)
    product.wait_flowing()
    server.wait_answers(60)
    wait_until(product.journal, "an alarm is in the journal")
    to_ns = time.time_ns()
    server.wait_answers(15)
    product.wait_flowing()
    samples, alarms = product.history(COUNTER, to_ns), product.journal()
    assert 0 == product.stop()
    assert key_folder(product).is_dir()
    shutil.copytree(product.home, tmp_path / "backup" / "home")
    shutil.copytree(key_folder(product), tmp_path / "backup" / "keys")
    shutil.rmtree(tmp_path / "before")

    shutil.copytree(tmp_path / "backup" / "home", tmp_path / "after" / "home")
    restored = whole(tmp_path / "after")
    shutil.copytree(tmp_path / "backup" / "keys", key_folder(restored))
    restored.start()

    assert restored.running is not None
    assert "" == restored.running.setup_link
    assert 200 == sign_in(restored, PASSWORD)
    assert 401 == sign_in(restored, PASSWORD + "!")
    wait_until(restored.points, "the plant is applied")
    assert len(samples) > 60
    assert samples == restored.history(COUNTER, to_ns)
    assert alarms == restored.journal()[: len(alarms)]
    server.wait_answers(20)
    assert restored.get("/system")["audit"]["unbroken"]
    assert 0 == restored.stop()


def hot_backup(product: Whole, place: Path, *options: str) -> dict[str, object]:
    assert product.running is not None
    done = product.running.cli("backup", str(place), "--json", "--mb-per-s", "0", *options)
    assert 0 == done.returncode, done.stderr
    assert "has not noted" not in done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def restore_cli(product: Whole, place: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """In the environment of another user on another machine."""
    command = [*kit.PENSTOCK, "restore", str(place), "--home", str(product.home), *options]
    return subprocess.run(
        command,
        env=product.environment,
        input="four words of mine\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_backup_of_a_running_plant_is_restored_elsewhere_and_runs_on(
    whole: Callable[..., Whole], server: CountingServer, tmp_path: Path
) -> None:
    """Taken under load, in two steps; the original is killed; nothing up to its word is missing."""
    for name in ("before", "after"):
        (tmp_path / name).mkdir(mode=0o700)
    product = whole(tmp_path / "before", settings="\n[historian]\nflush_age_s = 1\n")
    product.start()
    assert product.running is not None
    product.running.add_user("ada", PASSWORD)
    product.wait_flowing()
    wait_until(product.journal, "an alarm is in the journal")
    first = hot_backup(product, tmp_path / "first")
    server.wait_answers(40)
    product.wait_flowing()
    witness = Witness(product.home)
    options = ("--base", str(tmp_path / "first"), "--with-keys", "--passphrase-stdin", "--verify")
    done = product.running.cli(
        "backup", str(tmp_path / "second"), "--json", *options, text="four words of mine\n"
    )
    assert 0 == done.returncode, done.stderr
    second = json.loads(done.stdout)
    assert int(str(first["sequence"])) < int(second["sequence"])
    assert second["sequence"] == product.get("/backups")["last"]["sequence"]
    witness.note()
    server.wait_answers(40)
    product.kill_tree()
    history = stored_by(product.home)

    restored = whole(tmp_path / "after")
    shutil.rmtree(restored.home)
    assert 0 == restore_cli(restored, tmp_path / "second", "--passphrase-stdin").returncode
    copied = stored_by(restored.home)
    inside = {number for number in witness.seen if number <= int(second["sequence"])}
    log = Witness(restored.home)
    log.note()
    assert log.seen == {number: witness.seen[number] for number in inside if number in log.seen}
    assert max(log.seen) == int(second["sequence"])
    assert copied == history[: len(copied)]
    assert len(copied) > 20

    restored.start()
    assert restored.running is not None
    assert 200 == sign_in(restored, PASSWORD)
    restored.wait_flowing()
    assert restored.get("/system")["audit"]["unbroken"]
    assert restored.get("/system")["log"]["incarnation"] > 100_000
    assert 0 == restored.stop()


def stored_by(home: Path) -> list[int]:
    """Numbers of the counter that a node which is off would show, oldest first."""
    found = read_log(home, 2**63 - 1).samples.get(COUNTER, [])
    historian = Historian.open(SystemDisk(), home / "data" / "segments", HistorianSettings())
    historian.resume(historian.position[1])
    handle = handle_of(home, COUNTER)
    rows, _ = raw(historian.pin([handle]), handle, 0, 2**62, 100_000)
    flushed = dict(zip(rows.time_ns.tolist(), rows.value.tolist(), strict=True))  # type: ignore[union-attr]
    everything = flushed | {item.time_ns: item.value for item in found}
    return [value for _, value in sorted(everything.items())]


def handle_of(home: Path, path: str) -> int:
    with closing(sqlite3.connect(home / "data" / "state.db")) as connection:
        query = "SELECT handle FROM points WHERE path = ?"
        return int(connection.execute(query, (path,)).fetchone()[0])


@pytest.mark.long
def test_data_without_its_keys_is_refused_with_a_sentence(
    whole: Callable[..., Whole], tmp_path: Path
) -> None:
    """Nothing is made anew in silence; the page says what to copy."""
    product = whole()
    product.start()
    assert 0 == product.stop()
    shutil.rmtree(key_folder(product))
    log = tmp_path / "up.txt"
    with pytest.raises(pytest.fail.Exception):
        product.start()
    said = log.read_text()
    assert "belongs to keys that are not in" in said
    assert "Traceback" not in said


def test_the_page_names_what_the_test_copies() -> None:
    text = PAGE.read_text("utf-8")
    for word in ("data/FORMAT", "~/.config/penstock/keys", "/etc/penstock/keys", "penstock up"):
        assert word in text
    assert re.search(r"[Ss]top", text)
