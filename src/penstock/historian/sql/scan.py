"""Scan: the rows that a query can need, decoded chunk by chunk into record batches.

What is asked for is a Selection (points and spans, from bounds.py); only chunks that
overlap it are decoded, only columns that the query names are made, and both are
counted. Several small chunks become one batch, so that 10,000 slow points do not cost
10,000 batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from penstock.historian.answer import quality_word
from penstock.historian.columns import join_values
from penstock.historian.piece import ChunkRef
from penstock.historian.query import groups
from penstock.historian.sql.arrow import UUID_TYPE, Column, batch_of, repeated, schema_of, stream
from penstock.historian.sql.bounds import POINT_COLUMNS
from penstock.model import Flag, Quality, Refused, TextColumn, ValueKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from penstock.historian.columns import Columns
    from penstock.historian.query import Snapshot
    from penstock.historian.sql.bounds import Box, Span
    from penstock.historian.sql.catalogue import Catalogue

BATCH_ROWS = 16_384
BATCH_TEXT_BYTES = 16 * 1024 * 1024
COLUMNS: tuple[tuple[str, str], ...] = (
    ("point", UUID_TYPE),
    ("path", "text"),
    ("asset", "text"),
    ("name", "text"),
    ("kind", "text"),
    ("unit", "text"),
    ("simulated", "bool"),
    ("time", "time"),
    ("time_ns", "i64"),
    ("value", "f64"),
    ("value_int", "i64"),
    ("value_text", "text"),
    ("quality", "text"),
    ("quality_code", "u8"),
    ("is_good", "bool"),
    ("flags", "u8"),
    ("sequence", "i64"),
)
"""Columns of `samples` in their order: name and type (see arrow.TYPES)."""
_KINDS = frozenset({ValueKind.FLOAT, ValueKind.INT, ValueKind.TEXT})


@dataclass(slots=True)
class Counters:
    """What was read; `seen` grows while the query runs."""

    chunks_read: int = 0
    rows_read: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """Points (rows of a catalogue, in its order) and for each its spans, in order and apart."""

    rows: list[int] = field(default_factory=list)
    spans: list[list[Span]] = field(default_factory=list)

    @classmethod
    def of(cls, boxes: Sequence[Box], points: int) -> Selection:
        """All that at least one reference can need."""
        live = [box for box in boxes if box.span[0] < box.span[1]]
        every = merged([box.span for box in live])
        if len(live) <= 1 or all(box.points is None for box in live):
            mask = np.zeros(points, bool)
            for box in live:
                mask |= True if box.points is None else box.points
            rows = np.flatnonzero(mask).tolist()
            return cls(rows, [every] * len(rows))
        chosen = [(np.ones(points, bool) if b.points is None else b.points, b.span) for b in live]
        found = cls()
        for row in np.flatnonzero(np.logical_or.reduce([mask for mask, _ in chosen])).tolist():
            found.rows.append(row)
            found.spans.append(merged([span for mask, span in chosen if mask[row]]))
        return found

    @property
    def span(self) -> Span:
        """From the first to the last moment; (0, 0) for nothing."""
        ends = [(spans[0][0], spans[-1][1]) for spans in self.spans if spans]
        if not ends:
            return 0, 0
        return min(begin for begin, _ in ends), max(end for _, end in ends)


def merged(spans: Sequence[Span]) -> list[Span]:
    """The same moments as spans in order that do not touch."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


@dataclass(slots=True)
class Samples:
    """The table `samples` for DuckDB: pulled anew for each reference to it.

    `names` are the columns that the query mentions. What stops a scan is kept in
    `error`, because it crosses C on its way.
    """

    snapshot: Snapshot
    catalogue: Catalogue
    selection: Selection
    names: frozenset[str]
    rows_read_max: int
    counters: Counters = field(default_factory=Counters)
    error: Exception | None = None
    check: Callable[[], None] = lambda: None
    _schema: Any = None
    _texts: dict[str, list[str]] = field(default_factory=dict)
    _ids: npt.NDArray[np.uint8] | None = None

    def rows_expected(self) -> int:
        """Rows in the chunks that overlap, up to just above `rows_read_max`; decodes nothing."""
        total = 0
        for handle, spans in self._wanted():
            for begin, end in spans:
                pieces = self.snapshot.pieces(handle, begin, end)
                total += sum(piece.rows for piece in pieces)
            if total > self.rows_read_max:
                break
        return total

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Columns that are made; at least one, for `count(*)`."""
        return [item for item in COLUMNS if item[0] in self.names] or [COLUMNS[8]]

    def __arrow_c_schema__(self) -> object:
        """Types without opening a stream."""
        import nanoarrow as na  # noqa: PLC0415

        return na.c_schema(schema_of(self.columns)).__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """All selected rows, point by point, each in time order."""
        assert requested_schema is None
        return stream(schema_of(self.columns), self.batches(), self._note)

    def batches(self) -> Iterator[Any]:
        """Record batches."""
        schema, columns = schema_of(self.columns), self.columns
        pending: list[tuple[int, Columns]] = []
        rows = text_bytes = 0
        for row, piece in self._pieces():
            pending.append((row, piece))
            rows += len(piece)
            text_bytes += _text_bytes(piece)
            if rows >= BATCH_ROWS or text_bytes >= BATCH_TEXT_BYTES:
                yield self._batch(schema, columns, pending, rows)
                pending, rows, text_bytes = [], 0, 0
        if rows:
            yield self._batch(schema, columns, pending, rows)

    def _note(self, error: Exception) -> None:
        self.error = self.error or error

    def _wanted(self) -> Iterator[tuple[int, list[Span]]]:
        handles = self.catalogue.handle
        for row, spans in zip(self.selection.rows, self.selection.spans, strict=True):
            handle = int(handles[row])
            if self.snapshot.kind(handle) in _KINDS:
                yield handle, spans

    def _pieces(self) -> Iterator[tuple[int, Columns]]:
        """(catalogue row, rows) chunk by chunk."""
        handles, counters = self.catalogue.handle, self.counters
        for row, spans in zip(self.selection.rows, self.selection.spans, strict=True):
            handle = int(handles[row])
            if self.snapshot.kind(handle) not in _KINDS:
                continue
            for begin, end in spans:
                for group in groups(self.snapshot.pieces(handle, begin, end)):
                    self.check()
                    counters.chunks_read += sum(isinstance(p.source, ChunkRef) for p in group)
                    rows = self.snapshot.load(group).between(begin, end)
                    counters.rows_read += len(rows)
                    if counters.rows_read > self.rows_read_max:
                        raise Refused("sql_too_wide", f"more than {self.rows_read_max} samples")
                    if len(rows):
                        yield row, rows

    def _batch(
        self,
        schema: Any,
        columns: Sequence[tuple[str, str]],
        pieces: Sequence[tuple[int, Columns]],
        rows: int,
    ) -> Any:
        points = [row for row, _ in pieces]
        counts = [len(piece) for _, piece in pieces]
        parts = [piece for _, piece in pieces]
        made = [
            self._of_points(name, points, counts)
            if name in POINT_COLUMNS
            else _of_rows(name, parts)
            for name, _ in columns
        ]
        return batch_of(schema, rows, made)

    def _of_points(self, name: str, points: Sequence[int], counts: Sequence[int]) -> Column:
        """A column of the points' descriptions, repeated for their rows."""
        if name == "point":
            if self._ids is None:
                ids = [UUID(text).bytes for text in self.catalogue.texts("id")]
                self._ids = np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 16)
            return Column(UUID_TYPE, np.repeat(self._ids[points], counts, axis=0).reshape(-1))
        if name == "simulated":
            cells = self.catalogue.columns[name]
            return Column("bool", np.repeat([bool(cells[row]) for row in points], counts))
        texts = self._texts.get(name) or self.catalogue.texts(name)
        self._texts[name] = texts
        return Column("text", repeated([texts[row] for row in points], counts))


def _text_bytes(rows: Columns) -> int:
    value = rows.value
    return int(value.offset[-1] - value.offset[0]) if isinstance(value, TextColumn) else 0


def _of_rows(name: str, parts: Sequence[Columns]) -> Column:
    """A column of the samples themselves."""
    if name in {"time", "time_ns"}:
        kind = "time" if name == "time" else "i64"
        return Column(kind, np.concatenate([part.time_ns for part in parts]))
    if name == "flags":
        return Column("u8", np.concatenate([part.flags for part in parts]))
    if name == "sequence":
        return Column("i64", np.concatenate([part.sequence for part in parts]).view(np.int64))
    if name.startswith("value"):
        return _values(name, parts)
    codes = np.concatenate([part.quality for part in parts])
    if name == "quality_code":
        return Column("u8", codes)
    if name == "is_good":
        return Column("bool", codes >= int(Quality.GOOD))
    return Column("text", _words(codes))


def _words(codes: npt.NDArray[np.uint8]) -> TextColumn:
    """Names of qualities, run by run."""
    begin = np.concatenate([[0], np.flatnonzero(codes[1:] != codes[:-1]) + 1])
    counts = np.diff(np.append(begin, len(codes))).tolist()
    return repeated([quality_word(code) for code in codes[begin].tolist()], counts)


def _values(name: str, parts: Sequence[Columns]) -> Column:
    """Values of one kind; a row of another kind or without a value is null.

    `value` also takes the integers, as the nearest float64, so that one query averages
    counters and floats; `value_int` has them exact.
    """
    takes = {
        "value": (ValueKind.FLOAT, ValueKind.INT),
        "value_int": (ValueKind.INT,),
        "value_text": (ValueKind.TEXT,),
    }[name]
    is_valid = [_is_there(part) if kind_of(part) in takes else _none(part) for part in parts]
    valid = np.concatenate(is_valid)
    if name == "value_text":
        texts = [
            part.value if isinstance(part.value, TextColumn) else _no_texts(len(part))
            for part in parts
        ]
        joined = join_values(texts)
        assert isinstance(joined, TextColumn)
        return Column("text", joined, valid)
    dtype = np.float64 if name == "value" else np.int64
    numbers = [
        np.zeros(len(part), dtype)
        if isinstance(part.value, TextColumn) or kind_of(part) not in takes
        else part.value.astype(dtype, copy=False)
        for part in parts
    ]
    return Column("f64" if name == "value" else "i64", np.concatenate(numbers), valid)


def kind_of(rows: Columns) -> ValueKind:
    """Value kind, read off the value column."""
    if isinstance(rows.value, TextColumn):
        return ValueKind.TEXT
    return ValueKind.FLOAT if rows.value.dtype == np.float64 else ValueKind.INT


def _is_there(rows: Columns) -> npt.NDArray[np.bool_]:
    is_there: npt.NDArray[np.bool_] = (rows.flags & Flag.NO_VALUE) == 0
    if not isinstance(rows.value, TextColumn) and rows.value.dtype == np.float64:
        is_there &= ~np.isnan(rows.value)
    return is_there


def _none(rows: Columns) -> npt.NDArray[np.bool_]:
    return np.zeros(len(rows), bool)


def _no_texts(rows: int) -> TextColumn:
    return TextColumn(np.zeros(rows + 1, np.uint32), np.zeros(0, np.uint8))
