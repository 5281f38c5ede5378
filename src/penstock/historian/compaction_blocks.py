"""Rows of all sources of a compaction in blocks of about half a million, by point range.

Chunks are copied as bytes where nothing is to be done to them: Blocks, chunks of day files
that overlap no other, and every chunk of a point of which one is damaged. What the
damage hides cannot be judged again, so such a point stays as its sources had it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penstock.historian.bulk import Filled, decode_texts
from penstock.historian.chunk import CHUNK_ROWS_MAX
from penstock.historian.columns import Columns, join
from penstock.historian.compaction_plan import HOUR_NS, Source, is_day_file, read_bytes
from penstock.historian.segment import TABLE_DTYPES, ChunkFlag, ChunkTable
from penstock.historian.writer import DENSE_ROWS, PointRows
from penstock.model import ValueKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    from penstock.world import Disk

    Index = npt.NDArray[np.intp]
    OnDamage = Callable[[Source, int], None]

BLOCK_ROWS = 524_288
TEXT_BYTES_A_ROW = 16
"""A text row counts as one more row for so many bytes."""
_ROW_KINDS = (ValueKind.FLOAT, ValueKind.INT, ValueKind.TEXT)


@dataclass(frozen=True, slots=True)
class Copied:
    """Chunks as they are: their table rows (offsets are those of their old files) and bytes."""

    table: ChunkTable
    pieces: list[bytes]


class SourceChunks:
    """All chunks of all sources in (kind, point, place of the source, side first) order."""

    def __init__(self, disk: Disk, folder: Path, sources: tuple[Source, ...]) -> None:
        self.sources = sources
        self._disk = disk
        self._folder = folder
        joined = ChunkTable(
            **{
                name: np.concatenate([getattr(source.table, name) for source in sources])
                for name in TABLE_DTYPES
            }
        )
        lengths = [len(source.table) for source in sources]
        source = np.repeat(np.arange(len(sources)), lengths)
        is_shown = (joined.flags & ChunkFlag.SIDE) == 0
        # Blocks of one moment stay in the order in which they lie, which is that of arrival.
        is_block = joined.kind == ValueKind.WAVEFORM
        place = np.where(is_block, joined.offset, 0)
        begin = np.where(is_block, joined.first_ns, 0)
        order = np.lexsort((place, begin, is_shown, source, joined.point, joined.kind))
        self.table = joined.take(order)
        self.source = source[order]
        table = self.table
        is_first = np.ones(len(order), bool)
        is_first[1:] = (table.point[1:] != table.point[:-1]) | (table.kind[1:] != table.kind[:-1])
        self._begin = np.flatnonzero(is_first)
        self._group = np.cumsum(is_first) - 1
        self._is_copied = self._copied()

    @property
    def rows(self) -> int:
        """Rows of all chunks."""
        return int(self.table.rows.sum())

    def blocks(self, on_damage: OnDamage) -> Iterator[PointRows | Copied]:
        """Everything, a block at a time; rows are in (point, time, sequence, source) order."""
        for chunks in self._parts():
            yield from self._block(chunks, on_damage)

    # --- what is copied

    def _copied(self) -> npt.NDArray[np.bool_]:
        table, begin = self.table, self._begin
        if not len(begin):
            return np.zeros(0, bool)
        is_block = ~np.isin(table.kind, [int(kind) for kind in _ROW_KINDS])
        is_of_day = np.array([is_day_file(source.info) for source in self.sources])[self.source]
        is_kept = is_of_day & ~self._overlaps()
        rows = np.add.reduceat(np.where(is_kept, table.rows, 0), begin)
        chunks = np.add.reduceat(is_kept, begin, dtype=np.int64)
        first = np.minimum.reduceat(table.first_ns, begin)
        hours = np.maximum.reduceat(table.last_ns, begin) // HOUR_NS - first // HOUR_NS + 1
        ideal = rows // CHUNK_ROWS_MAX + np.where(rows >= DENSE_ROWS * hours, hours, 1)
        is_fine = 2 * chunks <= 3 * ideal + 2
        copied: npt.NDArray[np.bool_] = is_block | (is_kept & is_fine[self._group])
        return copied

    def _overlaps(self) -> npt.NDArray[np.bool_]:
        """Does the chunk share a moment with another of its point?"""
        table, group = self.table, self._group
        moments = np.unique(np.concatenate([table.first_ns, table.last_ns]))
        width = len(moments) + 1
        order = np.lexsort((table.first_ns, group))
        base = group[order] * width
        first = base + np.searchsorted(moments, table.first_ns[order])
        last = np.maximum.accumulate(base + np.searchsorted(moments, table.last_ns[order]))
        found = np.zeros(len(order), bool)
        found[1:] = first[1:] <= last[:-1]
        own = base + np.searchsorted(moments, table.last_ns[order])
        found[:-1] |= (first[1:] <= own[:-1]) & (group[order][1:] == group[order][:-1])
        overlaps = np.zeros(len(order), bool)
        overlaps[order] = found
        return overlaps

    # --- parts of about BLOCK_ROWS

    def _parts(self) -> Iterator[Index]:
        """Chunks of some whole points; a point that is larger is a part of its own."""
        table = self.table
        weight = table.rows.astype(np.int64)
        is_text = table.kind == ValueKind.TEXT
        weight[is_text] += table.bytes[is_text] // TEXT_BYTES_A_ROW
        weight[self._is_copied] = table.bytes[self._is_copied] // 8
        total = np.add.reduceat(weight, self._begin) if len(weight) else weight
        bounds = np.append(self._begin, len(weight))
        kind = table.kind[self._begin]
        start, size = 0, 0
        for group, added in enumerate(total.tolist()):
            if group > start and (size + added > BLOCK_ROWS or kind[group] != kind[start]):
                yield np.arange(bounds[start], bounds[group])
                start, size = group, 0
            size += added
        if len(total):
            yield np.arange(bounds[start], bounds[-1])

    def _block(self, chunks: Index, on_damage: OnDamage) -> Iterator[PointRows | Copied]:
        is_copied = self._is_copied[chunks]
        decoded = chunks[~is_copied]
        yield from self._copies(chunks[is_copied])
        if not len(decoded):
            return
        kind = ValueKind(int(self.table.kind[decoded[0]]))
        if int(self.table.rows[decoded].sum()) > 2 * BLOCK_ROWS:
            yield from self._large(decoded, kind, on_damage)
            return
        rows, damaged = self._rows(decoded, kind)
        if len(damaged):
            decoded, kept = self._set_aside(decoded, damaged, on_damage)
            yield from self._copies(kept)
            rows, damaged = self._rows(decoded, kind)
            assert not len(damaged)
        if len(decoded):
            yield _ordered(kind, self._points(decoded), rows)

    def _copies(self, chunks: Index) -> Iterator[Copied]:
        """Chunks as bytes, a few MiB at a time."""
        size = np.cumsum(self.table.bytes[chunks].astype(np.int64))
        share = size // (8 * BLOCK_ROWS)
        for part in np.split(chunks, np.flatnonzero(share[1:] != share[:-1]) + 1):
            if len(part):
                yield Copied(self.table.take(part), self._pieces(part))

    def _set_aside(self, chunks: Index, damaged: Index, on_damage: OnDamage) -> tuple[Index, Index]:
        """(chunks of sound points, chunks of points of which one is damaged)."""
        for chunk in damaged.tolist():
            on_damage(self.sources[self.source[chunk]], int(self.table.offset[chunk]))
        is_kept = np.isin(self.table.point[chunks], self.table.point[damaged])
        return chunks[~is_kept], chunks[is_kept]

    def _large(
        self, chunks: Index, kind: ValueKind, on_damage: OnDamage
    ) -> Iterator[PointRows | Copied]:
        """One point with more rows than a block: in spans of time, read again where they cut."""
        damaged = [self._rows(part, kind)[1] for part in self._limited(chunks)]
        chunks, kept = self._set_aside(chunks, np.concatenate(damaged), on_damage)
        yield from self._copies(kept)
        table = self.table
        for begin, end in _spans(table.take(chunks)):
            is_hit = (table.first_ns[chunks] < end) & (table.last_ns[chunks] >= begin)
            parts: list[PointRows] = []
            for part in self._limited(chunks[is_hit]):
                rows, _ = self._rows(part, kind)
                point = self._points(part)
                index = np.flatnonzero((rows.time_ns >= begin) & (rows.time_ns < end))
                parts.append(PointRows(kind, point[index], rows.take(index)))
            found = join_rows(parts)
            yield _ordered(kind, found.point, found.rows)

    def _limited(self, chunks: Index) -> Iterator[Index]:
        """Parts whose rows are at most about a block."""
        share = np.cumsum(self.table.rows[chunks].astype(np.int64)) // BLOCK_ROWS
        yield from np.split(chunks, np.flatnonzero(share[1:] != share[:-1]) + 1)

    # --- reading

    def _points(self, chunks: Index) -> npt.NDArray[np.uint32]:
        return np.repeat(self.table.point[chunks], self.table.rows[chunks])

    def _rows(self, chunks: Index, kind: ValueKind) -> tuple[Columns, Index]:
        """Rows of the chunks in their order, and which chunks are damaged (their rows are junk)."""
        if kind is ValueKind.TEXT:
            return self._texts(chunks)
        table = self.table
        rows = table.rows[chunks].astype(np.int64)
        begin = np.cumsum(rows) - rows
        filled = Filled(kind, int(rows.sum()))
        damaged: list[int] = []
        for number in np.unique(self.source[chunks]).tolist():
            mine = np.flatnonzero(self.source[chunks] == number)
            data, place = self._data(chunks[mine])
            filled.fill(data, table.take(chunks[mine]), place, begin[mine])
            damaged += chunks[mine[filled.damaged]].tolist() if filled.damaged else []
        first_ns = np.repeat(table.first_ns[chunks], rows)
        sequence = np.repeat(table.first_sequence[chunks], rows)
        return filled.columns(first_ns, sequence), np.array(damaged, np.intp)

    def _texts(self, chunks: Index) -> tuple[Columns, Index]:
        table = self.table
        columns = (table.crc, table.rows, table.first_ns, table.first_sequence)
        lists = [column[chunks].tolist() for column in columns]
        damaged: list[int] = []
        rows = decode_texts(
            list(zip(self._pieces(chunks), *lists, strict=True)),
            lambda number: damaged.append(int(chunks[number])),
        )
        return rows, np.array(damaged, np.intp)

    def _pieces(self, chunks: Index) -> list[bytes]:
        pieces = [b""] * len(chunks)
        for number in np.unique(self.source[chunks]).tolist():
            mine = np.flatnonzero(self.source[chunks] == number)
            data, place = self._data(chunks[mine])
            size = self.table.bytes[chunks[mine]].tolist()
            for at, begin, length in zip(mine.tolist(), place.tolist(), size, strict=True):
                pieces[at] = data[begin : begin + length]
        return pieces

    def _data(self, chunks: Index) -> tuple[bytes, npt.NDArray[np.int64]]:
        """Bytes of some chunks of one source, and where each begins in them."""
        info = self.sources[self.source[chunks[0]]].info
        offset = self.table.offset[chunks].astype(np.int64)
        size = self.table.bytes[chunks].astype(np.int64)
        first, last = int(offset.min()), int((offset + size).max())
        if last - first <= 2 * int(size.sum()) + BLOCK_ROWS:
            return read_bytes(self._disk, self._folder, info, first, last - first), offset - first
        pieces = [
            read_bytes(self._disk, self._folder, info, at, length)
            for at, length in zip(offset.tolist(), size.tolist(), strict=True)
        ]
        return b"".join(pieces), np.cumsum(size) - size


def join_rows(parts: list[PointRows]) -> PointRows:
    """Rows of all parts, one behind the other."""
    return PointRows(
        parts[0].kind,
        np.concatenate([part.point for part in parts]),
        join([part.rows for part in parts]),
    )


def _ordered(kind: ValueKind, point: npt.NDArray[np.uint32], rows: Columns) -> PointRows:
    """Rows in (point, time, sequence, place) order; only points that are not so are sorted."""
    time_ns, sequence = rows.time_ns, rows.sequence
    is_back = time_ns[1:] < time_ns[:-1]
    is_back |= (time_ns[1:] == time_ns[:-1]) & (sequence[1:] < sequence[:-1])
    is_back &= point[1:] == point[:-1]
    if not is_back.any():
        return PointRows(kind, point, rows)
    index = np.arange(len(point))
    wrong = np.flatnonzero(np.isin(point, np.unique(point[1:][is_back])))
    order = np.lexsort((sequence[wrong], time_ns[wrong], point[wrong]))
    index[wrong] = wrong[order]
    return PointRows(kind, point, rows.take(index))


def _spans(table: ChunkTable) -> Iterator[tuple[int, int]]:
    """Spans of time with about BLOCK_ROWS rows each, that cover all chunks; on whole hours."""
    if not len(table):
        return
    order = np.argsort(table.first_ns, kind="stable")
    first = table.first_ns[order]
    share = np.cumsum(table.rows[order].astype(np.int64)) // BLOCK_ROWS
    starts = first[np.flatnonzero(share[1:] != share[:-1]) + 1]
    begin, end = int(first[0]), int(table.last_ns.max()) + 1
    for start in starts.tolist():
        hour = start // HOUR_NS * HOUR_NS
        border = hour if hour > begin else start
        if border > begin:
            yield begin, border
            begin = border
    yield begin, end
