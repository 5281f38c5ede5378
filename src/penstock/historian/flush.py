"""Flush: a sealed head becomes one sorted segment file. Runs in a thread, owns nothing else.

Rows are sorted by point alone, in a stable way: arrival is nearly always time order
within a point, so times are only checked, and a block with late rows is sorted
again. Blocks of 256 Ki rows keep the working memory below 40 MB however full
the head is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from penstock.codec.layout import crc
from penstock.historian.chunk import CHUNK_ROWS_MAX, CHUNK_TEXT_BYTES_MAX, Encoding
from penstock.historian.columns import judge
from penstock.historian.encode import PACKED_ROWS_MIN, Chunks, DecimalHints, encode_chunks
from penstock.historian.segment import (
    ChunkFlag,
    ChunkTable,
    SegmentInfo,
    encode_header,
    encode_table,
    join_tables,
    segment_name,
)
from penstock.historian.statistics import bits_of, statistics_of
from penstock.model import TextColumn
from penstock.model.time import format_ns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    import numpy.typing as npt

    from penstock.codec.layout import Buffer
    from penstock.historian.columns import Columns
    from penstock.historian.head import HeadRows, HeadView
    from penstock.historian.last import LastRows
    from penstock.world import AppendFile, Disk

BLOCK_ROWS = 262_144


def write_segment(
    disk: Disk,
    folder: Path,
    view: HeadView,
    before: LastRows,
    hints: DecimalHints,
    incarnation: int,
    taken: Collection[str] = (),
) -> SegmentInfo | None:
    """Write all rows of the view durably under their final name; None if there are none.

    The file counts only once a manifest lists it; a file of that name that an
    interrupted flush left behind is replaced. Names in `taken` are listed already
    (a log that lost its end uses sequences again) and are passed by.
    """
    if not view.rows:
        return None
    first_ns = min(int(rows.time_ns.min()) for rows in view.kinds if len(rows))
    first_sequence = min(int(rows.sequence[0]) + rows.base for rows in view.kinds if len(rows))
    day = int(format_ns(first_ns)[:10].replace("-", ""))
    generation = next(n for n in count() if segment_name(day, first_sequence, n) not in taken)
    path = folder / segment_name(day, first_sequence, generation)
    disk.remove(path)
    file = disk.append_to(path)
    try:
        writer = _Writer(file, before, hints)
        writer.append([encode_header(day, generation, view.after, view.sequence, incarnation)])
        for rows in view.kinds:
            for block in _blocks(rows):
                writer.add_block(block)
        table = join_tables(writer.tables)
        table_offset = writer.offset
        writer.append(encode_table(table, table_offset))
        file.sync()
    finally:
        file.close()
    return SegmentInfo(
        day,
        generation,
        first_sequence,
        view.after,
        view.sequence,
        int(table.first_ns.min()),
        int(table.last_ns.max()),
        int(table.point[0]),
        int(table.point[-1]),
        int(table.rows.sum()),
        len(table),
        table_offset,
        writer.offset,
    )


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows of some whole points in (point, time, arrival) order."""

    kind: int
    point: npt.NDArray[np.uint32]
    rows: Columns


def _blocks(rows: HeadRows) -> Iterator[_Block]:
    order = _order_of(rows.point)
    begin = 0
    while begin < len(order):
        end = _block_end(rows.point, order, begin)
        index = order[begin:end]
        point = rows.point[index]
        time_ns = rows.time_ns[index]
        if ((time_ns[1:] < time_ns[:-1]) & (point[1:] == point[:-1])).any():
            again = np.lexsort((time_ns, point))
            index, point = index[again], point[again]
        yield _Block(rows.kind, point, rows.take(index))
        begin = end


def _order_of(point: npt.NDArray[np.uint32]) -> npt.NDArray[np.intp]:
    """Rows by (point, arrival): numpy sorts 16 bit numbers by radix, 10 ns a row and pass."""
    order = np.argsort(point.astype(np.uint16), kind="stable")
    if len(point) and int(point.max()) > 0xFFFF:
        high = (point >> np.uint32(16)).astype(np.uint16)
        order = order[np.argsort(high[order], kind="stable")]
    return order


def _block_end(point: npt.NDArray[np.uint32], order: npt.NDArray[np.intp], begin: int) -> int:
    """End of a block of about BLOCK_ROWS that cuts no point (a point may be larger than that)."""
    end = begin + BLOCK_ROWS
    if end >= len(order):
        return len(order)
    last = point[order[end - 1]]
    while end < len(order) and point[order[end]] == last:
        step = order[end : end + BLOCK_ROWS]
        other = np.flatnonzero(point[step] != last)
        end += int(other[0]) if len(other) else len(step)
    return end


class _Writer:
    """Appends chunks to the file and collects their table."""

    def __init__(self, file: AppendFile, before: LastRows, hints: DecimalHints) -> None:
        self.offset = 0
        self.tables: list[ChunkTable] = []
        self._file = file
        self._before = before
        self._hints = hints

    def append(self, buffers: list[Buffer]) -> None:
        self.offset += self._file.append(buffers)

    def add_block(self, block: _Block) -> None:
        point, rows = block.point, block.rows
        is_first = np.ones(len(point), bool)
        is_first[1:] = (point[1:] != point[:-1]) | (rows.time_ns[1:] != rows.time_ns[:-1])
        if is_first.all():
            self._add_chunks(block, 0)
            return
        is_duplicate, is_hidden = judge(is_first, rows.value, rows.quality, rows.flags)
        for is_kept, flag in (
            (~is_duplicate & ~is_hidden, 0),
            (~is_duplicate & is_hidden, ChunkFlag.SIDE),
        ):
            index = np.flatnonzero(is_kept)
            if len(index):
                self._add_chunks(_Block(block.kind, point[index], rows.take(index)), flag)

    def _add_chunks(self, block: _Block, flag: int) -> None:
        starts = _starts(block)
        ends = np.append(starts[1:], len(block.point))
        numbers = statistics_of(block.rows, starts)
        handles = block.point[starts]
        chunks = Chunks(block.point, starts, ends)
        pieces = list(encode_chunks(block.rows, chunks, self._hints))
        size = np.array([len(piece) for piece in pieces], np.uint32)
        rows, last = block.rows, ends - 1
        first_ns, last_ns = rows.time_ns[starts], rows.time_ns[last]
        late = self._late(handles, first_ns)
        length = (ends - starts).astype(np.uint32)
        packed = np.where(length >= PACKED_ROWS_MIN, Encoding.PCODEC, Encoding.RAW)
        table = ChunkTable(
            first_ns=first_ns,
            last_ns=last_ns,
            first_sequence=np.minimum.reduceat(rows.sequence, starts),
            last_sequence=np.maximum.reduceat(rows.sequence, starts),
            minimum=numbers.minimum,
            maximum=numbers.maximum,
            mean=numbers.mean,
            m2=numbers.m2,
            integral=numbers.integral,
            valued_ns=numbers.valued_ns,
            first_value=bits_of(rows, starts),
            last_value=bits_of(rows, last),
            offset=self.offset + np.cumsum(size, dtype=np.uint64) - size,
            point=handles,
            rows=length,
            count=numbers.count,
            bytes=size,
            crc=np.array([crc(piece) for piece in pieces], np.uint32),
            kind=np.full(len(starts), block.kind, np.uint8),
            encoding=packed.astype(np.uint8),
            flags=numbers.flags | np.uint8(flag) | late,
            worst_quality=np.minimum.reduceat(rows.quality, starts),
            first_quality=rows.quality[starts],
            last_quality=rows.quality[last],
        )
        self.tables.append(table)
        self.append(list(pieces))

    def _late(
        self, handles: npt.NDArray[np.uint32], first_ns: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.uint8]:
        """LATE where a chunk does not begin behind what earlier segments have of its point."""
        before = self._before
        if not len(before):
            return np.zeros(len(handles), np.uint8)
        place = np.minimum(np.searchsorted(before.point, handles), len(before) - 1)
        is_late = (before.point[place] == handles) & (first_ns <= before.time_ns[place])
        return np.where(is_late, ChunkFlag.LATE, 0).astype(np.uint8)


def _starts(block: _Block) -> npt.NDArray[np.intp]:
    """First rows of the chunks: a new point, 16,384 rows, or 4 MiB of text."""
    point = block.point
    is_first = np.ones(len(point), bool)
    is_first[1:] = point[1:] != point[:-1]
    begin = np.flatnonzero(is_first)
    length = np.diff(np.append(begin, len(point)))
    place = np.arange(len(point)) - np.repeat(begin, length)
    is_first |= place % CHUNK_ROWS_MAX == 0
    value = block.rows.value
    if isinstance(value, TextColumn):
        offset = value.offset[:-1].astype(np.int64)
        share = (offset - np.repeat(offset[begin], length)) // CHUNK_TEXT_BYTES_MAX
        is_first[1:] |= share[1:] != share[:-1]
    return np.flatnonzero(is_first)
