"""Batch payload: docs/reference/formats/batch.md.

A Batch becomes a list of buffers, so that the log writes the columns where they
lie (one writev) and nothing is joined in memory.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from penstock.codec.layout import Buffer, Damaged, SectionReader, column_bytes, padded, padding
from penstock.model import Batch, Block, Frame, Origin, Receipts, TextColumn, ValueKind
from penstock.model.batch import BATCH_BYTES_MAX, BATCH_ROWS_MAX
from penstock.model.block import SAMPLE_TYPES, is_span

if TYPE_CHECKING:
    import numpy.typing as npt

MAGIC = b"PBAT"
VERSION = 1
BATCH_HEADER = struct.Struct("<4sHH")
SECTION_HEADER = struct.Struct("<B3xIQ")
BLOCK_HEADER = struct.Struct("<IBBBxqdII")
SECTION_BLOCK = 4
SECTION_RECEIPTS = 5
SECTIONS_MAX = 65_535


def encode_batch(batch: Batch) -> list[Buffer]:
    """The payload as buffers whose lengths add up to a multiple of 8."""
    sections: list[list[Buffer]] = [
        *(_section(frame.kind, len(frame), _frame_buffers(frame)) for frame in batch.frames),
        *(
            _section(SECTION_BLOCK, len(block.samples), _block_buffers(block))
            for block in batch.blocks
        ),
    ]
    if batch.receipts is not None:
        receipts = batch.receipts
        sections.append(_section(SECTION_RECEIPTS, len(receipts), _receipt_buffers(receipts)))
    assert len(sections) <= SECTIONS_MAX
    buffers: list[Buffer] = [BATCH_HEADER.pack(MAGIC, VERSION, len(sections))]
    for section in sections:
        buffers.extend(section)
    size = sum(len(buffer) for buffer in buffers)
    assert size % 8 == 0
    assert size <= BATCH_BYTES_MAX, f"a batch of {size} bytes"
    return buffers


def decode_batch(payload: Buffer, origin: Origin, sequence: int) -> Batch:
    """Columns as views of `payload`; Damaged if it is not a whole batch of a known version."""
    count = _read_header(payload)
    offset, contents = BATCH_HEADER.size, _Contents([], [], None)
    for _ in range(count):
        if offset + SECTION_HEADER.size > len(payload):
            raise Damaged(f"batch ends early: {len(payload)} bytes")
        kind, rows, size = SECTION_HEADER.unpack_from(payload, offset)
        offset += SECTION_HEADER.size
        if size % 8 or offset + size > len(payload):
            raise Damaged(f"batch section of {size} bytes at {offset}")
        _read_section(contents, kind, rows, memoryview(payload)[offset : offset + size])
        offset += size
    return _assemble(contents, origin, sequence)


@dataclass(slots=True)
class _Contents:
    frames: list[Frame]
    blocks: list[Block]
    receipts: Receipts | None


def _read_header(payload: Buffer) -> int:
    if len(payload) < BATCH_HEADER.size:
        raise Damaged("batch is shorter than its header")
    magic, version, count = BATCH_HEADER.unpack_from(payload)
    if magic != MAGIC or version != VERSION:
        raise Damaged(f"batch begins with {magic!r}, version {version}")
    return cast("int", count)


def _assemble(contents: _Contents, origin: Origin, sequence: int) -> Batch:
    kinds = [frame.kind for frame in contents.frames]
    if kinds != sorted(set(kinds)):
        raise Damaged(f"batch has its frames in the order {kinds}")
    if sum(len(frame) for frame in contents.frames) > BATCH_ROWS_MAX:
        raise Damaged(f"batch has more than {BATCH_ROWS_MAX} rows")
    return Batch(
        origin, sequence, tuple(contents.frames), tuple(contents.blocks), contents.receipts
    )


def _section(kind: int, rows: int, columns: list[Buffer]) -> list[Buffer]:
    body: list[Buffer] = []
    for column in columns:
        body.append(column)
        if len(column) % 8:
            body.append(padding(len(column)))
    return [SECTION_HEADER.pack(kind, rows, sum(len(buffer) for buffer in body)), *body]


def _frame_buffers(frame: Frame) -> list[Buffer]:
    tail = [
        column_bytes(frame.point),
        column_bytes(frame.quality),
        column_bytes(frame.flags),
    ]
    if isinstance(frame.value, TextColumn):
        offset, data = frame.value.offset, frame.value.data
        if int(offset[0]) != 0:
            data, offset = data[int(offset[0]) :], offset - offset[0]
        data = data[: int(offset[-1])]
        return [column_bytes(frame.time_ns), *tail, column_bytes(offset), column_bytes(data)]
    return [column_bytes(frame.time_ns), column_bytes(frame.value), *tail]


def _block_buffers(block: Block) -> list[Buffer]:
    header = BLOCK_HEADER.pack(
        block.point,
        block.sample_type,
        block.quality,
        block.flags,
        block.t0_ns,
        block.dt_ns,
        len(block.samples),
        0,
    )
    return [header, column_bytes(block.samples)]


def _receipt_buffers(receipts: Receipts) -> list[Buffer]:
    return [
        column_bytes(receipts.source),
        column_bytes(receipts.packet),
        column_bytes(receipts.rows),
        column_bytes(receipts.hash),
        column_bytes(receipts.keys.reshape(-1)),
    ]


def _read_section(contents: _Contents, kind: int, rows: int, body: memoryview) -> None:
    reader = SectionReader(body, "batch section")
    if kind in (ValueKind.FLOAT, ValueKind.INT, ValueKind.TEXT):
        contents.frames.append(_read_frame(reader, ValueKind(kind), rows, len(body)))
    elif kind == SECTION_BLOCK:
        contents.blocks.append(_read_block(reader, body))
    elif kind == SECTION_RECEIPTS:
        contents.receipts = _read_receipts(reader, rows, len(body))
    else:
        raise Damaged(f"batch section of unknown kind {kind}")


def _read_frame(reader: SectionReader, kind: ValueKind, rows: int, size: int) -> Frame:
    time_ns = cast("npt.NDArray[np.int64]", reader.column("<i8", rows))
    value: object = None
    if kind != ValueKind.TEXT:
        value = reader.column("<f8" if kind == ValueKind.FLOAT else "<i8", rows)
    point = cast("npt.NDArray[np.uint32]", reader.column("<u4", rows))
    quality = cast("npt.NDArray[np.uint8]", reader.column("u1", rows))
    flags = cast("npt.NDArray[np.uint8]", reader.column("u1", rows))
    if kind == ValueKind.TEXT:
        value = _read_text(reader, rows)
    if reader.offset != size:
        raise Damaged(f"batch section has {size} bytes, its columns {reader.offset}")
    return Frame(point, time_ns, value, quality, flags)  # type: ignore[arg-type]


def _read_text(reader: SectionReader, rows: int) -> TextColumn:
    offset = cast("npt.NDArray[np.uint32]", reader.column("<u4", rows + 1))
    if int(offset[0]) != 0 or np.any(offset[1:] < offset[:-1]):
        raise Damaged("text offsets do not ascend from 0")
    return TextColumn(offset, cast("npt.NDArray[np.uint8]", reader.column("u1", int(offset[-1]))))


def _read_block(reader: SectionReader, body: memoryview) -> Block:
    if len(body) < BLOCK_HEADER.size:
        raise Damaged("block is shorter than its header")
    point, sample_type, quality, flags, t0_ns, dt_ns, count, _ = BLOCK_HEADER.unpack_from(body)
    if sample_type >= len(SAMPLE_TYPES) or not is_span(t0_ns, dt_ns, count):
        raise Damaged(f"block of sample type {sample_type}, t0 {t0_ns}, dt {dt_ns}")
    reader.skip(BLOCK_HEADER.size)
    samples = reader.column(SAMPLE_TYPES[sample_type].str, count)
    if reader.offset != padded(len(body)):
        raise Damaged(f"block section has {len(body)} bytes, its samples end at {reader.offset}")
    return Block(point, t0_ns, dt_ns, samples, quality, flags)  # type: ignore[arg-type]


def _read_receipts(reader: SectionReader, rows: int, size: int) -> Receipts:
    source, packet = reader.column("<u4", rows), reader.column("<u2", rows)
    count, digest = reader.column("<u4", rows), reader.column("<u8", rows)
    keys = reader.column("u1", size - reader.offset)
    if len(keys) % 16:
        raise Damaged("idempotency keys are not 16 bytes each")
    return Receipts(source, packet, count, digest, keys.reshape(-1, 16))  # type: ignore[arg-type]
