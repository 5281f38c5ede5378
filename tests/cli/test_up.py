"""Starts that must not happen, each with its sentence; and what the three lines say."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from penstock.cli.up import first_line
from penstock.node.home import Home, lock

pytestmark = pytest.mark.slow

ANY_PORT = ("--http", "127.0.0.1:0", "--https", "127.0.0.1:0")
LINK = "http://127.0.0.1:8080/setup#token=abc"


@pytest.fixture
def busy_port():
    """A port that somebody else has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_every_mistake_is_listed_before_anything_starts(run, plant: Path) -> None:
    (plant / "penstock.toml").write_text('[plant]\nzone = "Mars/Base"\n[server]\nhttp = "x"\n')
    connector = plant / "plant" / "connectors" / "line1.toml"
    connector.write_text(connector.read_text() + "colour = 3\n")
    (plant / "plant" / "rules" / "bad.toml").write_text('[[rules]]\nname = "no more"\n')

    done = run("up", "--home", str(plant), *ANY_PORT)

    assert 2 == done.returncode
    for word in ("zone", "colour", "rules/bad.toml", "before Penstock starts"):
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not (plant / "logs" / "penstock.log").exists()


def test_a_held_home_names_the_holder(run, plant: Path) -> None:
    held = lock(Home(plant))
    assert held is not None
    done = run("up", "--home", str(plant), *ANY_PORT)

    assert 1 == done.returncode
    assert "is in use by process" in done.stderr


@pytest.mark.parametrize("address", ["8080", "localhost", "127.0.0.1:99999", "127.0.0.1:http"])
def test_a_word_that_is_no_address_is_wrong_usage(address: str, run, plant: Path) -> None:
    done = run("up", "--home", str(plant), "--http", address)

    assert 2 == done.returncode
    assert address in done.stderr


def test_a_busy_web_port_is_one_sentence_with_the_remedy(run, plant: Path, busy_port: int) -> None:
    done = run("up", "--home", str(plant), "--http", f"127.0.0.1:{busy_port}", "--https", "")

    assert 2 == done.returncode
    assert f"127.0.0.1:{busy_port} cannot be used" in done.stderr
    assert "ss -ltnp" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_busy_simulator_port_is_said_before_the_start(run, tmp_path, busy_port: int) -> None:
    """The demonstration plant is there by then, with the port asked for."""
    home = tmp_path / "demo"
    port = str(busy_port)
    done = run("up", "--demo", "--home", str(home), *ANY_PORT, PENSTOCK_SIMULATOR_PORT=port)

    assert 1 == done.returncode
    assert f"Port {port} of the simulated plant is in use" in done.stderr
    assert f"port = {port}" in (home / "plant/connectors/lakeside.toml").read_text()
    assert not (home / "logs" / "penstock.log").exists()


def test_a_demo_never_touches_a_plant_that_is_there(run, plant: Path, busy_port: int) -> None:
    before = sorted(path.relative_to(plant / "plant") for path in (plant / "plant").rglob("*"))
    run("up", "--demo", "--home", str(plant), "--http", f"127.0.0.1:{busy_port}", "--https", "")

    after = sorted(path.relative_to(plant / "plant") for path in (plant / "plant").rglob("*"))
    assert before == after


def test_folders_are_closed_to_others(run, plant: Path, busy_port: int) -> None:
    run("up", "--home", str(plant), "--http", f"127.0.0.1:{busy_port}", "--https", "")

    assert 0o700 == stat.S_IMODE((plant / "data").stat().st_mode)
    assert 0o700 == stat.S_IMODE((plant / "logs").stat().st_mode)


def test_data_without_its_keys_is_not_given_new_ones(run, plant: Path, home: Path) -> None:
    text = "correct horse battery staple"
    made = run("user", "add", "ada", "--role", "viewer", "--password-stdin", "--home", str(plant),
               text=text)  # fmt: skip
    assert 0 == made.returncode, made.stderr
    (home / ".config" / "penstock").rename(home / "elsewhere")

    done = run("up", "--home", str(plant), *ANY_PORT)

    assert 2 == done.returncode
    assert "belongs to keys that are not in" in done.stderr


# --- the first line


def test_the_link_stands_in_the_first_line() -> None:
    facts = {"http": "127.0.0.1:8080", "https": None, "setup_link": LINK}

    assert LINK in first_line(facts, {"DISPLAY": ":0"}, "ada")
    assert "ssh" not in first_line(facts, {"DISPLAY": ":0", "SSH_CONNECTION": "a 1 b 2"}, "ada")


def test_a_headless_server_is_told_how_to_be_reached() -> None:
    facts = {"http": "127.0.0.1:8080", "https": None, "setup_link": LINK}
    environment = {"SSH_CONNECTION": "10.0.0.9 50000 10.0.0.7 22"}

    assert "ssh -L 8080:127.0.0.1:8080 ada@10.0.0.7" in first_line(facts, environment, "ada")


def test_without_a_link_the_address_is_told() -> None:
    facts = {"http": None, "https": "0.0.0.0:8443", "setup_link": None}

    assert "Penstock runs at https://0.0.0.0:8443" == first_line(facts, {}, "ada")
