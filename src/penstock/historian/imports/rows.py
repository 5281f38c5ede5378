"""Rows of a file as columns: the queries over a long, a wide and a paired file.

A wide file is read in groups of columns, so that a chunk of it stays small however many
columns there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.historian.imports.cells import Cell, cell_of
from penstock.historian.imports.clock import MISSING
from penstock.historian.imports.source import Source, chunks, name_sql, text_sql
from penstock.historian.imports.times import EPOCHS
from penstock.model import TextColumn, ValueKind

if TYPE_CHECKING:
    import numpy.typing as npt
    from duckdb import DuckDBPyConnection

    from penstock.historian.imports.check import Targets
    from penstock.historian.imports.settled import Settled
    from penstock.model.frame import Values

WIDE_COLUMNS = 32
ODD_QUALITY = 256
"""Code of a word for quality that nobody has settled; no byte has it."""
_WHOLE = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
)


@dataclass(frozen=True, slots=True)
class Cells:
    """n cells: `target` is their point`s place, or u32[n]; `is_ours` masks rows of a long file."""

    kind: ValueKind
    name: str
    target: int | npt.NDArray[np.uint32]
    value: Values
    state: npt.NDArray[np.uint8]
    bad: TextColumn
    is_ours: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """n rows with one time each; `is_first`: these rows were not seen in another group."""

    row: npt.NDArray[np.int64]
    is_first: bool
    time_name: str
    time_text: TextColumn | None
    time_number: npt.NDArray[np.int64] | None
    is_utc: bool
    is_over: npt.NDArray[np.bool_]
    is_unknown: npt.NDArray[np.bool_] | None = None
    quality: npt.NDArray[np.uint8] | None = None
    is_odd_quality: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    quality_text: TextColumn | None = None
    cells: Sequence[Cells] = ()


def columns_of(
    connection: DuckDBPyConnection,
    folder: Path,
    settled: Settled,
    names: Sequence[str],
    targets: Targets,
) -> Iterator[Column]:
    """All rows, in the order of the file."""
    source = settled.source(folder)
    if settled.layout == "long":
        yield from _long(connection, source, settled, names, targets)
        return
    wanted = [
        (series, place)
        for series, place in zip(settled.series, targets.places.tolist(), strict=True)
        if place >= 0
    ]
    is_first = True
    for time, group in groupby(wanted, key=lambda item: tuple(item[0].time)):
        same = [*group]
        for begin in range(0, len(same), WIDE_COLUMNS):
            part = [(s.column, place) for s, place in same[begin : begin + WIDE_COLUMNS]]
            yield from _wide(connection, source, settled, time, part, targets, is_first=is_first)
            is_first = settled.layout == "pairs"


# --- long


def _long(
    connection: DuckDBPyConnection,
    source: Source,
    settled: Settled,
    names: Sequence[str],
    targets: Targets,
) -> Iterator[Column]:
    listed = ", ".join(text_sql(name) for name in names)
    connection.execute(f"CREATE TYPE import_name AS ENUM ({listed})")
    query = _Query(source, settled, settled.time)
    query.inner.append(("n", f"coalesce({source.cell(settled.name)}, '')"))
    query.outer.append(("code", "coalesce(enum_code(TRY_CAST(n AS import_name))::INTEGER, -1)"))
    kinds = sorted({targets.kinds[p] for p in targets.places.tolist() if p >= 0})
    for kind in kinds:
        column = {
            ValueKind.INT: settled.value_int or settled.value,
            ValueKind.TEXT: settled.value_text or settled.value,
        }.get(kind, settled.value)
        query.add(cell_of(source, column, kind, settled.decimal, f"{int(kind)}"))
    kind_of = np.array([*map(int, targets.kinds), 0], np.uint8)
    for chunk, base in query.chunks(connection, is_first=True):
        code = chunk["code"]
        place = np.where(code >= 0, targets.places[code], -1)
        own = kind_of[place]
        cells = [
            Cells(
                kind,
                settled.value,
                place.astype(np.uint32),
                chunk[f"x{int(kind)}"],
                chunk[f"s{int(kind)}"],
                chunk[f"b{int(kind)}"],
                own == kind,
            )
            for kind in kinds
        ]
        yield _replaced(base, is_unknown=code < 0, cells=cells)


# --- wide and pairs


def _wide(
    connection: DuckDBPyConnection,
    source: Source,
    settled: Settled,
    time: Sequence[str],
    series: Sequence[tuple[str, int]],
    targets: Targets,
    *,
    is_first: bool,
) -> Iterator[Column]:
    query = _Query(source, settled, time)
    for number, (column, place) in enumerate(series):
        query.add(cell_of(source, column, targets.kinds[place], settled.decimal, f"{number}"))
    if settled.layout == "pairs":  # pairs are of different lengths: nothing is behind the end
        cells_of = (*time, *(column for column, _ in series))
        filled = (f"coalesce(CAST({name_sql(name)} AS VARCHAR), '') <> ''" for name in cells_of)
        query.where = " OR ".join(filled)
    for chunk, base in query.chunks(connection, is_first=is_first):
        cells = [
            Cells(
                targets.kinds[place],
                column,
                place,
                chunk[f"x{number}"],
                chunk[f"s{number}"],
                chunk[f"b{number}"],
            )
            for number, (column, place) in enumerate(series)
        ]
        yield _replaced(base, cells=cells)


def _replaced(base: dict[str, Any], **more: Any) -> Column:
    return Column(**base, **more)


class _Query:
    """A SELECT in three layers: cells, values, what is handed out."""

    def __init__(self, source: Source, settled: Settled, time: Sequence[str]) -> None:
        self._source = source
        self._settled = settled
        self._time = time
        self.where = ""
        self.inner: list[tuple[str, str]] = [("over", source.overflow_sql())]
        self._middle: list[tuple[str, str]] = []
        self.outer: list[tuple[str, str]] = [("over", "over::UTINYINT")]
        self._add_time()
        self._add_quality()

    def add(self, cell: Cell) -> None:
        """One column of values."""
        self.inner.append((cell.raw, cell.cell))
        self._middle.append((cell.value, cell.converted))
        self.outer += cell.outputs

    def chunks(
        self, connection: DuckDBPyConnection, *, is_first: bool
    ) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """(columns of the query, what every Column has) a chunk."""
        settled = self._settled
        done = settled.skipped_lines
        for chunk in chunks(connection, self._sql()):
            rows = len(chunk["over"])
            number = np.arange(done + 1, done + rows + 1)
            done += rows
            text = chunk["time"] if isinstance(chunk["time"], TextColumn) else None
            base: dict[str, Any] = {
                "row": number,
                "is_first": is_first,
                "time_name": " + ".join(self._time),
                "time_text": text,
                "time_number": None if text is not None else chunk["time"],
                "is_utc": settled.time_format in EPOCHS or "TIME ZONE" in self._type,
                "is_over": chunk["over"] != 0,
            }
            if settled.quality:
                code = chunk["q"]
                assert not isinstance(code, TextColumn)
                base |= {
                    "quality": code.astype(np.uint8),
                    "is_odd_quality": code == ODD_QUALITY,
                    "quality_text": chunk["qt"],
                }
            yield chunk, base

    @property
    def _type(self) -> str:
        return self._source.types[self._time[0]]

    def _add_time(self) -> None:
        """Numbers and timestamps stay what they are; everything else is text."""
        column = name_sql(self._time[0])
        if self._type.startswith("TIMESTAMP") or self._type == "DATE":
            self.inner.append(("time", f"coalesce(epoch_ns({column}), {MISSING})"))
        elif self._type in _WHOLE:
            self.inner.append(("time", f"coalesce(TRY_CAST({column} AS BIGINT), {MISSING})"))
        else:
            parts = [f"coalesce({self._source.cell(name)}, '')" for name in self._time]
            self.inner.append(("time", " || ' ' || ".join(parts)))
        self.outer.append(("time", "time"))

    def _add_quality(self) -> None:
        settled = self._settled
        if not settled.quality:
            return
        cases = " ".join(
            f"WHEN {text_sql(word)} THEN {code}" for word, code in settled.quality_codes.items()
        )
        self.inner.append(("qt", f"coalesce(lower({self._source.cell(settled.quality)}), '')"))
        self.outer += [
            ("qt", "qt"),
            ("q", f"(CASE qt WHEN '' THEN 192 {cases} ELSE {ODD_QUALITY} END)::INTEGER"),
        ]

    def _sql(self) -> str:
        inner = ", ".join(f"{sql} AS {name}" for name, sql in self.inner)
        middle = "".join(f", {sql} AS {name}" for name, sql in self._middle)
        outer = ", ".join(f"{sql} AS {name}" for name, sql in self.outer)
        where = f" WHERE {self.where}" if self.where else ""
        return (
            f"SELECT {outer} FROM (SELECT *{middle} FROM (SELECT {inner} "  # noqa: S608 - quoted
            f"FROM {self._source.from_sql()}{where}))"
        )
