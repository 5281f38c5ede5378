"""check, doctor and user without a running Penstock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery staple"


def test_check_of_a_right_plant_is_silent_but_for_counts(run, plant: Path) -> None:
    done = run("check", "--home", str(plant))

    assert 0 == done.returncode, done.stdout
    assert "0 errors, 0 warnings" in done.stdout
    assert not (plant / "data").exists()


def test_check_finds_everything_at_once(run, plant: Path) -> None:
    """Settings, connector, point list and rule: one wrong thing each, all in one answer."""
    (plant / "penstock.toml").write_text("[log]\nlinger_ms = -1\n")
    connector = plant / "plant" / "connectors" / "line1.toml"
    connector.write_text(connector.read_text().replace('"127.0.0.1"', "7"))
    connector.with_suffix(".csv").write_text("asset,name,kind\nWorks,x,number of things\n")
    (plant / "plant" / "rules" / "a.toml").write_text("this is no toml")

    done = run("check", "--home", str(plant), "--json")

    answer = json.loads(done.stdout)
    places = " ".join(row["place"] for row in answer["problems"])
    assert 1 == done.returncode
    assert not answer["ok"]
    for place in ("linger_ms", "line1.toml", "line1.csv", "rules/a.toml"):
        assert place in places


def test_a_rule_of_an_unknown_point_is_found(run, plant: Path) -> None:
    (plant / "plant" / "rules" / "a.toml").write_text(
        '[[rules]]\nname = "High"\npoint = "Works/Line 2/speed"\nkind = "limit"\nside = "high"\n'
        'level = 1\ntime_to_respond_s = 60\ncause = "abc"\nconsequence = "abc"\nresponse = "abc"\n'
    )

    assert "There is no point 'Works/Line 2/speed'" in run("check", "--home", str(plant)).stdout


def test_check_finds_a_wrong_age_and_a_rule_of_retention_that_counts_for_nothing(
    run, plant: Path
) -> None:
    rule = "[[historian.retention]]\npoints = '{}'\nkeep = '{}'\n"
    (plant / "penstock.toml").write_text(rule.format("Works/*", "90 days"))
    assert "retention.0.keep: '90 days' is no age" in run("check", "--home", str(plant)).stdout

    both = rule.format("*", "90d") + rule.format("Works/Line 1/speed", "5y")
    (plant / "penstock.toml").write_text(both)
    done = run("check", "--home", str(plant))
    assert 0 == done.returncode
    assert "historian.retention.1: counts for no point" in done.stdout


def test_a_plaintext_address_off_this_machine_is_refused(run, plant: Path) -> None:
    (plant / "penstock.toml").write_text('[server]\nhttp = "0.0.0.0:8080"\n')

    assert "loopback" in run("check", "--home", str(plant)).stdout


def test_a_plugin_that_is_not_there_is_named_with_those_that_are(run, plant: Path) -> None:
    connector = plant / "plant" / "connectors" / "line1.toml"
    connector.write_text('plugin = "profibus"\n')

    shown = run("check", "--home", str(plant)).stdout

    assert "profibus" in shown
    assert "modbus" in shown


def test_check_without_a_home_is_a_sentence(run, tmp_path: Path) -> None:
    done = run("check", "--home", str(tmp_path / "nowhere"))

    assert 1 == done.returncode
    assert "There is no folder" in done.stderr


def test_users_without_a_server(run, plant: Path) -> None:
    home = ("--home", str(plant))
    add = ("user", "add", "Ada", "--role", "administrator", "--password-stdin", *home)
    first = run(*add, text=PASSWORD)
    second = run(*add, text=PASSWORD)
    listed = json.loads(run("user", "list", "--json", *home).stdout)
    weak = run("user", "password", "ada", "--password-stdin", *home, text="short")
    last = run("user", "remove", "ada", *home)
    unknown = run("user", "remove", "ben", *home)

    assert 0 == first.returncode, first.stderr
    assert 1 == second.returncode
    assert "Choose another name" in second.stderr
    assert [("ada", ["administrator"])] == [(row["name"], row["roles"]) for row in listed]
    assert "12 characters" in weak.stderr
    assert "last administrator" in last.stderr
    assert "no user 'ben'" in unknown.stderr


def test_a_password_is_never_an_argument(run, plant: Path) -> None:
    done = run("user", "add", "ada", "--role", "viewer", "--home", str(plant))

    assert 1 == done.returncode
    assert "--password-stdin" in done.stderr


def test_doctor_changes_nothing_and_names_what_it_saw(run, plant: Path) -> None:
    (plant / "penstock.toml").write_text('[server]\nhttp = "127.0.0.1:0"\nhttps = "127.0.0.1:0"\n')
    done = run("doctor", "--home", str(plant), "--json")

    answer = json.loads(done.stdout)
    names = {row["name"] for row in answer["notices"]}
    assert {"python", "disk", "sync", "clock", "database", "keys", "configuration"} <= names
    assert all(row["remedy"] for row in answer["notices"] if row["state"] != "ok")
    assert not (plant / "data").exists()


def test_doctor_finds_a_broken_database_and_an_open_key(run, plant: Path, home: Path) -> None:
    add = ("user", "add", "ada", "--role", "administrator", "--password-stdin")
    run(*add, "--home", str(plant), text=PASSWORD)
    (key,) = (home / ".config" / "penstock" / "keys").glob("*/node.key")
    key.chmod(0o644)
    database = plant / "data" / "state.db"
    for name in ("state.db-wal", "state.db-shm"):
        (plant / "data" / name).unlink(missing_ok=True)
    data = bytearray(database.read_bytes())
    data[100:600] = bytes(500)
    database.write_bytes(data)

    done = run("doctor", "--home", str(plant), "--json")

    notices = {row["name"]: row for row in json.loads(done.stdout)["notices"]}
    assert 1 == done.returncode
    assert "fault" == notices["database"]["state"]
    assert "fault" == notices["keys"]["state"]
    assert "chmod" in notices["keys"]["remedy"]
