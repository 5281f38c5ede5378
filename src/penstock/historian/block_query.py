"""Questions about Blocks: a list of their heads, one of them whole, their samples in order.

The list reads chunk tables only. Samples are read Block by Block, so that a span of any
length costs the memory of the Blocks that overlap each other, which is nearly always one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from penstock.historian.blocks import (
    BlockHeads,
    heads_of_memory,
    heads_of_table,
    in_order,
    join_heads,
    judge_blocks,
    no_heads,
)
from penstock.historian.columns import UNCERTAIN, Columns, merge
from penstock.historian.piece import TIME_MAX, TIME_MIN, ChunkRef, Cursor, Piece, may_hold
from penstock.historian.store import lost
from penstock.model import Block, Flag, Quality, Refused, ValueKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from penstock.historian.block_chunk import HeldBlock
    from penstock.historian.query import Snapshot
    from penstock.historian.segment import ChunkTable, SegmentInfo

BLOCKS_MAX = 10_000
_WAVEFORM = ValueKind.WAVEFORM


@dataclass(frozen=True, slots=True)
class FoundBlocks:
    """Heads of Blocks, and the tables that they came from, so that their samples can be read."""

    snapshot: Snapshot
    heads: BlockHeads
    tables: dict[int, ChunkTable]

    def __len__(self) -> int:
        return len(self.heads)

    def take(self, index: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> FoundBlocks:
        """Some of them, by place or by mask."""
        return replace(self, heads=self.heads.take(index))

    def source(self, row: int) -> ChunkRef | HeldBlock:
        """Where the Block of a row lies."""
        source, place = int(self.heads.source[row]), int(self.heads.place[row])
        segments = self.snapshot.segments
        if source >= len(segments):
            return self.snapshot.heads[source - len(segments)].blocks.items[place]
        return ChunkRef(segments[source], self.tables[source], place)

    def read(self, row: int) -> Block | None:
        """The Block of a row; None (and a named damage) if its bytes cannot be trusted."""
        source = self.source(row)
        if not isinstance(source, ChunkRef):
            return source.block
        return self.snapshot.store.block(source.info, source.table, source.chunk)


def visible_blocks(snapshot: Snapshot, handle: int, from_ns: int, to_ns: int) -> FoundBlocks:
    """Visible Blocks with a sample in from <= time < to, by t0; of one t0 by arrival."""
    found = _gather(snapshot, handle, from_ns, to_ns)
    begin_ns = int(found.heads.t0_ns.min()) if len(found) else from_ns
    if begin_ns < from_ns:  # what hides a Block has its t0, and may end before the span
        found = _gather(snapshot, handle, begin_ns, to_ns)
    found = found.take(in_order(found.heads))
    is_duplicate, is_hidden = judge_blocks(found.heads, found.read)
    is_visible = ~(is_duplicate | is_hidden) & found.heads.is_between(from_ns, to_ns)
    return found.take(is_visible)


def blocks(
    snapshot: Snapshot,
    handle: int,
    from_ns: int,
    to_ns: int,
    limit: int,
    after: Cursor | None = None,
) -> tuple[BlockHeads, Cursor | None]:
    """Up to `limit` heads of Blocks with a sample in the span, and where to go on."""
    assert 0 < limit <= BLOCKS_MAX
    if snapshot.kind(handle) is not _WAVEFORM:
        return no_heads(), None
    begin_ns = from_ns if after is None else max(from_ns, after.time_ns)
    found = visible_blocks(snapshot, handle, begin_ns, to_ns).heads
    if after is not None:
        begin = int(np.searchsorted(found.t0_ns, after.time_ns)) + after.skip
        found = found.take(np.arange(min(begin, len(found)), len(found)))
    if len(found) <= limit:
        return found, None
    page = found.take(np.arange(limit))
    newest = int(page.t0_ns[-1])
    same = int(np.count_nonzero(page.t0_ns == newest))
    is_same_moment = after is not None and after.time_ns == newest
    return page, Cursor(newest, same + (after.skip if after is not None and is_same_moment else 0))


def one_block(snapshot: Snapshot, handle: int, t0_ns: int, sequence: int | None = None) -> Block:
    """The Block that begins at `t0_ns`, whole; of several the newest, or that of `sequence`.

    Refused("not_found") if there is none, Refused("data_damaged") if it cannot be read.
    """
    if snapshot.kind(handle) is _WAVEFORM:
        found = visible_blocks(snapshot, handle, t0_ns, t0_ns + 1)
        is_asked = found.heads.t0_ns == t0_ns
        if sequence is not None:
            is_asked &= found.heads.sequence == np.uint64(sequence)
        rows = np.flatnonzero(is_asked).tolist()
        if rows and (block := found.read(rows[-1])) is not None:
            return block
        if rows or lost_spans(snapshot, handle, t0_ns, t0_ns + 1):
            raise Refused("data_damaged", f"The block that begins at {t0_ns} cannot be read.")
    raise Refused("not_found", f"The point has no block that begins at {t0_ns}.")


def lost_spans(snapshot: Snapshot, handle: int, from_ns: int, to_ns: int) -> list[tuple[int, int]]:
    """Spans of segments whose table is damaged: what they had of the point is not known."""
    return [
        (max(info.first_ns, from_ns), min(info.last_ns + 1, to_ns))
        for info in snapshot.segments
        if may_hold(info, handle, from_ns, to_ns) and snapshot.store.table(info) is None
    ]


# --- Blocks as samples


def block_rows(snapshot: Snapshot, handle: int, from_ns: int, to_ns: int) -> Iterator[Columns]:
    """Samples of all Blocks with from <= time < to, in order; Blocks may overlap."""
    waiting: list[Columns] = []
    for piece in block_pieces(snapshot, handle, from_ns, to_ns):
        if waiting and any(rows.time_ns[-1] >= piece.first_ns for rows in waiting):
            done, rest = _cut(merge(waiting), piece.first_ns)
            waiting = [rest]
        elif waiting:
            done, waiting = merge(waiting), []
        else:
            done = None
        if done is not None and len(rows := done.between(from_ns, to_ns)):
            yield rows
        waiting.append(snapshot.load([piece]))
    if waiting and len(rows := merge(waiting).between(from_ns, to_ns)):
        yield rows


def _cut(rows: Columns, time_ns: int) -> tuple[Columns, Columns]:
    place = int(np.searchsorted(rows.time_ns, time_ns))
    return rows.slice(0, place), rows.slice(place, len(rows))


def block_pieces(snapshot: Snapshot, handle: int, from_ns: int, to_ns: int) -> list[Piece]:
    """Visible Blocks as pieces, oldest first; a segment that cannot be read as bad rows."""
    found = visible_blocks(snapshot, handle, from_ns, to_ns)
    heads = found.heads
    columns = zip(heads.t0_ns.tolist(), heads.last_ns.tolist(), heads.samples.tolist(), strict=True)
    pieces = [
        Piece(t0_ns, last_ns, max(samples, 1), order, found.source(order))
        for order, (t0_ns, last_ns, samples) in enumerate(columns)
    ]
    for info in _segments(snapshot, handle, from_ns, to_ns):
        if snapshot.store.table(info) is None:
            rows = lost(_WAVEFORM, info.first_ns, info.last_ns, info.after + 1)
            pieces.append(Piece(info.first_ns, info.last_ns, len(rows), len(pieces), rows))
    return sorted(pieces, key=lambda piece: (piece.first_ns, piece.order))


def block_pieces_before(snapshot: Snapshot, handle: int, time_ns: int) -> list[Piece]:
    """The newest Blocks that begin before the moment: none of the others can matter."""
    bound = _newest_t0(snapshot, handle, time_ns)
    return block_pieces(snapshot, handle, bound, time_ns) if bound > TIME_MIN else []


def newest_rms(snapshot: Snapshot, handle: int) -> Columns:
    """Begin and RMS of the newest Block as one row, as the live value has them; or no row."""
    bound = _newest_t0(snapshot, handle, TIME_MAX)
    heads = visible_blocks(snapshot, handle, bound, TIME_MAX).heads
    newest = heads.take(np.arange(len(heads))[-1:])
    rms = newest.rms
    flags = np.where(np.isnan(rms), newest.flags | np.uint8(Flag.NO_VALUE), newest.flags)
    is_lie = np.isnan(rms) & (newest.quality >= UNCERTAIN)
    quality = np.where(is_lie, np.uint8(Quality.BAD_NOT_AVAILABLE), newest.quality)
    return Columns(newest.t0_ns, rms, quality, flags, newest.sequence)


def _newest_t0(snapshot: Snapshot, handle: int, time_ns: int) -> int:
    """Begin of the newest Block before the moment; TIME_MIN without one."""
    bound = TIME_MIN
    for info in sorted(snapshot.segments, key=lambda info: -info.last_ns):
        if info.last_ns < bound:
            break
        found = _gather(snapshot, handle, bound, time_ns, only=info).heads
        bound = max(bound, int(found.t0_ns.max(initial=TIME_MIN)))
    in_memory = _in_memory(snapshot, handle).between(bound, time_ns)
    return max(bound, int(in_memory.t0_ns.max(initial=TIME_MIN)))


def block_pieces_from(snapshot: Snapshot, handle: int, time_ns: int) -> list[Piece]:
    """The oldest Blocks that end at or after the moment: none of the others can matter."""
    bound = TIME_MAX
    for info in sorted(snapshot.segments, key=lambda info: info.first_ns):
        if info.first_ns > bound:
            break
        found = _gather(snapshot, handle, time_ns, bound, only=info).heads
        bound = min(bound, int(found.last_ns.min(initial=TIME_MAX - 1)) + 1)
    in_memory = _in_memory(snapshot, handle).between(time_ns, bound)
    bound = min(bound, int(in_memory.last_ns.min(initial=TIME_MAX - 1)) + 1)
    return block_pieces(snapshot, handle, time_ns, bound) if bound < TIME_MAX else []


# --- where they lie


def _gather(
    snapshot: Snapshot,
    handle: int,
    from_ns: int,
    to_ns: int,
    only: SegmentInfo | None = None,
) -> FoundBlocks:
    """All Blocks with a sample in the span, visible or not, in no order; `only` of one segment."""
    pieces, tables = [], {}
    for source, info in enumerate(snapshot.segments):
        if only not in {None, info} or not may_hold(info, handle, from_ns, to_ns):
            continue
        table = snapshot.store.table(info)
        if table is not None:
            tables[source] = table
            pieces.append(_of_table(table, handle, source).between(from_ns, to_ns))
    if only is None:
        pieces.append(_in_memory(snapshot, handle).between(from_ns, to_ns))
    return FoundBlocks(snapshot, _seen(snapshot, join_heads(pieces)), tables)


def _of_table(table: ChunkTable, handle: int, source: int) -> BlockHeads:
    chunks = table.of(handle)
    index = np.arange(chunks.start, chunks.stop)
    return heads_of_table(table, index[table.kind[index] == _WAVEFORM], source)


def _in_memory(snapshot: Snapshot, handle: int) -> BlockHeads:
    pieces = [
        heads_of_memory(view.blocks.items, np.flatnonzero(view.blocks.point == handle), source)
        for source, view in enumerate(snapshot.heads, len(snapshot.segments))
    ]
    return _seen(snapshot, join_heads(pieces))


def _seen(snapshot: Snapshot, found: BlockHeads) -> BlockHeads:
    """Blocks that had arrived."""
    if snapshot.as_of is None:
        return found
    return found.take(found.sequence <= np.uint64(snapshot.as_of))


def _segments(snapshot: Snapshot, handle: int, from_ns: int, to_ns: int) -> Iterator[SegmentInfo]:
    return (info for info in snapshot.segments if may_hold(info, handle, from_ns, to_ns))
