"""A chunk table that cannot be trusted, made whole from what else is in the file.

The checksum of the table is in the footer: one wrong bit among millions is found by it,
since each bit changes a crc32 in its own way. A damaged footer says nothing that the
manifest and the table do not say, and then every chunk has to fit the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from penstock.codec.layout import Damaged, crc
from penstock.historian.segment import FOOTER_BYTES, HEADER_BYTES, columns_of, table_crc_of
from penstock.historian.verify_segment import check_chunks, fits_manifest
from penstock.model import ValueKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock.historian.segment import ChunkTable, SegmentInfo
    from penstock.world import Disk

    Pace = Callable[[int], None]

TABLE_BYTES_MAX = 64 * 1024 * 1024
_POLYNOMIAL = 0xEDB88320


def salvaged_table(
    disk: Disk, folder: Path, info: SegmentInfo, pace: Pace
) -> tuple[ChunkTable, list[int]] | None:
    """(the table as it was written, chunks that do not fit it); None if that cannot be known."""
    size = info.file_bytes - info.table_offset
    pace(size)
    try:
        data = disk.read(folder / info.name, info.table_offset, size)
    except FileNotFoundError:
        return None
    if len(data) != size or not FOOTER_BYTES < size <= TABLE_BYTES_MAX:
        return None
    body: bytes | None = data[:-FOOTER_BYTES]
    assert body is not None
    try:
        body = _without_wrong_bit(body, table_crc_of(data[-FOOTER_BYTES:], info.table_offset))
        is_exact = True
    except Damaged:
        is_exact = False
    if body is None:
        return None
    try:
        table = columns_of(body, info.chunks)
    except Damaged:
        return None
    if not _tiles(table, info) or not fits_manifest(table, info):
        return None
    findings = list(check_chunks(disk, folder, info, table, pace))
    if findings and not is_exact:
        return None
    return table, sorted({finding.chunk for finding in findings if finding.chunk >= 0})


def _tiles(table: ChunkTable, info: SegmentInfo) -> bool:
    """Do the chunks lie one behind the other from the header to the table, and of known kinds?"""
    order = np.argsort(table.offset, kind="stable")
    size = table.bytes[order].astype(np.uint64)
    ends = np.uint64(HEADER_BYTES) + np.cumsum(size, dtype=np.uint64)
    is_tiled = (table.offset[order] == ends - size).all() and int(ends[-1]) == info.table_offset
    return bool(is_tiled and np.isin(table.kind, [int(kind) for kind in ValueKind]).all())


def _without_wrong_bit(data: bytes, stored: int) -> bytes | None:
    """The bytes of this checksum, if at most one bit of them is wrong."""
    difference = crc(data) ^ stored
    if not difference:
        return data
    # What a zero byte behind the wrong bit did to the difference is undone, byte by byte.
    steps = [_step(byte) for byte in range(256)]
    byte_of = {step >> 24: byte for byte, step in enumerate(steps)}
    bits = {steps[1 << bit]: bit for bit in range(8)}
    for place in range(len(data) - 1, -1, -1):
        bit = bits.get(difference)
        if bit is not None:
            mended = bytearray(data)
            mended[place] ^= 1 << bit
            return bytes(mended) if crc(mended) == stored else None
        byte = byte_of[difference >> 24]
        difference = ((difference ^ steps[byte]) << 8 | byte) & 0xFFFFFFFF
    return None


def _step(byte: int) -> int:
    """How crc32 goes on from a byte."""
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte
