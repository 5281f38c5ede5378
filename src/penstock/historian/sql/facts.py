"""Facts of this DuckDB, asked once a process: its own tables, and which functions change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Not in the list of volatile functions, and another moment in another transaction.
_MOMENTS = frozenset(
    {
        "age", "ago", "current_date", "current_localtime", "current_localtimestamp",
        "current_time", "current_timestamp", "get_current_time", "get_current_timestamp",
        "localtime", "localtimestamp", "now", "pg_conf_load_time", "pg_postmaster_start_time",
        "today", "transaction_timestamp", "txid_current",
    }
)  # fmt: skip
# Two steps of the floating-point numbers below 2^63.
_ROUNDING = {"FLOAT": 1 << 40, "DOUBLE": 1 << 11, "DECIMAL": 1 << 11}
_INTEGERS = frozenset(
    {
        "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT",
        "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
    }
)  # fmt: skip
_known: dict[str, str] = {}


def one(connection: DuckDBPyConnection, question: str, **values: str) -> str:
    """The one cell of the answer; read to its end, else the connection stays busy."""
    rows = connection.execute(question, values or None).fetchall()
    return str(rows[0][0])


def template(connection: DuckDBPyConnection) -> dict[str, Any]:
    """Tree of a SELECT into which a condition is put."""
    tree: dict[str, Any] = orjson.loads(
        _fact(connection, "SELECT json_serialize_sql('SELECT 1 WHERE true')")
    )
    return tree


def changing(connection: DuckDBPyConnection) -> frozenset[str]:
    """Functions, and words without parentheses, that may answer differently each time."""
    question = (
        "SELECT string_agg(DISTINCT function_name, ' ') FROM duckdb_functions() "
        "WHERE stability = 'VOLATILE'"
    )
    return _MOMENTS | frozenset(_fact(connection, question).casefold().split())


def system_tables(connection: DuckDBPyConnection) -> frozenset[str]:
    """Names that DuckDB itself gives to tables and views."""
    question = (
        "SELECT string_agg(name, ' ') FROM (SELECT view_name AS name FROM duckdb_views() "
        "WHERE internal UNION SELECT table_name FROM duckdb_tables() WHERE internal)"
    )
    return frozenset(_fact(connection, question).casefold().split())


def rounding_of(type_name: str) -> int | None:
    """How far a comparison of int64 with this type may be off; None where that is not known.

    The integer becomes the other type first: beside a DOUBLE, 1.7e18 + 60 is 1.7e18.
    """
    name = type_name.partition("(")[0]
    return 0 if name in _INTEGERS else _ROUNDING.get(name)


def _fact(connection: DuckDBPyConnection, question: str) -> str:
    if question not in _known:
        _known[question] = one(connection, question)
    return _known[question]
