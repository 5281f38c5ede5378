"""Queries over segments, sealed head and head, as of one pinned moment, without a lock.

Everything here is synchronous and runs in a thread. A Snapshot is made on the
event loop; nothing it points to changes afterwards, so the same snapshot gives
the same answer for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from penstock.historian.block_chunk import HeldBlock, expand
from penstock.historian.block_query import (
    block_pieces,
    block_pieces_before,
    block_pieces_from,
    block_rows,
)
from penstock.historian.columns import Columns, empty_columns, join, merge
from penstock.historian.piece import TIME_MAX, TIME_MIN, ChunkRef, Cursor, Piece, may_hold
from penstock.historian.segment import ChunkFlag
from penstock.historian.store import Store, lost
from penstock.model import ValueKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from penstock.historian.head import HeadView
    from penstock.historian.holds import Hold
    from penstock.historian.last import LastRows
    from penstock.historian.segment import SegmentInfo

SAMPLES_MAX = 100_000
_SIDE = int(ChunkFlag.SIDE)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a query sees: segments, heads (oldest first) and the newest samples of its points.

    `hold` keeps the segments' files on disk for as long as this lives. With `as_of`
    it sees only rows of log records up to that sequence: whatever arrived later,
    corrections too, has not happened.
    """

    store: Store
    segments: tuple[SegmentInfo, ...]
    heads: tuple[HeadView, ...]
    last: LastRows
    sequence: int
    hold: Hold | None = None
    as_of: int | None = None
    _memory: dict[int, list[tuple[ValueKind, Piece]]] = field(default_factory=dict)

    def kind(self, handle: int) -> ValueKind | None:
        """Value kind of a point; None if it never had a sample."""
        place = int(np.flatnonzero(self.last.point == handle)[0])
        kind = int(self.last.kind[place])
        return ValueKind(kind) if kind else None

    def at_sequence(self, sequence: int) -> Snapshot:
        """The same history as it was known when log record `sequence` had been read."""
        if sequence >= self.sequence and self.as_of is None:
            return self
        seen = min(sequence, self.sequence)
        return replace(self, as_of=seen, sequence=seen, _memory={})

    def pieces(self, handle: int, from_ns: int, to_ns: int) -> list[Piece]:
        """Pieces that may have rows with from <= time < to, oldest first."""
        kind = self.kind(handle)
        if kind is None:
            return []
        if kind is ValueKind.WAVEFORM:
            return block_pieces(self, handle, from_ns, to_ns)
        found: list[Piece] = []
        for order, info in enumerate(self.segments):
            if may_hold(info, handle, from_ns, to_ns):
                found += self._chunks(order, info, handle, kind, from_ns, to_ns)
        found += self._in_memory(handle, kind)
        found = [piece for piece in found if piece.first_ns < to_ns and piece.last_ns >= from_ns]
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
        """The newest visible row before a moment, or no row.

        The table of newest samples is no short cut: of three rows of one moment, A, B and
        A again, it has the last, and history the second, because the third repeats the first.
        """
        kind = self.kind(handle)
        if kind is None:
            return empty_columns(ValueKind.FLOAT)
        rows = self._rows_before(handle, kind, time_ns)
        return rows.slice(max(0, len(rows) - 1), len(rows))

    def newest_used_before(self, handle: int, time_ns: int, used_from: int) -> Columns:
        """The newest visible row before a moment with at least that quality, or no row."""
        kind = self.kind(handle)
        if kind is None:
            return empty_columns(ValueKind.FLOAT)
        while len(rows := self._rows_before(handle, kind, time_ns)):
            used = np.flatnonzero(rows.quality >= used_from)
            if len(used):
                return rows.slice(int(used[-1]), int(used[-1]) + 1)
            time_ns = int(rows.time_ns[0])
        return empty_columns(kind)

    def oldest_from(self, handle: int, time_ns: int) -> Columns:
        """The oldest visible row at or after a moment, or no row."""
        kind = self.kind(handle)
        if kind is None:
            return empty_columns(ValueKind.FLOAT)
        pieces = self._pieces_from(handle, kind, time_ns)
        bound = min((piece.last_ns for piece in pieces), default=TIME_MAX)
        relevant = [piece for piece in pieces if piece.first_ns <= bound]
        rows = self.load(relevant) if relevant else empty_columns(kind)
        begin = int(np.searchsorted(rows.time_ns, time_ns))
        return rows.slice(begin, min(len(rows), begin + 1))

    def _rows_before(self, handle: int, kind: ValueKind, time_ns: int) -> Columns:
        """Some rows before a moment, without a hole behind the first; none if there are none."""
        pieces = self._pieces_before(handle, kind, time_ns)
        bound = max((piece.first_ns for piece in pieces), default=TIME_MIN)
        relevant = [piece for piece in pieces if piece.last_ns >= bound]
        if not relevant:
            return empty_columns(kind)
        return self.load(relevant).between(bound, time_ns)

    def _pieces_before(self, handle: int, kind: ValueKind, time_ns: int) -> list[Piece]:
        """Pieces that begin before the moment; older segments only while they could matter."""
        if kind is ValueKind.WAVEFORM:
            return block_pieces_before(self, handle, time_ns)
        found = [piece for piece in self._in_memory(handle, kind) if piece.first_ns < time_ns]
        bound = max((piece.first_ns for piece in found), default=TIME_MIN)
        numbered = sorted(enumerate(self.segments), key=lambda item: -item[1].last_ns)
        for order, info in numbered:
            if info.last_ns < bound:
                break
            if may_hold(info, handle, TIME_MIN, time_ns):
                new = self._chunks(order, info, handle, kind, bound, time_ns)
                found += new
                bound = max([bound, *(piece.first_ns for piece in new)])
        return found

    def _pieces_from(self, handle: int, kind: ValueKind, time_ns: int) -> list[Piece]:
        """Pieces that end at or after the moment; newer segments only while they could matter."""
        if kind is ValueKind.WAVEFORM:
            return block_pieces_from(self, handle, time_ns)
        found = [piece for piece in self._in_memory(handle, kind) if piece.last_ns >= time_ns]
        bound = min((piece.last_ns for piece in found), default=TIME_MAX)
        for order, info in sorted(enumerate(self.segments), key=lambda item: item[1].first_ns):
            if info.first_ns > bound:
                break
            if may_hold(info, handle, time_ns, TIME_MAX):
                new = self._chunks(order, info, handle, kind, time_ns, bound + 1)
                found += new
                bound = min([bound, *(piece.last_ns for piece in new)])
        return found

    def _in_memory(self, handle: int, kind: ValueKind) -> list[Piece]:
        """Rows of a handle in the heads; one pass over the heads for all points of the query."""
        if not self._memory:
            handles = self.last.point
            self._memory.update({int(handle): [] for handle in handles})
            for order, view in enumerate(self.heads, 2 * len(self.segments)):
                for found, found_kind, all_rows in view.columns_of(handles):
                    rows = self._seen(all_rows)
                    if not len(rows):
                        continue
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
        if self.as_of is not None:
            is_hit &= table.first_sequence[span] <= np.uint64(self.as_of)
        found = [
            self._piece(order, ChunkRef(info, table, chunk))
            for chunk in (np.flatnonzero(is_hit) + chunks.start).tolist()
        ]
        return [piece for piece in found if piece is not None]

    def _piece(self, order: int, ref: ChunkRef) -> Piece | None:
        """A chunk as a piece; one of which only a part is known yet is read at once."""
        table, chunk = ref.table, ref.chunk
        is_side = bool(int(table.flags[chunk]) & _SIDE)
        place = 2 * order + (0 if is_side else 1)
        if self.as_of is not None and int(table.last_sequence[chunk]) > self.as_of:
            rows = self.store.chunk(ref.info, table, chunk)
            if rows is not None:
                rows = self._seen(rows)
                if not len(rows):
                    return None
                first, last = int(rows.time_ns[0]), int(rows.time_ns[-1])
                return Piece(first, last, len(rows), place, rows, is_side)
        return Piece(
            int(table.first_ns[chunk]),
            int(table.last_ns[chunk]),
            int(table.rows[chunk]),
            place,
            ref,
            is_side,
        )

    def _seen(self, rows: Columns) -> Columns:
        """Rows that had arrived."""
        if self.as_of is None:
            return rows
        is_seen = rows.sequence <= np.uint64(self.as_of)
        return rows if is_seen.all() else rows.take(np.flatnonzero(is_seen))

    def _load(self, piece: Piece) -> Columns | None:
        source = piece.source
        if isinstance(source, Columns):
            return source
        if isinstance(source, HeldBlock):
            return expand(source.block, source.sequence)
        return self.store.chunk(source.info, source.table, source.chunk)

    @staticmethod
    def _lost(piece: Piece) -> Columns:
        source = piece.source
        assert isinstance(source, ChunkRef)
        table, chunk = source.table, source.chunk
        kind = ValueKind(int(table.kind[chunk]))
        return lost(kind, piece.first_ns, piece.last_ns, int(table.first_sequence[chunk]))


def groups(pieces: list[Piece]) -> Iterator[list[Piece]]:
    """Pieces that overlap in time, in order; pieces of two groups share no moment.

    Each Block is a group of its own, even one that overlaps another: a chain of them may
    be as long as history, and its samples would not fit into memory.
    """
    group: list[Piece] = []
    last_ns = TIME_MIN
    for piece in pieces:
        if group and (piece.first_ns > last_ns or piece.is_block):
            yield group
            group = []
        group.append(piece)
        last_ns = max(last_ns, piece.last_ns)
    if group:
        yield group


def rows_between(snapshot: Snapshot, handle: int, from_ns: int, to_ns: int) -> Iterator[Columns]:
    """Visible rows with from <= time < to, in order, a few chunks at a time."""
    if snapshot.kind(handle) is ValueKind.WAVEFORM:
        yield from block_rows(snapshot, handle, from_ns, to_ns)
        return
    for group in groups(snapshot.pieces(handle, from_ns, to_ns)):
        rows = snapshot.load(group).between(from_ns, to_ns)
        if len(rows):
            yield rows


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
