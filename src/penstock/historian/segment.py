"""Segment: a file of chunks and the table that describes them: docs/reference/formats/segment.md.

The table holds the statistics of each chunk as columns, so that an aligned
aggregate or an envelope reads this table and no chunk. Every byte of the file is
under a crc32: header, each chunk with its padding, table, footer.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from enum import IntFlag
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.codec.layout import Buffer, Damaged, SectionReader, column_bytes, crc, padding
from penstock.model import ValueKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

MAGIC = b"PSEG"
FOOTER_MAGIC = b"PSGF"
VERSION = 1
_HEADER = struct.Struct("<4sHHIIQQq20x")
_FOOTER = struct.Struct("<4sHHQIIQ28x")
HEADER_BYTES = _HEADER.size + 4
FOOTER_BYTES = _FOOTER.size + 4


class ChunkFlag(IntFlag):
    """What a reader of the table must know about a chunk."""

    LATE = 1
    """Begins before or at the newest row that an earlier segment has of this point."""
    SIDE = 2
    """Holds rows that a correction in the same segment has replaced."""
    NO_VALUES = 4
    """Not one row has a value that is not bad: min, max, mean, m2, integral are 0."""
    NO_MOMENTS = 8
    """Mean, M2 or integral is not finite (an infinity among the values): all three are 0."""


@dataclass(frozen=True, slots=True)
class ChunkTable:
    """One row a chunk, ordered by (point, first time, flags); the fields are the columns on disk.

    `minimum`, `maximum`, `first_value`, `last_value` are the bits of the point's
    kind (0 for text and where the row has no value).
    """

    first_ns: npt.NDArray[np.int64]
    last_ns: npt.NDArray[np.int64]
    first_sequence: npt.NDArray[np.uint64]
    last_sequence: npt.NDArray[np.uint64]
    minimum: npt.NDArray[np.uint64]
    maximum: npt.NDArray[np.uint64]
    mean: npt.NDArray[np.float64]
    m2: npt.NDArray[np.float64]
    integral: npt.NDArray[np.float64]
    valued_ns: npt.NDArray[np.int64]
    first_value: npt.NDArray[np.uint64]
    last_value: npt.NDArray[np.uint64]
    offset: npt.NDArray[np.uint64]
    point: npt.NDArray[np.uint32]
    rows: npt.NDArray[np.uint32]
    count: npt.NDArray[np.uint32]
    bytes: npt.NDArray[np.uint32]
    crc: npt.NDArray[np.uint32]
    kind: npt.NDArray[np.uint8]
    encoding: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.uint8]
    worst_quality: npt.NDArray[np.uint8]
    first_quality: npt.NDArray[np.uint8]
    last_quality: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.point)

    def take(self, index: npt.NDArray[np.intp]) -> ChunkTable:
        """The chunks of `index`, in its order."""
        return ChunkTable(**{name: getattr(self, name)[index] for name in TABLE_DTYPES})

    def of(self, handle: int) -> range:
        """Chunks of one point."""
        begin, end = np.searchsorted(self.point, np.array([handle, handle + 1], np.uint32))
        return range(int(begin), int(end))

    def bytes_used(self) -> int:
        """Memory of the columns."""
        return len(self) * TABLE_ROW_BYTES


def _dtype_of(annotation: str) -> str:
    return {"int64": "<i8", "uint64": "<u8", "float64": "<f8", "uint32": "<u4", "uint8": "u1"}[
        annotation.rpartition("np.")[2].rstrip("]")
    ]


TABLE_DTYPES = {field.name: _dtype_of(str(field.type)) for field in fields(ChunkTable)}
TABLE_ROW_BYTES = sum(np.dtype(dtype).itemsize for dtype in TABLE_DTYPES.values())


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """A segment as the manifest lists it; log records `after` < sequence <= `until` are in it.

    `first_sequence` is part of the name. The table lies from `table_offset` to
    the footer, whose place follows from `file_bytes`.
    """

    day: int
    generation: int
    first_sequence: int
    after: int
    until: int
    first_ns: int
    last_ns: int
    first_point: int
    last_point: int
    rows: int
    chunks: int
    table_offset: int
    file_bytes: int

    @classmethod
    def of_table(
        cls,
        table: ChunkTable,
        *,
        day: int,
        generation: int,
        first_sequence: int,
        after: int,
        until: int,
        table_offset: int,
        file_bytes: int,
    ) -> SegmentInfo:
        """What the manifest says of a file with this table; the table is in its order."""
        return cls(
            day=day,
            generation=generation,
            first_sequence=first_sequence,
            after=after,
            until=until,
            first_ns=int(table.first_ns.min()),
            last_ns=int(table.last_ns.max()),
            first_point=int(table.point[0]),
            last_point=int(table.point[-1]),
            rows=int(table.rows.sum()),
            chunks=len(table),
            table_offset=table_offset,
            file_bytes=file_bytes,
        )

    @property
    def name(self) -> str:
        """File name: day of the oldest row, first sequence, generation."""
        return segment_name(self.day, self.first_sequence, self.generation)


def segment_name(day: int, first_sequence: int, generation: int) -> str:
    """`<day>-<first sequence, 20 digits>-<generation>.seg`, for example 20261125-…-0.seg."""
    return f"{day:08d}-{first_sequence:020d}-{generation}.seg"


def is_day_name(name: str) -> bool:
    """Is it the name of a day file? Those have odd generations, raw segments even ones."""
    stem, _, ending = name.rpartition(".")
    generation = stem.rpartition("-")[2]
    return ending == "seg" and generation.isdigit() and int(generation) % 2 == 1


def encode_header(day: int, generation: int, after: int, until: int, incarnation: int) -> bytes:
    """First 64 bytes of a file."""
    head = _HEADER.pack(MAGIC, VERSION, 0, day, generation, after, until, incarnation)
    return head + struct.pack("<I", crc(head))


def encode_table(table: ChunkTable, table_offset: int) -> list[Buffer]:
    """Table and footer, to be written behind the last chunk."""
    buffers: list[Buffer] = []
    for name, dtype in TABLE_DTYPES.items():
        data = bytes(column_bytes(getattr(table, name).astype(dtype, copy=False)))
        buffers += [data, padding(len(data))]
    size = sum(len(buffer) for buffer in buffers)
    rows = int(table.rows.sum())
    foot = _FOOTER.pack(FOOTER_MAGIC, VERSION, 0, table_offset, len(table), crc(*buffers), rows)
    assert table_offset % 8 == size % 8 == 0
    return [*buffers, foot + struct.pack("<I", crc(foot))]


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """What the first 64 bytes of a file say."""

    day: int
    generation: int
    after: int
    until: int
    incarnation: int


def check_header(data: Buffer) -> None:
    """Damaged unless these are the first bytes of a segment."""
    decode_header(data)


def decode_header(data: Buffer) -> SegmentHeader:
    """Damaged if it is cut, altered, or of another version."""
    checked = memoryview(data)[: _HEADER.size]
    if len(data) < HEADER_BYTES or _stored_crc(data, _HEADER.size) != crc(checked):
        raise Damaged("segment header has a wrong checksum")
    magic, version, _, *found = _HEADER.unpack(checked)
    if magic != MAGIC or version != VERSION:
        raise Damaged(f"segment begins with {magic!r}, version {version}")
    return SegmentHeader(*found)


def decode_table(data: Buffer, table_offset: int) -> ChunkTable:
    """Table from the bytes between `table_offset` and the end of the file."""
    begin = len(data) - FOOTER_BYTES
    if begin < 0:
        raise Damaged("segment has no footer")
    foot = memoryview(data)[begin : begin + _FOOTER.size]
    if _stored_crc(data, begin + _FOOTER.size) != crc(foot):
        raise Damaged("segment footer has a wrong checksum")
    magic, version, _, stored_offset, chunks, table_crc, _ = _FOOTER.unpack(foot)
    if magic != FOOTER_MAGIC or version != VERSION or stored_offset != table_offset:
        raise Damaged(f"segment ends with {magic!r}, version {version}, table {stored_offset}")
    if crc(memoryview(data)[:begin]) != table_crc:
        raise Damaged("segment table has a wrong checksum")
    return columns_of(memoryview(data)[:begin], chunks)


def columns_of(data: Buffer, chunks: int) -> ChunkTable:
    """Table of so many chunks, unchecked; Damaged if the bytes are too few."""
    reader = SectionReader(memoryview(data), "segment table")
    columns = {name: reader.column(dtype, chunks) for name, dtype in TABLE_DTYPES.items()}
    return ChunkTable(**columns)  # type: ignore[arg-type]


def table_crc_of(footer: Buffer, table_offset: int) -> int:
    """Checksum of the table, from the last 64 bytes of a file; Damaged if they are not whole."""
    if table_offset_of(footer) != table_offset:
        raise Damaged("segment footer is that of another file")
    return int(_FOOTER.unpack(memoryview(footer)[: _FOOTER.size])[5])


def table_offset_of(footer: Buffer) -> int:
    """Where the table begins, from the last 64 bytes of a file that no manifest lists."""
    foot = memoryview(footer)[: _FOOTER.size]
    if len(footer) != FOOTER_BYTES or _stored_crc(footer, _FOOTER.size) != crc(foot):
        raise Damaged("segment footer has a wrong checksum")
    return int(_FOOTER.unpack(foot)[3])


def kind_of(table: ChunkTable, chunk: int) -> ValueKind:
    """Value kind of a chunk."""
    return ValueKind(int(table.kind[chunk]))


def join_tables(tables: Sequence[ChunkTable]) -> ChunkTable:
    """All chunks in table order."""
    columns: dict[str, npt.NDArray[Any]] = {
        name: np.concatenate([getattr(table, name) for table in tables]) for name in TABLE_DTYPES
    }
    order = np.lexsort((columns["flags"], columns["first_ns"], columns["point"]))
    return ChunkTable(**{name: column[order] for name, column in columns.items()})


def _stored_crc(data: Buffer, offset: int) -> int:
    return int(struct.unpack_from("<I", data, offset)[0])
