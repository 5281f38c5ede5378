"""Log record: docs/reference/formats/log-record.md.

A record is an 80-byte header and a payload padded to 8 bytes. Header and payload
have a checksum each, so that a wrong length cannot hide the records behind it: a
reader searches for the next magic.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING
from uuid import UUID

from penstock.codec.layout import Buffer, Damaged, crc, padded, padding
from penstock.model import Origin

if TYPE_CHECKING:
    from collections.abc import Sequence

MAGIC = b"PREC"
VERSION = 1
_HEADER = struct.Struct("<4sHBBIIQq16sQQIII")
_CHECKED = _HEADER.size
HEADER_BYTES = _CHECKED + 4
RECORD_BYTES_MAX = 16 * 1024 * 1024


class RecordKind(IntEnum):
    """What a record holds. A number is never reused."""

    BATCH = 1
    GAP = 2
    EVENT = 3
    FINDING = 4
    COMMAND = 5
    WORK_ORDER = 6
    DICTIONARY = 7
    CHECKPOINT = 8


_KINDS = frozenset(int(kind) for kind in RecordKind)


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """Header of a record; `origin_sequence` is 0 where the node itself is the author."""

    kind: RecordKind
    payload_bytes: int
    payload_crc: int
    sequence: int
    receive_ns: int
    origin: Origin
    origin_sequence: int

    @property
    def record_bytes(self) -> int:
        """Header, payload and padding."""
        return HEADER_BYTES + padded(self.payload_bytes)


def encode_record(
    kind: RecordKind,
    payload: Sequence[Buffer],
    *,
    sequence: int,
    receive_ns: int,
    origin: Origin,
    origin_sequence: int = 0,
) -> list[Buffer]:
    """Header, payload and padding as buffers for one writev."""
    size = sum(len(buffer) for buffer in payload)
    assert size <= RECORD_BYTES_MAX
    checked = _HEADER.pack(
        MAGIC,
        VERSION,
        kind,
        0,
        size,
        crc(*payload),
        sequence,
        receive_ns,
        origin.node.bytes,
        origin.incarnation,
        origin_sequence,
        origin.slot,
        0,
        0,
    )
    buffers: list[Buffer] = [checked + struct.pack("<I", crc(checked)), *payload]
    if size % 8:
        buffers.append(padding(size))
    return buffers


def decode_header(buffer: Buffer, offset: int = 0) -> RecordHeader:
    """Header at `offset`; Damaged if it is cut, has another magic or a wrong checksum."""
    if offset + HEADER_BYTES > len(buffer):
        raise Damaged(f"record header is cut at {offset}")
    checked = memoryview(buffer)[offset : offset + _CHECKED]
    (stored,) = struct.unpack_from("<I", buffer, offset + _CHECKED)
    fields = _HEADER.unpack(checked)
    if fields[0] != MAGIC or fields[1] != VERSION or crc(checked) != stored:
        raise Damaged(f"no record header at {offset}")
    _, _, kind, _, size, payload_crc, sequence, receive_ns, node, incarnation, number, slot, *_ = (
        fields
    )
    if size > RECORD_BYTES_MAX or kind not in _KINDS:
        raise Damaged(f"record of kind {kind} and {size} bytes at {offset}")
    origin = Origin(UUID(bytes=node), slot, incarnation)
    return RecordHeader(RecordKind(kind), size, payload_crc, sequence, receive_ns, origin, number)


def payload_of(header: RecordHeader, buffer: Buffer, offset: int = 0) -> memoryview:
    """Payload of the record that begins at `offset`; Damaged if cut or altered."""
    begin = offset + HEADER_BYTES
    if offset + header.record_bytes > len(buffer):
        raise Damaged(f"record {header.sequence} is cut at {len(buffer)}")
    payload = memoryview(buffer)[begin : begin + header.payload_bytes]
    if crc(payload) != header.payload_crc:
        raise Damaged(f"record {header.sequence} has a wrong checksum")
    return payload


def find_magic(buffer: Buffer, offset: int) -> int:
    """Offset of the next record magic on an 8-byte boundary at or behind `offset`, else -1."""
    data = bytes(buffer)
    at = data.find(MAGIC, offset)
    while at >= 0 and at % 8:
        at = data.find(MAGIC, at + 1)
    return at
