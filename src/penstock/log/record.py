"""LogRecord: what a reader of the log gets, and its way from and to payload bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import orjson

from penstock.codec.batch import decode_batch
from penstock.codec.dictionary import (
    DictionaryEntry,
    Interval,
    decode_checkpoint,
    decode_dictionary,
)
from penstock.codec.event import decode_event
from penstock.codec.layout import Buffer, Damaged
from penstock.codec.record import RecordHeader, RecordKind
from penstock.model import Batch, Event

if TYPE_CHECKING:
    from penstock.model.event import Json

Payload: TypeAlias = "Batch | Event | dict[str, Json] | list[DictionaryEntry] | list[Interval]"
JSON_BYTES_MAX = 1024 * 1024
JSON_KINDS = frozenset(
    {RecordKind.GAP, RecordKind.FINDING, RecordKind.COMMAND, RecordKind.WORK_ORDER}
)


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A durable record; `record_bytes` is what it takes in its file."""

    sequence: int
    receive_ns: int
    kind: RecordKind
    payload: Payload
    record_bytes: int = 0


def decode_payload(header: RecordHeader, payload: Buffer) -> Payload:
    """The payload as its kind says; Damaged if the bytes are not of that kind."""
    if header.kind == RecordKind.BATCH:
        return decode_batch(payload, header.origin, header.origin_sequence)
    if header.kind == RecordKind.EVENT:
        return decode_event(payload)
    if header.kind == RecordKind.DICTIONARY:
        return decode_dictionary(payload)
    if header.kind == RecordKind.CHECKPOINT:
        return decode_checkpoint(payload)
    return _decode_json(header, payload)


def encode_json_payload(payload: dict[str, Json]) -> bytes:
    """Canonical JSON, keys sorted."""
    encoded = orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)
    assert len(encoded) <= JSON_BYTES_MAX, f"a record of {len(encoded)} bytes"
    return encoded


def _decode_json(header: RecordHeader, payload: Buffer) -> dict[str, Json]:
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise Damaged(f"record {header.sequence}: {error}") from error
    if not isinstance(document, dict):
        raise Damaged(f"record {header.sequence} is not a JSON object")
    return document
