"""SegmentWriter: appends chunks to a segment file and collects their table.

Flush and compaction sort rows each in their own way; what a chunk is, where one ends,
and which rows a correction or a repetition takes out, is decided here for both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from penstock.codec.layout import crc
from penstock.historian.chunk import CHUNK_ROWS_MAX, CHUNK_TEXT_BYTES_MAX, Encoding
from penstock.historian.columns import judge
from penstock.historian.encode import PACKED_ROWS_MIN, Chunks, DecimalHints, encode_chunks
from penstock.historian.segment import ChunkFlag, ChunkTable
from penstock.historian.statistics import bits_of, statistics_of
from penstock.model import TextColumn
from penstock.model.time import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from penstock.codec.layout import Buffer
    from penstock.historian.columns import Columns
    from penstock.historian.last import LastRows
    from penstock.world import AppendFile


HOUR_NS = 3_600 * SECOND_NS
DENSE_ROWS = 900
"""With so many rows an hour, a point's chunks end with the hour: aggregates read the table."""


@dataclass(frozen=True, slots=True)
class PointRows:
    """Rows of some whole points in (point, time, arrival) order."""

    kind: int
    point: npt.NDArray[np.uint32]
    rows: Columns


class SegmentWriter:
    """Appends chunks to the file and collects their table.

    A file that stays (`is_final`, a day file) is written for its size and for aligned
    aggregates, one that a compaction will replace for the time it takes.
    """

    def __init__(
        self, file: AppendFile, before: LastRows, hints: DecimalHints, *, is_final: bool = False
    ) -> None:
        self.offset = 0
        self._is_final = is_final
        self.tables: list[ChunkTable] = []
        self._file = file
        self._before = before
        self._hints = hints

    def append(self, buffers: list[Buffer]) -> None:
        """Write at the end of the file."""
        self.offset += self._file.append(buffers)

    def add(self, sorted_rows: PointRows) -> None:
        """Write the rows as chunks; repetitions go, what a correction replaces goes aside."""
        point, rows = sorted_rows.point, sorted_rows.rows
        is_first = np.ones(len(point), bool)
        is_first[1:] = (point[1:] != point[:-1]) | (rows.time_ns[1:] != rows.time_ns[:-1])
        if is_first.all():
            self._add_chunks(sorted_rows, 0)
            return
        is_duplicate, is_hidden = judge(is_first, rows.value, rows.quality, rows.flags)
        for is_kept, flag in (
            (~is_duplicate & ~is_hidden, 0),
            (~is_duplicate & is_hidden, ChunkFlag.SIDE),
        ):
            index = np.flatnonzero(is_kept)
            if len(index):
                self._add_chunks(PointRows(sorted_rows.kind, point[index], rows.take(index)), flag)

    def copy(self, table: ChunkTable, pieces: Sequence[bytes]) -> None:
        """Append chunks as they are, damaged ones with the checksum that tells it."""
        size = table.bytes.astype(np.uint64)
        offset = self.offset + np.cumsum(size, dtype=np.uint64) - size
        self.tables.append(replace(table, offset=offset))
        self.append(list(pieces))

    def _add_chunks(self, sorted_rows: PointRows, flag: int) -> None:
        starts = _starts(sorted_rows, by_hour=self._is_final)
        ends = np.append(starts[1:], len(sorted_rows.point))
        numbers = statistics_of(sorted_rows.rows, starts)
        handles = sorted_rows.point[starts]
        chunks = Chunks(sorted_rows.point, starts, ends)
        pieces = encode_chunks(sorted_rows.rows, chunks, self._hints, is_final=self._is_final)
        size = np.array([len(piece) for piece in pieces], np.uint32)
        rows, last = sorted_rows.rows, ends - 1
        first_ns, last_ns = rows.time_ns[starts], rows.time_ns[last]
        late = self.late(handles, first_ns)
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
            kind=np.full(len(starts), sorted_rows.kind, np.uint8),
            encoding=packed.astype(np.uint8),
            flags=numbers.flags | np.uint8(flag) | late,
            worst_quality=np.minimum.reduceat(rows.quality, starts),
            first_quality=rows.quality[starts],
            last_quality=rows.quality[last],
        )
        self.tables.append(table)
        self.append(list(pieces))

    def late(
        self, handles: npt.NDArray[np.uint32], first_ns: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.uint8]:
        """LATE where a chunk does not begin behind what earlier segments have of its point."""
        before = self._before
        if not len(before):
            return np.zeros(len(handles), np.uint8)
        place = np.minimum(np.searchsorted(before.point, handles), len(before) - 1)
        is_late = (before.point[place] == handles) & (first_ns <= before.time_ns[place])
        return np.where(is_late, ChunkFlag.LATE, 0).astype(np.uint8)


def _starts(sorted_rows: PointRows, *, by_hour: bool) -> npt.NDArray[np.intp]:
    """First rows of the chunks: a new point, an hour of a dense one, 16,384 rows, 4 MiB of text."""
    point = sorted_rows.point
    is_first = np.ones(len(point), bool)
    is_first[1:] = point[1:] != point[:-1]
    begin = np.flatnonzero(is_first)
    length = np.diff(np.append(begin, len(point)))
    if by_hour:
        is_first |= _hours_of_dense(sorted_rows.rows.time_ns, is_first, begin, length)
        begin = np.flatnonzero(is_first)
        length = np.diff(np.append(begin, len(point)))
    place = np.arange(len(point)) - np.repeat(begin, length)
    is_first |= place % CHUNK_ROWS_MAX == 0
    value = sorted_rows.rows.value
    if isinstance(value, TextColumn):
        offset = value.offset[:-1].astype(np.int64)
        share = (offset - np.repeat(offset[begin], length)) // CHUNK_TEXT_BYTES_MAX
        is_first[1:] |= share[1:] != share[:-1]
    return np.flatnonzero(is_first)


def _hours_of_dense(
    time_ns: npt.NDArray[np.int64],
    is_first: npt.NDArray[np.bool_],
    begin: npt.NDArray[np.intp],
    length: npt.NDArray[np.intp],
) -> npt.NDArray[np.bool_]:
    """First rows of each hour, of points with at least DENSE_ROWS in the hours that they have."""
    hour = time_ns // HOUR_NS
    is_new = is_first.copy()
    is_new[1:] |= hour[1:] != hour[:-1]
    hours = np.add.reduceat(is_new, begin, dtype=np.int64)
    return is_new & np.repeat(length >= DENSE_ROWS * hours, length)
