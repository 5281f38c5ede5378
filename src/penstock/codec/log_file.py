"""Head of a log file and the watermark page: docs/reference/formats/log-record.md."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from penstock.codec.layout import Buffer, Damaged, crc

MAGIC = b"PLOG"
VERSION = 1
_FILE = struct.Struct("<4sHHQQq24x")
FILE_HEADER_BYTES = 64
_WATERMARK = struct.Struct("<4sHHQQQQ16x")
WATERMARK_MAGIC = b"PWTM"
WATERMARK_BYTES = 64


@dataclass(frozen=True, slots=True)
class LogFileHeader:
    """First 64 bytes of a log file."""

    incarnation: int
    first_sequence: int
    created_ns: int


@dataclass(frozen=True, slots=True)
class Watermark:
    """All records up to `sequence` are durable; `size` bytes of the open file hold them.

    `turn` is the sequence lock: even when the page is at rest.
    """

    turn: int
    incarnation: int
    sequence: int
    size: int


def encode_file_header(header: LogFileHeader) -> bytes:
    """64 bytes with their checksum at the end."""
    packed = _FILE.pack(
        MAGIC, VERSION, 0, header.incarnation, header.first_sequence, header.created_ns
    )
    checked = packed[: FILE_HEADER_BYTES - 4].ljust(FILE_HEADER_BYTES - 4, b"\0")
    return checked + struct.pack("<I", crc(checked))


def decode_file_header(buffer: Buffer) -> LogFileHeader:
    """Damaged if it is cut, altered, or of another version."""
    _check(buffer, FILE_HEADER_BYTES, MAGIC, "log file header")
    _, _, _, incarnation, first_sequence, created_ns = _FILE.unpack_from(
        bytes(buffer[:FILE_HEADER_BYTES])
    )
    return LogFileHeader(incarnation, first_sequence, created_ns)


def encode_watermark(mark: Watermark) -> bytes:
    """64 bytes with their checksum at the end."""
    packed = _WATERMARK.pack(
        WATERMARK_MAGIC, VERSION, 0, mark.turn, mark.incarnation, mark.sequence, mark.size
    )
    checked = packed[: WATERMARK_BYTES - 4].ljust(WATERMARK_BYTES - 4, b"\0")
    return checked + struct.pack("<I", crc(checked))


def decode_watermark(buffer: Buffer) -> Watermark:
    """Damaged if it is being written, altered, or of another version."""
    _check(buffer, WATERMARK_BYTES, WATERMARK_MAGIC, "watermark")
    _, _, _, turn, incarnation, sequence, size = _WATERMARK.unpack_from(
        bytes(buffer[:WATERMARK_BYTES])
    )
    return Watermark(turn, incarnation, sequence, size)


def _check(buffer: Buffer, size: int, magic: bytes, what: str) -> None:
    if len(buffer) < size:
        raise Damaged(f"{what} is cut")
    checked = bytes(buffer[: size - 4])
    (stored,) = struct.unpack_from("<I", buffer, size - 4)
    if checked[:4] != magic or struct.unpack_from("<H", checked, 4)[0] != VERSION:
        raise Damaged(f"{what} begins with {checked[:6]!r}")
    if crc(checked) != stored:
        raise Damaged(f"{what} has a wrong checksum")
