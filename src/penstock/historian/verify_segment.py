"""One segment against its own checksums, against the manifest, and its table against its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penstock.codec.layout import Damaged
from penstock.historian.block_chunk import decode_block, numbers_of
from penstock.historian.chunk import decode_chunk
from penstock.historian.columns import Columns, join, values_of
from penstock.historian.segment import (
    HEADER_BYTES,
    ChunkFlag,
    ChunkTable,
    SegmentInfo,
    decode_header,
    decode_table,
    kind_of,
)
from penstock.historian.statistics import Statistics, bits_of, statistics_of
from penstock.historian.store import check_chunk
from penstock.model import ValueKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    from penstock.world import Disk

    Pace = Callable[[int], None]

READ_BYTES = 4 * 1024 * 1024
JUDGED_ROWS = 65_536
_MOMENTS = int(ChunkFlag.NO_VALUES | ChunkFlag.NO_MOMENTS)
# Sums of floats depend on the order of the additions; this is far above that, far below a fault.
_RELATIVE = 1e-9


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at `offset`; `table` and `chunk` where it is one chunk of a whole table."""

    what: str
    offset: int
    detail: str
    table: ChunkTable | None = None
    chunk: int = -1


def check_segment(disk: Disk, folder: Path, info: SegmentInfo, pace: Pace) -> Iterator[Finding]:
    """Everything that is wrong with a listed segment."""
    path = folder / info.name
    try:
        size = disk.size(path)
    except FileNotFoundError:
        yield Finding("file", 0, "the file is not there")
        return
    if size != info.file_bytes:
        yield Finding("file", min(size, info.file_bytes), f"{size} bytes, not {info.file_bytes}")
    pace(HEADER_BYTES)
    try:
        _check_head(disk.read(path, 0, HEADER_BYTES), info)
    except Damaged as error:
        yield Finding("header", 0, str(error))
    table_bytes = info.file_bytes - info.table_offset
    pace(table_bytes)
    try:
        data = disk.read(path, info.table_offset, table_bytes)
        table = decode_table(data, info.table_offset)
    except Damaged as error:
        yield Finding("table", info.table_offset, str(error))
        return
    yield from _compare_with_manifest(table, info)
    yield from _Chunks(disk, path, info, table).check(pace)


def check_chunks(
    disk: Disk, folder: Path, info: SegmentInfo, table: ChunkTable, pace: Pace
) -> Iterator[Finding]:
    """Everything that is wrong with the chunks of a segment, judged by this table."""
    yield from _Chunks(disk, folder / info.name, info, table).check(pace)


def fits_manifest(table: ChunkTable, info: SegmentInfo) -> bool:
    """Does the manifest say the same of the file?"""
    return not any(True for _ in _compare_with_manifest(table, info))


def _check_head(data: bytes, info: SegmentInfo) -> None:
    head = decode_header(data)
    expected = (info.day, info.generation, info.after, info.until)
    if (head.day, head.generation, head.after, head.until) != expected:
        raise Damaged("the header is that of another segment")


def _compare_with_manifest(table: ChunkTable, info: SegmentInfo) -> Iterator[Finding]:
    if not len(table):
        yield Finding("table", info.table_offset, "the table has no chunk")
        return
    found = (
        len(table),
        int(table.rows.sum()),
        int(table.first_ns.min()),
        int(table.last_ns.max()),
        int(table.point[0]),
        int(table.point[-1]),
    )
    listed = (
        info.chunks, info.rows, info.first_ns, info.last_ns, info.first_point, info.last_point
    )  # fmt: skip
    if found != listed:
        yield Finding("table", info.table_offset, f"the manifest says {listed}, the table {found}")


class _Chunks:
    """Chunks in the order of their bytes, read in large pieces, judged many at a time."""

    def __init__(self, disk: Disk, path: Path, info: SegmentInfo, table: ChunkTable) -> None:
        self._disk = disk
        self._path = path
        self._info = info
        self._table = table
        self._good: dict[ValueKind, list[tuple[int, Columns]]] = {}
        self._rows = 0

    def check(self, pace: Pace) -> Iterator[Finding]:
        """Layout, checksum, decoding, then statistics."""
        table = self._table
        order = np.argsort(table.offset, kind="stable")
        at = HEADER_BYTES
        for piece in self._pieces(order):
            begin = int(table.offset[piece[0]])
            end = int(table.offset[piece[-1]]) + int(table.bytes[piece[-1]])
            pace(end - begin)
            data = self._disk.read(self._path, begin, end - begin)
            for chunk in piece:
                offset, size = int(table.offset[chunk]), int(table.bytes[chunk])
                if offset != at:
                    yield self._finding(chunk, f"bytes {at} to {offset} belong to no chunk")
                at = offset + size
                yield from self._decode(chunk, data[offset - begin : offset - begin + size])
            if self._rows >= JUDGED_ROWS:
                yield from self._judge()
        yield from self._judge()
        if at != self._info.table_offset:
            yield Finding("table", at, f"bytes {at} to {self._info.table_offset} are no chunk")

    def _pieces(self, order: npt.NDArray[np.intp]) -> Iterator[list[int]]:
        piece: list[int] = []
        size = 0
        for chunk in order.tolist():
            if piece and size + int(self._table.bytes[chunk]) > READ_BYTES:
                yield piece
                piece, size = [], 0
            piece.append(chunk)
            size += int(self._table.bytes[chunk])
        if piece:
            yield piece

    def _decode(self, chunk: int, data: bytes) -> Iterator[Finding]:
        table = self._table
        kind, rows = kind_of(table, chunk), int(table.rows[chunk])
        first_ns, sequence = int(table.first_ns[chunk]), int(table.first_sequence[chunk])
        try:
            check_chunk(data, int(table.bytes[chunk]), int(table.crc[chunk]))
            if kind is ValueKind.WAVEFORM:
                yield from self._judge_block(chunk, data)
                return
            columns = decode_chunk(data, kind, rows, first_ns, sequence)
        except Damaged as error:
            yield self._finding(chunk, str(error), "chunk")
            return
        self._good.setdefault(kind, []).append((chunk, columns))
        self._rows += rows

    def _judge_block(self, chunk: int, data: bytes) -> Iterator[Finding]:
        table = self._table
        rows, t0_ns = int(table.rows[chunk]), int(table.first_ns[chunk])
        numbers = numbers_of(decode_block(data, int(table.point[chunk]), rows, t0_ns))
        found = np.array([numbers.minimum, numbers.maximum, numbers.mean, numbers.m2])
        stored = np.array(
            [
                *table.minimum[chunk : chunk + 1].view(np.float64),
                *table.maximum[chunk : chunk + 1].view(np.float64),
                table.mean[chunk],
                table.m2[chunk],
            ]
        )
        largest = max(abs(numbers.minimum), abs(numbers.maximum))
        scale = np.array([0, 0, largest, numbers.count * largest * largest])
        is_same = np.isclose(found, stored, rtol=0, atol=_RELATIVE * scale) | (found == stored)
        if numbers.count != int(table.count[chunk]) or not is_same.all():
            yield self._finding(chunk, "the table does not fit the Block", "statistics")

    def _judge(self) -> Iterator[Finding]:
        for kind, items in self._good.items():
            index = np.array([chunk for chunk, _ in items])
            columns = [rows for _, rows in items]
            length = np.array([len(rows) for rows in columns])
            starts = np.cumsum(length) - length
            is_wrong = differs(self._table.take(index), kind, join(columns), starts)
            for chunk in index[is_wrong].tolist():
                yield self._finding(chunk, "the table does not fit the rows", "statistics")
        self._good, self._rows = {}, 0

    def _finding(self, chunk: int, detail: str, what: str = "table") -> Finding:
        return Finding(what, int(self._table.offset[chunk]), detail, self._table, chunk)


def differs(
    table: ChunkTable, kind: ValueKind, rows: Columns, starts: npt.NDArray[np.intp]
) -> npt.NDArray[np.bool_]:
    """Which chunks of a table say something else than their rows (one chunk begins a `starts`)."""
    last = np.append(starts[1:], len(rows)) - 1
    numbers = statistics_of(rows, starts)
    is_wrong: npt.NDArray[np.bool_] = (
        (rows.time_ns[starts] != table.first_ns)
        | (rows.time_ns[last] != table.last_ns)
        | (np.minimum.reduceat(rows.sequence, starts) != table.first_sequence)
        | (np.maximum.reduceat(rows.sequence, starts) != table.last_sequence)
        | (bits_of(rows, starts) != table.first_value)
        | (bits_of(rows, last) != table.last_value)
        | (rows.quality[starts] != table.first_quality)
        | (rows.quality[last] != table.last_quality)
        | (np.minimum.reduceat(rows.quality, starts) != table.worst_quality)
        | (numbers.count != table.count)
        | (numbers.valued_ns != table.valued_ns)
        | ((numbers.flags & _MOMENTS) != (table.flags & _MOMENTS))
        | _differ_numbers(table, kind, numbers)
    )
    step = np.diff(rows.time_ns, prepend=rows.time_ns[:1]) < 0
    step[starts] = False
    is_wrong |= np.logical_or.reduceat(step, starts)
    return is_wrong


def _differ_numbers(
    table: ChunkTable, kind: ValueKind, numbers: Statistics
) -> npt.NDArray[np.bool_]:
    if kind is ValueKind.TEXT:
        return np.zeros(len(table), bool)
    low, high = values_of(table.minimum, kind), values_of(table.maximum, kind)
    is_wrong: npt.NDArray[np.bool_] = (values_of(numbers.minimum, kind) != low) | (
        values_of(numbers.maximum, kind) != high
    )
    largest = np.maximum(np.abs(low.astype(np.float64)), np.abs(high.astype(np.float64)))
    is_far = np.zeros(len(table), bool)
    with np.errstate(over="ignore", invalid="ignore"):
        for found, stored, scale in (
            (numbers.mean, table.mean, largest),
            (numbers.m2, table.m2, table.count * largest * largest),
            (numbers.integral, table.integral, largest * table.valued_ns * 1e-9),
        ):
            is_far |= np.abs(found - stored) > _RELATIVE * scale
    is_wrong |= is_far
    return is_wrong
