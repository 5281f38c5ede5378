"""Queries over segments, sealed head and head, as of one pinned moment, without a lock.

Everything here is synchronous and runs in a thread. A Snapshot is made on the
event loop; nothing it points to changes afterwards, so the same snapshot gives
the same answer for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from penstock.historian.columns import UNCERTAIN, Columns, empty_columns, join, merge, values_of
from penstock.historian.segment import ChunkFlag
from penstock.historian.store import Store, lost
from penstock.model import TextColumn, ValueKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from penstock.historian.head import HeadView
    from penstock.historian.holds import Hold
    from penstock.historian.last import LastRows
    from penstock.historian.segment import ChunkTable, SegmentInfo
    from penstock.model.frame import Values

SAMPLES_MAX = 100_000
TIME_MIN, TIME_MAX = -(2**63), 2**63 - 1
_SIDE = int(ChunkFlag.SIDE)


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """A chunk that has not been read; its statistics are in the table."""

    info: SegmentInfo
    table: ChunkTable
    chunk: int

    @property
    def has_statistics(self) -> bool:
        """May the table answer for the chunk: all rows good or uncertain, none replaced?"""
        table, chunk = self.table, self.chunk
        return int(table.worst_quality[chunk]) >= UNCERTAIN and not int(table.flags[chunk]) & _SIDE


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of one point: a chunk on disk or rows in memory.

    `order` decides between rows of one moment and one log record: replaced rows (side
    chunk) come before those that replaced them.
    """

    first_ns: int
    last_ns: int
    rows: int
    order: int
    source: ChunkRef | Columns

    @property
    def is_side(self) -> bool:
        """Rows that a correction in the same segment has replaced."""
        source = self.source
        return isinstance(source, ChunkRef) and bool(int(source.table.flags[source.chunk]) & _SIDE)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a query sees: segments, heads (oldest first) and the newest samples of its points.

    `hold` keeps the segments' files on disk for as long as this lives.
    """

    store: Store
    segments: tuple[SegmentInfo, ...]
    heads: tuple[HeadView, ...]
    last: LastRows
    sequence: int
    hold: Hold | None = None
    _memory: dict[int, list[tuple[ValueKind, Piece]]] = field(default_factory=dict)

    def kind(self, handle: int) -> ValueKind | None:
        """Value kind of a point; None if it never had a sample."""
        place = int(np.flatnonzero(self.last.point == handle)[0])
        kind = int(self.last.kind[place])
        return ValueKind(kind) if kind else None

    def pieces(self, handle: int, from_ns: int, to_ns: int) -> list[Piece]:
        """Pieces that may have rows with from <= time < to, oldest first."""
        kind = self.kind(handle)
        if kind is None:
            return []
        found: list[Piece] = []
        for order, info in enumerate(self.segments):
            if _may_hold(info, handle, from_ns, to_ns):
                found += self._chunks(order, info, handle, kind, from_ns, to_ns)
        found += [
            piece
            for piece in self._in_memory(handle, kind)
            if piece.first_ns < to_ns and piece.last_ns >= from_ns
        ]
        return sorted(found, key=lambda piece: (piece.first_ns, piece.order))

    def load(self, group: list[Piece]) -> Columns:
        """Visible rows of pieces that overlap each other.

        A chunk that cannot be read becomes two bad rows over its span; what it had
        replaced must not come back as good, so the side chunks go with it.
        """
        ordered = sorted(group, key=lambda piece: piece.order)
        found = [self._load(piece) for piece in ordered]
        if any(rows is None for rows in found):
            kept = [piece for piece in ordered if not piece.is_side]
            found = [
                rows if (rows := self._load(piece)) is not None else self._lost(piece)
                for piece in kept
            ]
        return merge([rows for rows in found if rows is not None])

    def newest_before(self, handle: int, time_ns: int) -> Columns:
        """The newest visible row before a moment, or no row."""
        kind = self.kind(handle)
        if kind is None:
            return empty_columns(ValueKind.FLOAT)
        newest = self._last_row(handle, kind)
        if int(newest.time_ns[0]) < time_ns:
            return newest
        pieces = self._pieces_before(handle, kind, time_ns)
        bound = max((piece.first_ns for piece in pieces), default=TIME_MIN)
        relevant = [piece for piece in pieces if piece.last_ns >= bound]
        rows = self.load(relevant) if relevant else empty_columns(kind)
        end = int(np.searchsorted(rows.time_ns, time_ns))
        return rows.slice(max(0, end - 1), end)

    def _last_row(self, handle: int, kind: ValueKind) -> Columns:
        place = int(np.flatnonzero(self.last.point == handle)[0])
        cut = slice(place, place + 1)
        value: Values
        if kind is ValueKind.TEXT:
            value = TextColumn.of([self.last.text[place]])
        else:
            value = values_of(self.last.bits[cut], kind)
        last = self.last
        return Columns(
            last.time_ns[cut], value, last.quality[cut], last.flags[cut], last.sequence[cut]
        )

    def _pieces_before(self, handle: int, kind: ValueKind, time_ns: int) -> list[Piece]:
        """Pieces that begin before the moment; older segments only while they could matter."""
        found = [piece for piece in self._in_memory(handle, kind) if piece.first_ns < time_ns]
        bound = max((piece.first_ns for piece in found), default=TIME_MIN)
        numbered = sorted(enumerate(self.segments), key=lambda item: -item[1].last_ns)
        for order, info in numbered:
            if info.last_ns < bound:
                break
            if _may_hold(info, handle, TIME_MIN, time_ns):
                new = self._chunks(order, info, handle, kind, bound, time_ns)
                found += new
                bound = max([bound, *(piece.first_ns for piece in new)])
        return found

    def _in_memory(self, handle: int, kind: ValueKind) -> list[Piece]:
        """Rows of a handle in the heads; one pass over the heads for all points of the query."""
        if not self._memory:
            handles = self.last.point
            self._memory.update({int(handle): [] for handle in handles})
            for order, view in enumerate(self.heads, 2 * len(self.segments)):
                for found, found_kind, rows in view.columns_of(handles):
                    first, last = int(rows.time_ns.min()), int(rows.time_ns.max())
                    piece = Piece(first, last, len(rows), order, rows)
                    self._memory[found].append((found_kind, piece))
        return [piece for found_kind, piece in self._memory[handle] if found_kind is kind]

    def _chunks(
        self,
        order: int,
        info: SegmentInfo,
        handle: int,
        kind: ValueKind,
        from_ns: int,
        to_ns: int,
    ) -> list[Piece]:
        table = self.store.table(info)
        if table is None:
            rows = lost(kind, info.first_ns, info.last_ns, info.after + 1)
            return [Piece(info.first_ns, info.last_ns, len(rows), 2 * order, rows)]
        chunks = table.of(handle)
        span = slice(chunks.start, chunks.stop)
        is_hit = (
            (table.first_ns[span] < to_ns)
            & (table.last_ns[span] >= from_ns)
            & (table.kind[span] == kind)
        )
        return [
            Piece(
                int(table.first_ns[chunk]),
                int(table.last_ns[chunk]),
                int(table.rows[chunk]),
                2 * order + (0 if int(table.flags[chunk]) & _SIDE else 1),
                ChunkRef(info, table, chunk),
            )
            for chunk in (np.flatnonzero(is_hit) + chunks.start).tolist()
        ]

    def _load(self, piece: Piece) -> Columns | None:
        source = piece.source
        if isinstance(source, Columns):
            return source
        return self.store.chunk(source.info, source.table, source.chunk)

    @staticmethod
    def _lost(piece: Piece) -> Columns:
        source = piece.source
        assert isinstance(source, ChunkRef)
        table, chunk = source.table, source.chunk
        kind = ValueKind(int(table.kind[chunk]))
        return lost(kind, piece.first_ns, piece.last_ns, int(table.first_sequence[chunk]))


def _may_hold(info: SegmentInfo, handle: int, from_ns: int, to_ns: int) -> bool:
    return (
        info.first_point <= handle <= info.last_point
        and info.first_ns < to_ns
        and info.last_ns >= from_ns
    )


def groups(pieces: list[Piece]) -> Iterator[list[Piece]]:
    """Pieces that overlap in time, in order; pieces of two groups share no moment."""
    group: list[Piece] = []
    last_ns = TIME_MIN
    for piece in pieces:
        if group and piece.first_ns > last_ns:
            yield group
            group = []
        group.append(piece)
        last_ns = max(last_ns, piece.last_ns)
    if group:
        yield group


def rows_between(snapshot: Snapshot, handle: int, from_ns: int, to_ns: int) -> Iterator[Columns]:
    """Visible rows with from <= time < to, in order, a few chunks at a time."""
    for group in groups(snapshot.pieces(handle, from_ns, to_ns)):
        rows = snapshot.load(group).between(from_ns, to_ns)
        if len(rows):
            yield rows


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page begins: at `time_ns`, behind the first `skip` rows of that moment."""

    time_ns: int
    skip: int

    def __str__(self) -> str:
        return f"{self.time_ns}.{self.skip}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """ValueError for anything that str() did not give."""
        time_ns, _, skip = text.partition(".")
        cursor = cls(int(time_ns), int(skip))
        if str(cursor) != text or cursor.skip < 0 or not TIME_MIN <= cursor.time_ns <= TIME_MAX:
            raise ValueError(f"{text!r} is not a cursor")
        return cursor


def raw(
    snapshot: Snapshot,
    handle: int,
    from_ns: int,
    to_ns: int,
    limit: int,
    after: Cursor | None = None,
) -> tuple[Columns, Cursor | None]:
    """Up to `limit` rows and where to go on; None at the end."""
    assert 0 < limit <= SAMPLES_MAX
    begin_ns, skip = (from_ns, 0) if after is None else (max(from_ns, after.time_ns), after.skip)
    found: list[Columns] = []
    wanted = limit + skip + 1
    for rows in rows_between(snapshot, handle, begin_ns, to_ns):
        found.append(rows.slice(0, min(wanted, len(rows))))
        wanted -= len(found[-1])
        if wanted == 0:
            break
    if not found:
        return empty_columns(snapshot.kind(handle) or ValueKind.FLOAT), None
    page = join(found)
    page = page.slice(min(skip, len(page)), len(page))
    if len(page) <= limit:
        return page, None
    page = page.slice(0, limit)
    return page, _cursor_behind(page.time_ns, begin_ns, skip)


def _cursor_behind(time_ns: npt.NDArray[np.int64], begin_ns: int, skip: int) -> Cursor:
    last = int(time_ns[-1])
    same = int(np.count_nonzero(time_ns == last))
    return Cursor(last, same + (skip if last == begin_ns else 0))
