"""Live frames to rows (docs/reference/formats/live-frame.md), with the standard library alone."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = 1
VALUES = 1
TEXT_VALUES = 7
RESYNC = 9
KIND_INT = 2
NO_VALUE_FLAG = 16
AGE_MS_NEVER = 0xFFFF_FFFF
_HEADER = struct.Struct("<BBBBIQq")
_COUNTS = struct.Struct("<II")


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """Header and payload of one message."""

    type: int
    kind: int
    sequence: int
    server_time_ns: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class LiveRow:
    """A sample; `index` is the place in the list of the subscription."""

    index: int
    value: float | int | str | None
    quality: int
    age_ms: int | None


def parse_frame(message: bytes) -> LiveFrame:
    """Split the header off; ValueError for another version or too few bytes."""
    if len(message) < _HEADER.size:
        raise ValueError(f"a live frame has at least {_HEADER.size} bytes, not {len(message)}")
    type_, version, _flags, kind, _sid, sequence, time_ns = _HEADER.unpack_from(message)
    if version != VERSION:
        raise ValueError(f"live frames of version {version} are not known")
    return LiveFrame(type_, kind, sequence, time_ns, message[_HEADER.size :])


def rows_of(frame: LiveFrame) -> Iterator[LiveRow]:
    """Samples of a values or text frame."""
    if frame.type == VALUES:
        yield from _number_rows(frame)
    elif frame.type == TEXT_VALUES:
        yield from _text_rows(frame)


def _number_rows(frame: LiveFrame) -> Iterator[LiveRow]:
    count, _zero = _COUNTS.unpack_from(frame.payload)
    code = "q" if frame.kind == KIND_INT else "d"
    layout = struct.Struct(f"<{count}{code}{count}I{count}I{count}B{count}B")
    cells = layout.unpack_from(frame.payload, _COUNTS.size)
    columns = [cells[begin * count : (begin + 1) * count] for begin in range(5)]
    for value, age_ms, index, quality, flags in zip(*columns, strict=True):
        yield _row(index, value, quality, flags, age_ms)


def _text_rows(frame: LiveFrame) -> Iterator[LiveRow]:
    count, _size = _COUNTS.unpack_from(frame.payload)
    layout = struct.Struct(f"<{count}I{count}I{count + 1}I{count}B{count}B")
    cells = layout.unpack_from(frame.payload, _COUNTS.size)
    words = frame.payload[_COUNTS.size + layout.size :]
    offsets = cells[2 * count : 3 * count + 1]
    quality, flags = cells[3 * count + 1 : 4 * count + 1], cells[4 * count + 1 :]
    for row in range(count):
        value = words[offsets[row] : offsets[row + 1]].decode("utf-8", "replace")
        yield _row(cells[count + row], value, quality[row], flags[row], cells[row])


def _row(
    index: int,
    value: float | int | str,
    quality: int,
    flags: int,
    age_ms: int,
) -> LiveRow:
    has_value = not flags & NO_VALUE_FLAG
    age = None if age_ms == AGE_MS_NEVER else age_ms
    return LiveRow(index, value if has_value else None, quality, age)
