"""Dictionary (handle to UUID, kind, path) and checkpoint: docs/reference/formats/log-record.md."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from uuid import UUID

import numpy as np

from penstock.codec.layout import Buffer, Damaged, SectionReader, column_bytes, padding
from penstock.model import Origin, TextColumn, ValueKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_DICTIONARY = b"PDIC"
_CHECKPOINT = b"PCHK"
VERSION = 1
_HEADER = struct.Struct("<4sHHII")
_INTERVAL = struct.Struct("<16sIIQQQ")
ENTRIES_MAX = 1_000_000
_KINDS = frozenset(int(kind) for kind in ValueKind)


@dataclass(frozen=True, slots=True)
class DictionaryEntry:
    """A handle and what it stands for, for ever."""

    handle: int
    id: UUID
    kind: ValueKind
    path: str


@dataclass(frozen=True, slots=True)
class Interval:
    """Batches `first` to `last` (inclusive) of one origin that the log holds.

    `day` (days since 1970) is the last that counts for keeping it; 0 is not known.
    """

    origin: Origin
    first: int
    last: int
    day: int = 0


def encode_dictionary(entries: Sequence[DictionaryEntry]) -> bytes:
    """Columns handle u32, id 16 bytes, kind u8, path as text."""
    paths = TextColumn.of(entry.path for entry in entries)
    columns: list[Buffer] = [
        column_bytes(np.array([entry.handle for entry in entries], "<u4")),
        b"".join(entry.id.bytes for entry in entries),
        column_bytes(np.array([entry.kind for entry in entries], "u1")),
        column_bytes(paths.offset),
        column_bytes(paths.data),
    ]
    parts: list[Buffer] = [_HEADER.pack(_DICTIONARY, VERSION, 0, len(entries), 0)]
    for column in columns:
        parts += [column, padding(len(column))]
    return b"".join(parts)


def decode_dictionary(payload: Buffer) -> list[DictionaryEntry]:
    """Entries in their order; Damaged if it is not a whole dictionary."""
    count = _count(payload, _DICTIONARY, "dictionary")
    reader = SectionReader(payload, "dictionary")
    reader.skip(_HEADER.size)
    handles = reader.column("<u4", count).tolist()
    ids = reader.column("u1", count * 16).tobytes()
    kinds = reader.column("u1", count).tolist()
    offset = cast("npt.NDArray[np.uint32]", reader.column("<u4", count + 1))
    if int(offset[0]) != 0 or np.any(offset[1:] < offset[:-1]):
        raise Damaged("dictionary paths do not ascend from 0")
    paths = TextColumn(offset, cast("npt.NDArray[np.uint8]", reader.column("u1", int(offset[-1]))))
    if not _KINDS.issuperset(kinds):
        raise Damaged("dictionary has a value kind that does not exist")
    return [
        DictionaryEntry(handle, UUID(bytes=ids[at * 16 : at * 16 + 16]), ValueKind(kind), path)
        for at, (handle, kind, path) in enumerate(zip(handles, kinds, paths.to_list(), strict=True))
    ]


def encode_checkpoint(intervals: Sequence[Interval]) -> bytes:
    """48 bytes an interval."""
    parts = [_HEADER.pack(_CHECKPOINT, VERSION, 0, len(intervals), 0)]
    parts += [
        _INTERVAL.pack(
            item.origin.node.bytes,
            item.origin.slot,
            item.day,
            item.origin.incarnation,
            item.first,
            item.last,
        )
        for item in intervals
    ]
    return b"".join(parts)


def decode_checkpoint(payload: Buffer) -> list[Interval]:
    """Intervals in their order; Damaged if it is not a whole checkpoint."""
    count = _count(payload, _CHECKPOINT, "checkpoint")
    if len(payload) != _HEADER.size + count * _INTERVAL.size:
        raise Damaged(f"checkpoint of {count} intervals has {len(payload)} bytes")
    intervals = []
    for at in range(count):
        node, slot, day, incarnation, first, last = _INTERVAL.unpack_from(
            payload, _HEADER.size + at * _INTERVAL.size
        )
        intervals.append(Interval(Origin(UUID(bytes=node), slot, incarnation), first, last, day))
    return intervals


def _count(payload: Buffer, magic: bytes, what: str) -> int:
    if len(payload) < _HEADER.size:
        raise Damaged(f"{what} is cut")
    found, version, _, count, _ = _HEADER.unpack_from(payload)
    if found != magic or version != VERSION or count > ENTRIES_MAX:
        raise Damaged(f"{what} begins with {found!r}, version {version}, {count} entries")
    return cast("int", count)
