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
        "SELECT (WITH pg_settings AS (SELECT 1) SELECT 1) FROM pg_settings",
        "WITH pg_settings AS (SELECT 1 AS name) SELECT * FROM pg_settings",
        "WITH a AS (FROM sqlite_master), sqlite_master AS (SELECT 1) FROM a",
        "WITH a AS (FROM later), later AS (SELECT 1) FROM a",
        "WITH duckdb_settings AS (FROM duckdb_settings) FROM duckdb_settings",
        "SELECT (WITH _trial AS (SELECT 1) SELECT 1) FROM _trial",
        "SELECT * FROM (WITH x AS (SELECT 1) FROM x) a, x",
        "SELECT 1 FROM points WHERE path IN (WITH x AS (SELECT 'a') FROM x) OR path IN (FROM x)",
        "WITH \"/etc/passwd\" AS (FROM '/etc/passwd') SELECT 1",
        "SELECT #1 FROM samples",
        "SELECT value FROM samples ORDER BY #1 + 1",
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


@pytest.mark.parametrize(
    "constant", ["'2300-01-01'", "TIMESTAMP '1600-01-01'", "'3000-01-01'::DATE"]
)
def test_a_moment_that_nanoseconds_cannot_hold_has_a_remedy(plant: Plant, constant: str) -> None:
    plant.put(1, [1, 2, 3], [1.0, 2.0, 4.0])

    with pytest.raises(Refused) as refused:
        ask(plant, f"SELECT count(*) FROM samples WHERE time < {constant}")

    assert "sql_invalid" == refused.value.code
    assert "from 1677-09-22 to 2262-04-11" in refused.value.detail


@pytest.mark.parametrize(
    "sql",
    [
        "WITH a AS (SELECT 1 AS n), b AS (FROM a) SELECT * FROM b, a",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) FROM r",
        "WITH a AS (SELECT 1 AS n) SELECT (SELECT max(n) FROM a) FROM range(2)",
        "WITH a AS (SELECT 1 AS n) (FROM a UNION ALL FROM a) ORDER BY 1",
        "SELECT (WITH a AS (SELECT 1 AS n) SELECT (WITH b AS (FROM a) SELECT n FROM b))",
        "WITH a AS (WITH a AS (SELECT 1 AS n) FROM a) FROM a",
    ],
)
def test_a_with_part_is_seen_where_sql_sees_it(plant: Plant, sql: str) -> None:
    assert ask(plant, sql).rows


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
