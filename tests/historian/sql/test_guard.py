"""What SQL cannot do: reach files, settings and other statements, or name what is not ours."""

from __future__ import annotations

import duckdb
import pytest
from sql_kit import VISIBLE, Plant, ask

from penstock.historian.sql.engine import open_locked
from penstock.model import Refused

MEMORY = 256 * 1024 * 1024


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM 'history.parquet'",
        'SELECT * FROM "/tmp/history.csv"',
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM duckdb_extensions()",
        "SELECT * FROM pragma_database_list()",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM pg_catalog.pg_class",
        "SELECT * FROM main.samples",
        "SELECT * FROM _catalogue",
        "SELECT * FROM _trial",
        "SELECT * FROM query('SELECT 1')",
        "SELECT * FROM query_table('samples')",
        "SELECT getenv('HOME')",
        "SELECT current_setting('memory_limit')",
        "SELECT /* samples */ * FROM read/**/_csv('/etc/passwd')",
        "WITH x AS (SELECT * FROM read_csv('/etc/passwd')) SELECT * FROM x",
        "SELECT (SELECT content FROM read_text('/etc/passwd'))",
        "SHOW TABLES",
        "ATTACH '/tmp/other.db'",
        "COPY (SELECT 1) TO '/tmp/out.csv'",
        "COPY samples FROM '/etc/passwd'",
        "EXPORT DATABASE '/tmp/all'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA database_list",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "CREATE TABLE t AS SELECT 1",
        "CREATE SECRET (TYPE s3)",
        "INSERT INTO points SELECT * FROM points",
        "WITH x AS (INSERT INTO points SELECT * FROM points) SELECT 1",
        "DELETE FROM points",
        "CALL pragma_version()",
        "EXPLAIN SELECT 1",
        "SELECT 1; SELECT 2",
        "",
        "WITH samples AS (SELECT 1) SELECT * FROM samples",
    ],
)
def test_is_not_served(plant: Plant, sql: str) -> None:
    with pytest.raises(Refused) as refused:
        ask(plant, sql)

    assert "sql_refused" == refused.value.code


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "ATTACH '/tmp/penstock-other.db'",
        "COPY (SELECT 1) TO '/tmp/penstock-out.csv'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SELECT getenv('HOME')",
        "SELECT * FROM MEMORY",
    ],
)
def test_the_connection_behind_the_guard_refuses_it_too(sql: str) -> None:
    """The second door; Python's variables (MEMORY) are no tables either."""
    connection = open_locked(MEMORY)
    connection.execute("SET lock_configuration = true")

    with pytest.raises(duckdb.Error):
        connection.execute(sql).fetchall()


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELEC 1", "SELEC"),
        ("SELECT nothing FROM points", "nothing"),
        ("SELECT no_such_function(1)", "no_such_function"),
        ("SELECT 'x'::INT", "x"),
        ("SELECT * FROM points WHERE id = 'no uuid'", "UUID"),
        ("SELECT $1", "parameter"),
    ],
)
def test_a_mistake_is_answered_with_its_place(plant: Plant, sql: str, said: str) -> None:
    with pytest.raises(Refused) as refused:
        ask(plant, sql)

    assert "sql_invalid" == refused.value.code
    assert said.casefold() in refused.value.detail.casefold()


def test_a_long_text_is_refused(plant: Plant) -> None:
    with pytest.raises(Refused) as refused:
        ask(plant, f"SELECT '{'x' * 70_000}'")

    assert "too_large" == refused.value.code


def test_usual_sql_works_on_what_is_there(plant: Plant) -> None:
    plant.put(1, [1, 2, 3], [1.0, 2.0, 4.0])

    assert [(1.0,)] == ask(plant, "SELECT min(value) FROM samples").rows
    assert [(9,)] == ask(plant, "SELECT max(i) FROM range(10) t(i)").rows
    assert [(2.0,)] == ask(
        plant, "FROM samples SELECT value ORDER BY time DESC LIMIT 1 OFFSET 1"
    ).rows
    assert [(1.0,), (2.0,)] == ask(
        plant, "SELECT lead(value) OVER (ORDER BY time) - value FROM samples LIMIT 2"
    ).rows
    assert 17 == len(ask(plant, "DESCRIBE samples").rows)
    assert len(VISIBLE) == len(ask(plant, "SELECT * FROM points").rows)
