"""Migrations: linear, named as they are numbered, and noticed without Alembic."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from penstock.model import ConfigError
from penstock.security.tables import metadata
from penstock.state import head_revision, needs_migration
from penstock.state.migrate import main, migrate
from penstock.state.revision import MIGRATIONS


def test_new_database_needs_migration_until_it_has_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    before = needs_migration(url)

    assert migrate(url) == head_revision()

    assert (before, needs_migration(url)) == (True, False)


def test_again_changes_nothing(url: str) -> None:
    assert migrate(url) == head_revision()


def test_asking_makes_no_file(tmp_path: Path) -> None:
    assert needs_migration(f"sqlite:///{tmp_path}/none.db")

    assert not (tmp_path / "none.db").exists()


def test_database_of_a_newer_release_is_left_alone(url: str, tmp_path: Path) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999_future'"))
    engine.dispose()

    with pytest.raises(ConfigError, match="newer Penstock"):
        migrate(url)


def test_migrations_are_one_line() -> None:
    """File name = revision; each follows the one before it by number."""
    paths = sorted(MIGRATIONS.glob("[0-9]*.py"))
    facts = {}
    for path in paths:
        space: dict[str, object] = {}
        exec(compile(path.read_text(), str(path), "exec"), space)
        facts[path.stem] = (space["revision"], space["down_revision"])

    names = [path.stem for path in paths]
    expected = {name: (name, before) for name, before in zip(names, [None, *names], strict=False)}
    assert facts == expected


def test_tables_in_code_are_those_of_the_migrations(url: str) -> None:
    engine = create_engine(url)
    found = inspect(engine)

    columns = {
        name: [column["name"] for column in found.get_columns(name)] for name in metadata.tables
    }
    keys = {name: found.get_pk_constraint(name)["constrained_columns"] for name in metadata.tables}
    engine.dispose()

    assert columns == {
        name: [column.name for column in table.columns] for name, table in metadata.tables.items()
    }
    assert all(key[0] == "tenant" for key in keys.values())


def test_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2

    assert "usage" in capsys.readouterr().err


@pytest.mark.slow
def test_core_imports_no_alembic() -> None:
    """Alembic and its template engine would stay in memory for months."""
    code = (
        "import sys, penstock.state, penstock.security, penstock.server.app\n"
        "print([name for name in ('alembic', 'mako', 'jinja2') if name in sys.modules])"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
