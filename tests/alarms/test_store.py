"""The migration makes the tables that the code uses."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import create_engine, inspect

from penstock.alarms.store import metadata
from penstock.state.migrate import migrate
from penstock.state.readers import readers


def test_the_migration_and_the_tables_agree(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    migrate(url)
    engine = create_engine(url)
    found = inspect(engine)

    for table in (*metadata.sorted_tables, readers):
        columns = {column["name"] for column in found.get_columns(table.name)}
        key = found.get_pk_constraint(table.name)["constrained_columns"]
        assert columns == {column.name for column in table.columns}, table.name
        assert key == [column.name for column in table.primary_key], table.name
    engine.dispose()
