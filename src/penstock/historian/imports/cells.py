"""SQL of cells: the value of a column in a point's kind, and the state that says what it is."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.historian.imports.numbers import (
    EMPTY,
    INFINITE,
    MISFIT,
    NO_VALUE,
    OK,
    float_sql,
    float_state_sql,
    int_sql,
    int_state_sql,
    text_state_sql,
)
from penstock.historian.imports.source import Source, name_sql
from penstock.model import ValueKind

_REALS = frozenset({"DOUBLE", "FLOAT"})
_WHOLES = frozenset(
    {
        "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER",
        "UBIGINT", "UHUGEINT",
    }
)  # fmt: skip
_DEFAULT = {ValueKind.FLOAT: "0::DOUBLE", ValueKind.INT: "0::BIGINT", ValueKind.TEXT: "''"}
_TYPE = {ValueKind.FLOAT: "DOUBLE", ValueKind.INT: "BIGINT", ValueKind.TEXT: "VARCHAR"}


@dataclass(frozen=True, slots=True)
class Cell:
    """Three layers of SQL: the cell; its value; what is handed out (value, state, text)."""

    cell: str
    raw: str
    value: str
    converted: str
    outputs: tuple[tuple[str, str], ...]


def cell_of(source: Source, column: str, kind: ValueKind, decimal: str | None, tag: str) -> Cell:
    """SQL of one column for points of one kind; names of its layers begin with `tag`."""
    type_ = source.types[column]
    raw, value = f"c{tag}", f"v{tag}"
    is_typed = type_ in _REALS or type_ in _WHOLES or type_ == "BOOLEAN"
    inner = name_sql(column) if is_typed or kind is ValueKind.TEXT else source.cell(column)
    if kind is ValueKind.TEXT and not is_typed and source.is_parquet:
        inner = f"CAST({name_sql(column)} AS VARCHAR)"
    converted, state = (
        _typed(raw, value, type_, kind)
        if is_typed
        else _text(raw, value, kind, decimal, is_parquet=source.is_parquet)
    )
    outputs = (
        (f"x{tag}", f"coalesce({value}, {_DEFAULT[kind]})::{_TYPE[kind]}"),
        (f"s{tag}", f"({state})::UTINYINT"),
        (
            f"b{tag}",
            f"CASE WHEN ({state}) = {MISFIT} THEN left(CAST({raw} AS VARCHAR), 80) ELSE '' END",
        ),
    )
    return Cell(inner, raw, value, converted, outputs)


def _text(
    raw: str, value: str, kind: ValueKind, decimal: str | None, *, is_parquet: bool
) -> tuple[str, str]:
    """Texts; in CSV nobody can tell an empty text from nothing."""
    if kind is ValueKind.FLOAT:
        return float_sql(raw, decimal), float_state_sql(raw, value)
    if kind is ValueKind.INT:
        return int_sql(raw, decimal), int_state_sql(raw, value)
    state = text_state_sql(raw)
    if is_parquet:
        state = state.replace(f" OR {raw} = ''", "")
    return raw, state


def _typed(raw: str, value: str, type_: str, kind: ValueKind) -> tuple[str, str]:
    """Columns of Parquet that are numbers; an integer that a float would round is a misfit."""
    if kind is ValueKind.TEXT:
        return f"CAST({raw} AS VARCHAR)", f"CASE WHEN {raw} IS NULL THEN {EMPTY} ELSE {OK} END"
    if type_ in _REALS:
        if kind is ValueKind.FLOAT:
            return (
                f"CAST({raw} AS DOUBLE)",
                (
                    f"CASE WHEN {raw} IS NULL THEN {EMPTY} WHEN isnan({raw}) THEN {NO_VALUE} "
                    f"WHEN isinf({raw}) THEN {INFINITE} ELSE {OK} END"
                ),
            )
        whole = (
            f"CASE WHEN isfinite({raw}) AND {raw} = floor({raw}) THEN TRY_CAST({raw} AS BIGINT) END"
        )
        return whole, (
            f"CASE WHEN {raw} IS NULL THEN {EMPTY} WHEN isnan({raw}) THEN {NO_VALUE} "
            f"WHEN {value} IS NULL THEN {MISFIT} ELSE {OK} END"
        )
    if kind is ValueKind.INT:
        return f"TRY_CAST({raw} AS BIGINT)", (
            f"CASE WHEN {raw} IS NULL THEN {EMPTY} WHEN {value} IS NULL THEN {MISFIT} ELSE {OK} END"
        )
    if type_ == "BOOLEAN":
        return "0::DOUBLE", f"CASE WHEN {raw} IS NULL THEN {EMPTY} ELSE {MISFIT} END"
    return f"CAST({raw} AS DOUBLE)", (
        f"CASE WHEN {raw} IS NULL THEN {EMPTY} "
        f"WHEN TRY_CAST({value} AS HUGEINT) IS DISTINCT FROM TRY_CAST({raw} AS HUGEINT) "
        f"THEN {MISFIT} ELSE {OK} END"
    )
