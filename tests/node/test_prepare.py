"""What a start refuses, and what it lets pass with a warning."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from penstock.node import last_good
from penstock.node.home import Home
from penstock.node.prepare import prepare
from penstock.world import SystemDisk

CONNECTOR = 'plugin = "modbus"\nhost = "127.0.0.1"\n'
POINTS = "asset,name,kind,address,type\nplant,level,float,40001,float32\n"
WRONG = POINTS.replace("level,float", "level,flaot")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "home" / "plant" / "connectors"
    folder.mkdir(parents=True)
    (folder / "plc.toml").write_text(CONNECTOR)
    (folder / "plc.csv").write_text(POINTS)
    return Home(tmp_path / "home")


@pytest.mark.slow
def test_a_first_start_with_a_mistake_is_refused_with_every_problem(home: Home) -> None:
    (home.root / "plant/connectors/plc.csv").write_text(WRONG)

    answer, exit_code = prepare(home)

    assert 2 == exit_code
    assert "flaot" in str(answer["problems"])


@pytest.mark.slow
def test_a_plant_that_ran_starts_with_what_was_applied_last(home: Home) -> None:
    assert 0 == prepare(home)[1]
    last_good.save(home, SystemDisk())
    (home.root / "plant/connectors/plc.csv").write_text(WRONG)

    answer, exit_code = prepare(home)

    assert 0 == exit_code
    assert "what was applied last runs" in str(answer["warnings"])


@pytest.mark.slow
def test_an_index_that_is_not_as_its_table_is_a_warning_and_the_plant_runs(home: Home) -> None:
    assert [] == prepare(home)[0]["warnings"]
    with closing(sqlite3.connect(home.data / "state.db")) as database:
        database.execute("CREATE TABLE some (one TEXT UNIQUE)")
        database.execute("INSERT INTO some VALUES ('first'), ('the second of some')")
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = home.data / "state.db"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"the second of some", b"the record of some", 1))

    answer, exit_code = prepare(home)

    assert 0 == exit_code
    assert "state.db" in str(answer["warnings"])


@pytest.mark.slow
def test_a_database_that_sqlite_cannot_read_is_refused_by_name(home: Home) -> None:
    assert 0 == prepare(home)[1]
    path = home.data / "state.db"
    path.write_bytes(b"x" * path.stat().st_size)

    answer, exit_code = prepare(home)

    assert 2 == exit_code
    assert "state.db" in str(answer["problems"])
    assert "restore data/state.db" in str(answer["problems"])


@pytest.mark.slow
def test_without_penstock_toml_nothing_can_run(home: Home) -> None:
    last_good.save(home, SystemDisk())
    (home.root / "penstock.toml").write_text("[nowhere]\n")

    assert 2 == prepare(home)[1]
