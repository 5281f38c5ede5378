"""Body of a block of a compressed log file: docs/reference/formats/log-compressed.md.

Records are taken apart into streams of equal columns and put together again to the very
same bytes. One walk over a batch does both: it moves bytes between record and streams,
and reads the lengths that it needs from the record, where they are after each move.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import zstandard
from pcodec import ChunkConfig, DeltaSpec, ModeSpec, standalone

from penstock.codec.batch import (
    BATCH_HEADER,
    BLOCK_HEADER,
    MAGIC,
    SECTION_BLOCK,
    SECTION_HEADER,
    VERSION,
)
from penstock.codec.layout import Damaged, crc, padded
from penstock.codec.record import HEADER_BYTES, RecordKind
from penstock.model.block import SAMPLE_TYPES
from penstock.model.frame import ValueKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    Move = Callable[[int, int, int], int]

_BODY = struct.Struct("<II")
_STREAM = struct.Struct("<BBHIII")
_CRC = struct.Struct("<I")
_CHECKED = HEADER_BYTES - _CRC.size
_LANES = _CHECKED // 4
_KIND_LANE, _KIND_SHIFT, _SIZE_LANE = 1, 16, 2

HEADERS, TAKEN_APART, REST = 1, 2, 3
POINT, TIME, VALUE, QUALITY, FLAGS, OFFSET = range(6)
SAMPLES = 64
_BYTES, _PCODEC, _BY_POINT = 0, 1, 2
_DTYPES: dict[int, str] = {
    **{16 * kind + POINT: "<u4" for kind in ValueKind},
    **{16 * kind + TIME: "<i8" for kind in ValueKind},
    16 * ValueKind.FLOAT + VALUE: "<f8",
    16 * ValueKind.INT + VALUE: "<i8",
    16 * ValueKind.TEXT + OFFSET: "<u4",
    **{SAMPLES + at: dtype for at, dtype in enumerate(("<i2", "<i4", "<f4"))},
}
_STEPS = ChunkConfig(
    compression_level=5, mode_spec=ModeSpec.classic(), delta_spec=DeltaSpec.try_consecutive(1)
)
_VALUES = ChunkConfig(compression_level=5)
_ZSTD_LEVEL = 3
_INDEX_BITS = np.uint64(24)
ROWS_MAX = 1 << 24
CONTENT_BYTES_MAX = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Span:
    """A whole record in the bytes of a block: where it begins, and what its header says."""

    offset: int
    kind: RecordKind
    payload_bytes: int


def encode_body(plain: bytes, records: Sequence[Span]) -> bytes:
    """Body of a block of kind "records"; they lie in `plain` one behind the other."""
    gathered = _Gather(memoryview(plain))
    headers = b"".join(plain[item.offset : item.offset + _CHECKED] for item in records)
    apart = bytes(gathered.take_record(item) for item in records)
    columns = gathered.columns()
    columns[HEADERS], columns[TAKEN_APART] = _differences(headers, len(records)), apart
    streams = [_encode_stream(stream, columns) for stream in sorted(columns) if columns[stream]]
    heads = [_STREAM.pack(*key, len(data), 0) for key, data in streams]
    return b"".join(
        [_BODY.pack(len(records), len(streams)), *heads, *(data for _, data in streams)]
    )


def decode_body(body: bytes, plain_bytes: int) -> bytes:
    """The bytes that were encoded; Damaged if the body is not that of such a block."""
    try:
        return _decode(body, plain_bytes)
    except Damaged:
        raise
    except (struct.error, ValueError, LookupError, RuntimeError, TypeError) as error:
        raise Damaged(f"log block: {error}") from error


def compress(data: bytes) -> bytes:
    """A zstd frame that tells its size."""
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(data)


def decompress(data: bytes, size: int) -> bytes:
    """Content of a zstd frame of exactly `size` bytes; Damaged if it is not one."""
    try:
        if size > CONTENT_BYTES_MAX or zstandard.frame_content_size(data) != size:
            raise Damaged(f"zstd frame is not one of {size} bytes")
        return zstandard.ZstdDecompressor().decompress(data) if size else b""
    except zstandard.ZstdError as error:
        raise Damaged(f"zstd frame: {error}") from error


# --- one walk for both directions


def _walk_batch(plain: memoryview, at: int, end: int, move: Move) -> None:
    begin, at = at, move(REST, at, BATCH_HEADER.size)
    magic, version, count = BATCH_HEADER.unpack_from(plain, begin)
    if magic != MAGIC or version != VERSION:
        raise Damaged("no batch")
    for _ in range(count):
        at = move(REST, at, SECTION_HEADER.size)
        kind, rows, size = SECTION_HEADER.unpack_from(plain, at - SECTION_HEADER.size)
        stop = at + size
        if stop > end or _walk_section(plain, (kind, rows), (at, stop), move) != stop:
            raise Damaged("a section of another length")
        at = stop
    if at != end:
        raise Damaged("bytes behind the last section")


def _walk_section(
    plain: memoryview, what: tuple[int, int], where: tuple[int, int], move: Move
) -> int:
    (kind, rows), (at, stop) = what, where
    if kind in (ValueKind.FLOAT, ValueKind.INT, ValueKind.TEXT):
        return _walk_frame(plain, kind, rows, at, move)
    if kind != SECTION_BLOCK:
        return move(REST, at, stop - at)
    at = move(REST, at, BLOCK_HEADER.size)
    fields = BLOCK_HEADER.unpack_from(plain, at - BLOCK_HEADER.size)
    sample_type, count = fields[1], fields[6]
    return move(SAMPLES + sample_type, at, count * SAMPLE_TYPES[sample_type].itemsize)


def _walk_frame(plain: memoryview, kind: int, rows: int, at: int, move: Move) -> int:
    stream = 16 * kind
    at = move(stream + TIME, at, 8 * rows)
    if kind != ValueKind.TEXT:
        at = move(stream + VALUE, at, 8 * rows)
    at = move(stream + POINT, at, 4 * rows)
    at = move(stream + QUALITY, at, rows)
    at = move(stream + FLAGS, at, rows)
    if kind != ValueKind.TEXT:
        return at
    last = at + 4 * rows
    at = move(stream + OFFSET, at, 4 * rows + 4)
    return move(stream + VALUE, at, _CRC.unpack_from(plain, last)[0])


class _Gather:
    """From records to streams."""

    def __init__(self, plain: memoryview) -> None:
        self._plain = plain
        self._pieces: dict[int, list[memoryview]] = {}

    def take_record(self, item: Span) -> bool:
        """False if the payload went into REST as it is."""
        begin = item.offset + HEADER_BYTES
        end = begin + item.payload_bytes
        found: list[tuple[int, memoryview]] = []

        def move(stream: int, at: int, size: int) -> int:
            stop = padded(at + size)
            if stop > end or any(self._plain[at + size : stop]):
                raise Damaged("not as this version writes it")
            found.append((stream, self._plain[at : at + size]))
            return stop

        is_apart = item.kind == RecordKind.BATCH
        if is_apart:
            try:
                _walk_batch(self._plain, begin, end, move)
            except (Damaged, struct.error, IndexError):
                is_apart = False
        for stream, piece in found if is_apart else [(REST, self._plain[begin:end])]:
            self._pieces.setdefault(stream, []).append(piece)
        return is_apart

    def columns(self) -> dict[int, bytes]:
        """The bytes of each stream."""
        return {stream: b"".join(pieces) for stream, pieces in self._pieces.items()}


class _Spread:
    """From streams back into records."""

    def __init__(self, plain: memoryview, columns: dict[int, memoryview]) -> None:
        self._plain = plain
        self._columns = columns
        self._at = dict.fromkeys(columns, 0)

    def move(self, stream: int, at: int, size: int) -> int:
        """`size` bytes of the stream go to `at`; where the next column begins."""
        if size:
            begin = self._at[stream]
            self._plain[at : at + size] = self._columns[stream][begin : begin + size]
            self._at[stream] = begin + size
        return padded(at + size)

    def check_end(self) -> None:
        """Every byte of every stream has its place."""
        if any(len(self._columns[stream]) != at for stream, at in self._at.items()):
            raise Damaged("log block: a stream is longer than its records")


# --- streams


def _encode_stream(
    stream: int, columns: dict[int, bytes]
) -> tuple[tuple[int, int, int, int], bytes]:
    data, dtype = columns[stream], _DTYPES.get(stream)
    if dtype is None:
        return (stream, _BYTES, 0, len(data)), compress(data)
    column = np.frombuffer(data, dtype)
    if stream < SAMPLES and stream % 16 == VALUE:
        order = _order(np.frombuffer(columns[stream - VALUE + POINT], "<u4"))
        key = (stream, _BY_POINT, 0, len(column))
        return key, standalone.simple_compress(column[order], _VALUES)
    config = _VALUES if stream >= SAMPLES else _STEPS
    return (stream, _PCODEC, 0, len(column)), standalone.simple_compress(column, config)


def _decode_streams(body: bytes, count: int) -> dict[int, memoryview]:
    columns: dict[int, memoryview] = {}
    at, begin = _BODY.size, _BODY.size + count * _STREAM.size
    for _ in range(count):
        stream, coding, _, items, size, _ = _STREAM.unpack_from(body, at)
        data = body[begin : begin + size]
        at, begin = at + _STREAM.size, begin + size
        if coding == _BYTES:
            columns[stream] = memoryview(decompress(data, items))
            continue
        column = _decode_numbers(data, stream, items)
        if coding == _BY_POINT:
            point = np.frombuffer(columns[stream - VALUE + POINT], "<u4")
            placed = np.empty_like(column)
            placed[_order(point)] = column
            column = placed
        columns[stream] = column.view(np.uint8).data
    if begin != len(body):
        raise Damaged("log block: bytes behind the last stream")
    return columns


def _decode_numbers(data: bytes, stream: int, items: int) -> npt.NDArray[np.generic]:
    if stream not in _DTYPES or items > ROWS_MAX:
        raise Damaged(f"log block: stream {stream} of {items} numbers")
    column = np.empty(items, _DTYPES[stream])
    progress = standalone.simple_decompress_into(data, column)
    if progress.n_processed != items or not progress.finished:
        raise Damaged(f"log block: stream {stream} has another length")
    return column


def _order(point: npt.NDArray[np.uint32]) -> npt.NDArray[np.intp]:
    """Places of the rows by (point, place): one vectorised sort of packed keys."""
    assert len(point) < ROWS_MAX
    key = (point.astype(np.uint64) << _INDEX_BITS) | np.arange(len(point), dtype=np.uint64)
    key.sort()
    return (key & np.uint64(ROWS_MAX - 1)).astype(np.intp)


# --- headers


def _differences(headers: bytes, count: int) -> bytes:
    lanes = np.frombuffer(headers, "<u4").reshape(count, _LANES)
    steps = lanes.copy()
    steps[1:] -= lanes[:-1]
    return steps.view(np.uint8).reshape(count, _CHECKED).T.tobytes()


def _sums(data: memoryview, count: int) -> npt.NDArray[np.uint32]:
    steps = np.frombuffer(data, np.uint8).reshape(_CHECKED, count).T
    lanes = np.ascontiguousarray(steps).view("<u4")
    return np.cumsum(lanes, axis=0, dtype=np.uint32)


def _decode(body: bytes, plain_bytes: int) -> bytes:
    count, stream_count = _BODY.unpack_from(body)
    columns = _decode_streams(body, stream_count)
    headers, apart = columns.pop(HEADERS), columns.pop(TAKEN_APART)
    lanes = _sums(headers, count)
    sizes = lanes[:, _SIZE_LANE].tolist()
    if sum(HEADER_BYTES + padded(size) for size in sizes) != plain_bytes or count != len(apart):
        raise Damaged("log block: its records have another length")
    plain = bytearray(plain_bytes)
    view, checked = memoryview(plain), memoryview(lanes.tobytes())
    spread, at = _Spread(view, columns), 0
    for number, size in enumerate(sizes):
        head = checked[number * _CHECKED : (number + 1) * _CHECKED]
        begin = at + HEADER_BYTES
        view[at : at + _CHECKED] = head
        _CRC.pack_into(view, at + _CHECKED, crc(head))
        if apart[number]:
            _walk_batch(view, begin, begin + size, spread.move)
        else:
            spread.move(REST, begin, size)
        at = begin + padded(size)
    spread.check_end()
    return bytes(plain)
