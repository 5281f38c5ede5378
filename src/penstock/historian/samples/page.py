"""A page of samples of many points as an Arrow stream, exact to the bit.

Points come in the order of the request, each in time order, and a page holds points of
one value kind: so `value` has one type, and no column is made for nothing. A page ends
at its number of rows, of bytes of text or of points looked at, whichever is first; so a
question of any size is a row of small answers, and each can be asked again.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penstock.historian.columns import Columns, empty_columns, join
from penstock.historian.piece import Cursor
from penstock.historian.query import rows_between
from penstock.historian.sql.arrow import Column, batch_of, schema_of
from penstock.historian.sql.scan import kind_of
from penstock.model import Flag, TextColumn, ValueKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.historian.query import Snapshot

ROWS_MAX = 524_288
POINTS_MAX = 10_000
LOOKS_MAX = 2_048
TEXT_BYTES_MAX = 16 * 1024 * 1024
_TYPE = {ValueKind.FLOAT: "f64", ValueKind.INT: "i64", ValueKind.TEXT: "text"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: at a point of the list, and there behind a row."""

    point: int = 0
    after: Cursor | None = None

    def __str__(self) -> str:
        return f"{self.point}.{self.after}" if self.after else str(self.point)

    @classmethod
    def parse(cls, text: str, points: int) -> Place:
        """ValueError for anything that str() did not give for so many points."""
        number, _, after = text.partition(".")
        place = cls(int(number), Cursor.parse(after) if after else None)
        if str(place) != text or not 0 <= place.point < points:
            raise ValueError(f"{text!r} is not a place")
        return place


@dataclass(frozen=True, slots=True)
class Page:
    """`parts` are (number of the point in the list, its rows); `following` is None at the end."""

    parts: Sequence[tuple[int, Columns]]
    following: Place | None
    sequence: int

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return sum(len(part) for _, part in self.parts)


def page_of(
    snapshot: Snapshot,
    handles: Sequence[int],
    span: tuple[int, int],
    limit: int,
    place: Place,
) -> Page:
    """Up to `limit` rows of the points from `place` on."""
    assert 0 < limit <= ROWS_MAX
    page_kind: ValueKind | None = None
    parts: list[tuple[int, Columns]] = []
    room = _Room(limit, TEXT_BYTES_MAX)
    number, after = place.point, place.after
    end = min(len(handles), place.point + LOOKS_MAX)
    while number < end and not room.is_used():
        kind = _column_kind(snapshot.kind(handles[number]))
        if kind is not None and page_kind not in {None, kind}:
            break
        if kind is not None:
            found, after = _read(snapshot, handles[number], span, room, after)
            parts += [(number, rows) for rows in found]
            page_kind = kind if found else page_kind
        number += after is None
    following = Place(number, after) if number < len(handles) else None
    return Page(parts, following, snapshot.sequence)


@dataclass(slots=True)
class _Room:
    """What may still be taken into the page."""

    rows: int
    text_bytes: int

    def is_used(self) -> bool:
        return self.rows <= 0 or self.text_bytes <= 0

    def take(self, rows: Columns) -> Columns:
        """As many of the rows as there is room for, at least one."""
        taken = rows.slice(0, min(len(rows), self.rows))
        if isinstance(taken.value, TextColumn):
            ends = taken.value.offset[1:] - taken.value.offset[0]
            fitting = int(np.searchsorted(ends, self.text_bytes, "right"))
            taken = taken.slice(0, max(1, fitting))
            self.text_bytes -= int(ends[len(taken) - 1])
            if len(taken) < len(rows):
                self.text_bytes = 0
        self.rows -= len(taken)
        return taken


def _read(
    snapshot: Snapshot, handle: int, span: tuple[int, int], room: _Room, after: Cursor | None
) -> tuple[list[Columns], Cursor | None]:
    """Rows of one point while there is room, and where to go on; None when it has no more."""
    begin_ns, skip = (span[0], 0) if after is None else (max(span[0], after.time_ns), after.skip)
    found: list[Columns] = []
    for all_rows in rows_between(snapshot, handle, begin_ns, span[1]):
        passed = min(skip, len(all_rows))
        rows = all_rows.slice(passed, len(all_rows)) if passed else all_rows
        skip -= passed
        if not len(rows):
            continue
        if room.is_used():
            return found, _behind(found, after)
        found.append(room.take(rows))
        if len(found[-1]) < len(rows):
            return found, _behind(found, after)
    return found, None


def _behind(found: Sequence[Columns], after: Cursor | None) -> Cursor:
    """The place behind the last row; rows of its moment may also lie on the page before."""
    last = int(found[-1].time_ns[-1])
    same = 0
    for rows in reversed(found):
        of_last = int(np.count_nonzero(rows.time_ns == last))
        same += of_last
        if of_last < len(rows):
            break
    return Cursor(last, same + (after.skip if after is not None and after.time_ns == last else 0))


def _column_kind(kind: ValueKind | None) -> ValueKind | None:
    """Samples of waveforms are floats."""
    return ValueKind.FLOAT if kind is ValueKind.WAVEFORM else kind


def arrow_of(page: Page) -> bytes:
    """Arrow IPC stream: point u32 (number in the list), time, value, quality u8, flags u8."""
    from nanoarrow.ipc import StreamWriter  # noqa: PLC0415 - on first use only

    kind = kind_of(page.parts[0][1]) if page.parts else ValueKind.FLOAT
    columns = [("point", "u32"), ("time", "time"), ("value", _TYPE[kind])]
    schema = schema_of([*columns, ("quality", "u8"), ("flags", "u8")])
    out = io.BytesIO()
    with StreamWriter.from_writable(out) as writer:
        writer.write_stream(_batch(schema, page.parts, _TYPE[kind]))
    return out.getvalue()


def _batch(schema: object, parts: Sequence[tuple[int, Columns]], kind: str) -> object:
    counts = [len(rows) for _, rows in parts]
    numbers = np.repeat(np.array([number for number, _ in parts], np.uint32), counts)
    rows = join([part for _, part in parts]) if parts else empty_columns(ValueKind.FLOAT)
    columns = [
        Column("u32", numbers),
        Column("time", rows.time_ns),
        Column(kind, rows.value, (rows.flags & Flag.NO_VALUE) == 0),
        Column("u8", rows.quality),
        Column("u8", rows.flags),
    ]
    return batch_of(schema, len(numbers), columns)
