"""Link frame: docs/reference/formats/link-frame.md.

The same frames go over the socketpair to a local process and over TLS to a node
far away. A frame is a 32-byte header and a payload.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, cast
from uuid import UUID

import orjson

from penstock.codec.batch import decode_batch, encode_batch
from penstock.codec.layout import Buffer, Damaged, crc
from penstock.model import Batch, Origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.model.event import Json

MAGIC = b"PLNK"
VERSION = 1
_HEADER = struct.Struct("<4sHBBIIQI")
HEADER_BYTES = _HEADER.size + 4
PAYLOAD_BYTES_MAX = 16 * 1024 * 1024
_ORIGIN = struct.Struct("<16sIIQQ")
_ACKNOWLEDGE = struct.Struct("<16sIIQQQ")
_CREDIT = struct.Struct("<Q")


class LinkType(IntEnum):
    """What a frame carries. A number is never reused."""

    HELLO = 1
    DICTIONARY = 2
    BATCH = 3
    ACKNOWLEDGE = 4
    CREDIT = 5
    RECORD = 6
    COMMAND = 7
    COMMAND_STATE = 8
    CONFIGURATION = 9
    QUERY = 10
    ANSWER = 11
    HEARTBEAT = 12
    BYE = 13


_TYPES = frozenset(int(type_) for type_ in LinkType)


class Lane(IntEnum):
    """Live data overtakes backlog."""

    LIVE = 0
    BACKLOG = 1


@dataclass(frozen=True, slots=True)
class LinkHeader:
    """Header of a frame; `number` counts the frames of one direction from 1."""

    type: LinkType
    lane: Lane
    payload_bytes: int
    payload_crc: int
    number: int


@dataclass(frozen=True, slots=True)
class RangeAcknowledge:
    """Batches `first` to `last` of `origin` are durable at the receiver."""

    origin: Origin
    first: int
    last: int


def encode_frame(
    type_: LinkType, payload: Sequence[Buffer], number: int, lane: Lane = Lane.LIVE
) -> list[Buffer]:
    """Header and payload as buffers."""
    size = sum(len(buffer) for buffer in payload)
    assert size <= PAYLOAD_BYTES_MAX
    checked = _HEADER.pack(MAGIC, VERSION, type_, lane, size, crc(*payload), number, 0)
    return [checked + struct.pack("<I", crc(checked)), *payload]


def decode_frame_header(buffer: Buffer) -> LinkHeader:
    """Damaged if it is cut, altered, or of another version."""
    if len(buffer) < HEADER_BYTES:
        raise Damaged("link header is cut")
    checked = bytes(buffer[: _HEADER.size])
    (stored,) = struct.unpack_from("<I", buffer, _HEADER.size)
    magic, version, type_, lane, size, payload_crc, number, _ = _HEADER.unpack(checked)
    if magic != MAGIC or version != VERSION or crc(checked) != stored:
        raise Damaged(f"link frame begins with {checked[:8]!r}")
    if size > PAYLOAD_BYTES_MAX or type_ not in _TYPES or lane not in (Lane.LIVE, Lane.BACKLOG):
        raise Damaged(f"link frame of type {type_}, lane {lane}, {size} bytes")
    return LinkHeader(LinkType(type_), Lane(lane), size, payload_crc, number)


def check_payload(header: LinkHeader, payload: Buffer) -> None:
    """Damaged unless the payload is the one that the header announced."""
    if len(payload) != header.payload_bytes or crc(payload) != header.payload_crc:
        raise Damaged(f"link frame {header.number} has a wrong checksum")


def encode_batch_payload(batch: Batch) -> list[Buffer]:
    """Origin and sequence, then the batch as in the log."""
    origin = batch.origin
    head = _ORIGIN.pack(origin.node.bytes, origin.slot, 0, origin.incarnation, batch.sequence)
    return [head, *encode_batch(batch)]


def decode_batch_payload(payload: Buffer) -> Batch:
    """The Batch as its author numbered it."""
    if len(payload) < _ORIGIN.size:
        raise Damaged("link batch is cut")
    node, slot, _, incarnation, sequence = _ORIGIN.unpack_from(payload)
    origin = Origin(UUID(bytes=node), slot, incarnation)
    return decode_batch(memoryview(payload)[_ORIGIN.size :], origin, sequence)


def encode_acknowledge(item: RangeAcknowledge) -> bytes:
    """48 bytes."""
    origin = item.origin
    return _ACKNOWLEDGE.pack(
        origin.node.bytes, origin.slot, 0, origin.incarnation, item.first, item.last
    )


def decode_acknowledge(payload: Buffer) -> RangeAcknowledge:
    """Damaged unless it is 48 bytes."""
    if len(payload) != _ACKNOWLEDGE.size:
        raise Damaged(f"range acknowledgement of {len(payload)} bytes")
    node, slot, _, incarnation, first, last = _ACKNOWLEDGE.unpack(payload)
    return RangeAcknowledge(Origin(UUID(bytes=node), slot, incarnation), first, last)


def encode_credit(total_bytes: int) -> bytes:
    """Bytes of batches that may be sent in all since hello (a total survives a lost message)."""
    return _CREDIT.pack(total_bytes)


def decode_credit(payload: Buffer) -> int:
    """Damaged unless it is 8 bytes."""
    if len(payload) != _CREDIT.size:
        raise Damaged(f"credit of {len(payload)} bytes")
    return cast("int", _CREDIT.unpack(payload)[0])


def encode_json(document: Json) -> bytes:
    """UTF-8 JSON with sorted keys (hello, record, command state, configuration, query, answer)."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def decode_json(payload: Buffer) -> dict[str, Json]:
    """Damaged unless it is a JSON object."""
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise Damaged(f"link JSON: {error}") from error
    if not isinstance(document, dict):
        raise Damaged("link JSON is not an object")
    return document
