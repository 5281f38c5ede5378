"""Guard: is the text one SELECT over our tables, and nothing else?

DuckDB's own parser reads it; what is looked at is its tree, never the text, so that
comments, quotes and case cannot hide anything. The connection is locked down too
(engine.py) and the process is a child: this is the first of three doors, and the one
that can say in words what is not served.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson

from penstock.historian.sql.facts import one, system_tables
from penstock.model import Refused

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL_BYTES_MAX = 64 * 1024
TABLES = frozenset({"samples", "points"})
TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "repeat", "repeat_row"})
TABLE_REFS = frozenset(
    {
        "BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "PIVOT",
        "SHOW_REF",
    }
)  # fmt: skip
QUERY_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE"})
# They tell of the process or run text as SQL; none of them tells of a point.
FUNCTIONS_REFUSED = frozenset(
    {
        "getenv", "current_setting", "getvariable", "query", "query_table", "glob", "read_text",
        "read_blob", "read_csv", "read_csv_auto", "read_json", "read_json_auto", "read_parquet",
        "parquet_scan", "sniff_csv", "json_execute_serialized_sql", "json_serialize_plan",
        "json_serialize_sql", "json_deserialize_sql", "write_log", "parse_duckdb_log_message",
        "current_query", "nextval", "currval", "set_config", "which_secret", "sql_auto_complete",
    }
)  # fmt: skip

Node = dict[str, Any]


def parse(connection: DuckDBPyConnection, sql: str) -> Node:
    """Tree of the one SELECT; Refused for everything else, with the reason."""
    if len(sql.encode()) > SQL_BYTES_MAX:
        raise Refused("too_large", f"The SQL is longer than {SQL_BYTES_MAX} bytes.")
    tree = orjson.loads(one(connection, "SELECT json_serialize_sql($sql)", sql=sql))
    if tree["error"]:
        message = str(tree["error_message"])
        if "Only SELECT" in message:
            raise Refused("sql_refused", "Only one SELECT is served here.")
        raise Refused("sql_invalid", message)
    statements = tree["statements"]
    if len(statements) != 1:
        raise Refused("sql_refused", f"There are {len(statements)} statements; send one SELECT.")
    node: Node = statements[0]["node"]
    check(node, system_tables(connection))
    return node


def check(tree: Node, system: frozenset[str]) -> None:
    """Refused unless every table, function and node of the tree is one that is served.

    `system` are names of tables that are not ours: no WITH may hide them.
    """
    for node, ctes in scoped(tree):
        _check_names(ctes, system)
        _check_kind(node)
        _check_table(node, ctes)
        _check_function(node)


def nodes(tree: object) -> Iterator[Node]:
    """Every object of the tree, outer ones first; without recursion, so any depth is fine."""
    pending = [tree]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield item
            pending.extend(reversed(item.values()))
        elif isinstance(item, list):
            pending.extend(reversed(item))


def scoped(tree: object) -> Iterator[tuple[Node, frozenset[str]]]:
    """Every object of the tree with the names of the WITH parts that it sees, in lower case.

    A WITH part sees those before it, and itself only if it is recursive.
    """
    pending: list[tuple[object, frozenset[str]]] = [(tree, frozenset())]
    while pending:
        item, names = pending.pop()
        if isinstance(item, list):
            pending.extend((part, names) for part in reversed(item))
        if not isinstance(item, dict):
            continue
        entries = item.get("cte_map")
        for entry in entries["map"] if isinstance(entries, dict) else ():
            pending.append((entry["value"], names))
            names |= {str(entry["key"]).casefold()}
        if item.get("type") == "RECURSIVE_CTE_NODE":
            names |= {str(item["cte_name"]).casefold()}
        yield item, names
        pending.extend((part, names) for key, part in item.items() if key != "cte_map")


def _check_names(ctes: frozenset[str], system: frozenset[str]) -> None:
    """A WITH part has no name of a table: where it is not seen, the table would be."""
    for name in ctes:
        if name in TABLES | system or name.startswith("_"):
            raise Refused(
                "sql_refused", f"{name[:200]!r} is a table here; give the WITH another name."
            )


def _check_kind(node: Node) -> None:
    """Deny by default: a kind of query or of FROM that is not listed is refused."""
    kind = node.get("type")
    if not isinstance(kind, str):
        return
    is_query = kind.endswith("_NODE")
    is_ref = "sample" in node and "class" not in node and not is_query
    is_special = kind == "SHOW_REF" and not node.get("query")
    if (is_query and kind not in QUERY_NODES) or (is_ref and kind not in TABLE_REFS) or is_special:
        raise Refused("sql_refused", f"{kind} is not served here; send one SELECT.")
    if kind == "POSITIONAL_REFERENCE":
        # `samples` has the columns that a query names, so that a place says nothing.
        place = f"#{node.get('index')}"
        raise Refused("sql_refused", f"{place} is not served here; name the column instead.")


def _check_table(node: Node, ctes: frozenset[str]) -> None:
    if node.get("type") == "BASE_TABLE":
        name = str(node["table_name"])
        is_plain = not node.get("schema_name") and not node.get("catalog_name")
        if not is_plain or name.casefold() not in TABLES | ctes:
            raise Refused(
                "sql_refused", f"There is no table {name[:200]!r}; there are samples and points."
            )
    if node.get("type") == "TABLE_FUNCTION":
        name = str(node["function"]["function_name"]).casefold()
        if name not in TABLE_FUNCTIONS:
            raise Refused("sql_refused", f"The table function {name[:200]!r} is not served here.")


def _check_function(node: Node) -> None:
    name = str(node.get("function_name", "")).casefold()
    if name in FUNCTIONS_REFUSED or name.startswith(("duckdb_", "pragma_")):
        raise Refused("sql_refused", f"The function {name!r} is not served here.")
