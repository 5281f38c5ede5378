"""Chunks built again from log records, each judged by what its table says of the lost one.

The table of a segment holds, under its own checksum, how many rows a chunk had, their
first and last, extremes, moments and sequences: rows that fit all of that are the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from penstock.codec.layout import crc
from penstock.historian.ahead import doubted, doubted_block
from penstock.historian.block_chunk import encode_block, held, numbers_of
from penstock.historian.chunk import Encoding
from penstock.historian.columns import Columns, join, judge
from penstock.historian.encode import PACKED_ROWS_MIN, Chunks, DecimalHints, encode_chunks
from penstock.historian.head import clean, stored
from penstock.historian.segment import (
    ChunkFlag,
    ChunkTable,
    SegmentInfo,
    decode_table,
    encode_header,
    encode_table,
    join_tables,
    kind_of,
    segment_name,
)
from penstock.historian.verify_segment import READ_BYTES, differs
from penstock.model import Batch, Flag, Refused, ValueKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from penstock.log.record import LogRecord
    from penstock.model import Block, Frame
    from penstock.world import Disk

    Pace = Callable[[int], None]
    Records = Callable[[int, int, Pace], Iterator[LogRecord]]

# A moment with several rows may be cut by the end of a chunk: so many rows are tried.
SHIFT_MAX = 64


@dataclass(frozen=True)
class Source:
    """A listed segment whose table can be read, or is given."""

    disk: Disk
    folder: Path
    info: SegmentInfo
    given: ChunkTable | None = None

    @cached_property
    def table(self) -> ChunkTable:
        """Its chunk table; Damaged if it cannot be trusted."""
        if self.given is not None:
            return self.given
        data = self.disk.read(self.folder / self.info.name, self.info.table_offset)
        return decode_table(data, self.info.table_offset)


@dataclass(slots=True)
class _Found:
    """What the log has of one point: rows of its kind, or Blocks with their sequences."""

    rows: list[Columns]
    blocks: list[tuple[Block, int]]


def rebuild_chunks(
    source: Source, wanted: Sequence[int], records: Records, pace: Pace
) -> tuple[dict[int, bytes], dict[int, str]]:
    """(bytes of the chunks that could be rebuilt, why the others could not)."""
    rebuilt: dict[int, bytes] = {}
    left: dict[int, str] = {}
    for is_wide in (False, True):
        todo = [chunk for chunk in wanted if chunk not in rebuilt]
        spans = {chunk: _span(source.table, chunk, is_wide=is_wide) for chunk in todo}
        for first, last in _intervals(spans.values()):
            chunks = [chunk for chunk in todo if first <= spans[chunk][0] <= last]
            try:
                found = _collect(source.table, chunks, records(first, last, pace))
            except Refused as refusal:
                left |= dict.fromkeys(chunks, refusal.detail)
                continue
            for chunk in chunks:
                data = _rebuild(source.table, chunk, found)
                if data is None:
                    left[chunk] = "what the log has is not what was in the chunk"
                else:
                    rebuilt[chunk] = data
    return rebuilt, {chunk: why for chunk, why in left.items() if chunk not in rebuilt}


def write_mended(
    source: Source, rebuilt: Mapping[int, bytes], incarnation: int, names: Collection[str]
) -> SegmentInfo:
    """A new file: rebuilt chunks, and all others as they lie, damaged ones with their checksum.

    OSError when the disk refuses it; nothing is left behind then.
    """
    disk, folder, info = source.disk, source.folder, source.info
    generation = next(
        n
        for n in range(info.generation + 2, info.generation + 4 + 2 * len(names), 2)
        if segment_name(info.day, info.first_sequence, n) not in names
    )
    path = folder / segment_name(info.day, info.first_sequence, generation)
    file = disk.append_to(path)
    try:
        offset = file.append(
            [encode_header(info.day, generation, info.after, info.until, incarnation)]
        )
        tables: list[ChunkTable] = []
        for table, data in _copied(source, rebuilt):
            size = table.bytes.astype(np.uint64)
            at = offset + np.cumsum(size, dtype=np.uint64) - size
            tables.append(replace(table, offset=at))
            offset += file.append([data])
        end = file.append(encode_table(join_tables(tables), offset))
        file.sync()
    except OSError:
        file.close()
        disk.remove(path)
        raise
    file.close()
    return replace(info, generation=generation, table_offset=offset, file_bytes=offset + end)


def _copied(source: Source, rebuilt: Mapping[int, bytes]) -> Iterator[tuple[ChunkTable, bytes]]:
    """Chunks in the order of their bytes, some MiB at a time."""
    table = source.table
    path = source.folder / source.info.name
    group: list[int] = []
    pieces: list[bytes] = []
    size = 0
    for chunk in np.argsort(table.offset, kind="stable").tolist():
        data = rebuilt.get(chunk)
        if data is None:
            data = source.disk.read(path, int(table.offset[chunk]), int(table.bytes[chunk]))
            data = data.ljust(int(table.bytes[chunk]), b"\0")
        group.append(chunk)
        pieces.append(data)
        size += len(data)
        if size >= READ_BYTES:
            yield _renewed(table, group, rebuilt), b"".join(pieces)
            group, pieces, size = [], [], 0
    if group:
        yield _renewed(table, group, rebuilt), b"".join(pieces)


def _renewed(table: ChunkTable, group: list[int], rebuilt: Mapping[int, bytes]) -> ChunkTable:
    part = table.take(np.array(group))
    size, check, encoding = part.bytes.copy(), part.crc.copy(), part.encoding.copy()
    for place, chunk in enumerate(group):
        data = rebuilt.get(chunk)
        if data is not None:
            size[place], check[place] = len(data), crc(data)
            if part.kind[place] != ValueKind.WAVEFORM:
                is_packed = part.rows[place] >= PACKED_ROWS_MIN
                encoding[place] = Encoding.PCODEC if is_packed else Encoding.RAW
    return replace(part, bytes=size, crc=check, encoding=encoding)


# --- what the log has


def _span(table: ChunkTable, chunk: int, *, is_wide: bool) -> tuple[int, int]:
    """Sequences that may matter: of the chunk, or of all chunks of its point.

    What has replaced the rows of a side chunk lies in the others.
    """
    if not is_wide:
        return int(table.first_sequence[chunk]), int(table.last_sequence[chunk])
    chunks = table.of(int(table.point[chunk]))
    part = slice(chunks.start, chunks.stop)
    return int(table.first_sequence[part].min()), int(table.last_sequence[part].max())


def _intervals(spans: Collection[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans that overlap become one; each is read once."""
    begin, end = -1, -1
    for first, last in sorted(spans):
        if begin >= 0 and first > end:
            yield begin, end
            begin = -1
        begin, end = (first, last) if begin < 0 else (begin, max(end, last))
    if begin >= 0:
        yield begin, end


def _collect(
    table: ChunkTable, chunks: Sequence[int], records: Iterator[LogRecord]
) -> dict[tuple[int, int], _Found]:
    """By (point, kind): what the records have of the points of these chunks."""
    found = {(int(table.point[n]), int(table.kind[n])): _Found([], []) for n in chunks}
    for record in records:
        batch = record.payload
        if not isinstance(batch, Batch):
            continue
        for frame in batch.frames:
            kept = stored(clean(doubted(frame, record.receive_ns)))
            for (point, kind), here in found.items():
                if kind == frame.kind:
                    _add_rows(here, kept, point, record.sequence)
        for block in batch.blocks:
            of_point = found.get((block.point, int(ValueKind.WAVEFORM)))
            if of_point is not None and not block.flags & Flag.TRANSIENT:
                own = held(doubted_block(block, record.receive_ns), record.sequence).block
                of_point.blocks.append((own, record.sequence))
    return found


def _add_rows(found: _Found, frame: Frame, point: int, sequence: int) -> None:
    index = np.flatnonzero(frame.point == point)
    if len(index):
        part = frame.take(index)
        sequences = np.full(len(index), sequence, np.uint64)
        found.rows.append(Columns(part.time_ns, part.value, part.quality, part.flags, sequences))


# --- the chunk


def _rebuild(
    table: ChunkTable, chunk: int, found: Mapping[tuple[int, int], _Found]
) -> bytes | None:
    here = found[int(table.point[chunk]), int(table.kind[chunk])]
    if kind_of(table, chunk) is ValueKind.WAVEFORM:
        return _rebuild_block(table, chunk, here.blocks)
    if not here.rows:
        return None
    rows = join(here.rows)
    rows = rows.take(np.lexsort((rows.sequence, rows.time_ns)))
    starts = np.concatenate([[True], rows.time_ns[1:] != rows.time_ns[:-1]])
    is_duplicate, is_hidden = judge(starts, rows.value, rows.quality, rows.flags)
    is_side = bool(int(table.flags[chunk]) & ChunkFlag.SIDE)
    rows = rows.take(np.flatnonzero(~is_duplicate & (is_hidden if is_side else ~is_hidden)))
    rows = rows.between(int(table.first_ns[chunk]), int(table.last_ns[chunk]) + 1)
    wanted = int(table.rows[chunk])
    for begin in range(min(len(rows) - wanted, SHIFT_MAX) + 1):
        part = rows.slice(begin, begin + wanted)
        if not _is_different(table, chunk, part):
            return _encode(int(table.point[chunk]), part)
    return None


def _is_different(table: ChunkTable, chunk: int, rows: Columns) -> bool:
    part = table.take(np.array([chunk]))
    return bool(differs(part, kind_of(table, chunk), rows, np.zeros(1, np.intp))[0])


def _encode(point: int, rows: Columns) -> bytes:
    points = np.full(len(rows), point, np.uint32)
    whole = Chunks(points, np.zeros(1, np.intp), np.array([len(rows)]))
    return encode_chunks(rows, whole, DecimalHints())[0]


def _rebuild_block(
    table: ChunkTable, chunk: int, blocks: Sequence[tuple[Block, int]]
) -> bytes | None:
    expected = (
        int(table.first_ns[chunk]), int(table.first_sequence[chunk]), int(table.count[chunk])
    )  # fmt: skip
    same = []
    for block, sequence in blocks:
        numbers = numbers_of(block)
        extremes = np.array([numbers.minimum, numbers.maximum]).view(np.uint64)
        stored_ones = np.array([table.minimum[chunk], table.maximum[chunk]])
        is_same = (block.t0_ns, sequence, numbers.count) == expected
        if is_same and (extremes == stored_ones).all():
            same.append(encode_block(block)[0])
    return same[0] if len(set(same)) == 1 else None
