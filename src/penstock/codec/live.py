"""Live frame: docs/reference/formats/live-frame.md. One WebSocket message, made once a tick."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from penstock.codec.layout import column_bytes, padding
from penstock.model import TextColumn, ValueKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from penstock.model import Frame

VERSION = 1
_HEADER = struct.Struct("<BBBBIQq")
HEADER_BYTES = _HEADER.size
AGE_MS_MAX = 0xFFFF_FFFF
DELTA = 1
SNAPSHOT = 2


class LiveType(IntEnum):
    """What a message carries. A number is never reused."""

    HEARTBEAT = 0
    VALUES = 1
    ALARMS = 2
    EVENT = 6
    TEXT_VALUES = 7
    RESYNC = 9


def encode_live(
    type_: LiveType,
    payload: bytes,
    *,
    sequence: int,
    server_time_ns: int,
    sid: int = 0,
    flags: int = 0,
    kind: int = 0,
) -> bytes:
    """Header and payload."""
    return _HEADER.pack(type_, VERSION, flags, kind, sid, sequence, server_time_ns) + payload


def encode_values(
    frame: Frame,
    index: npt.NDArray[np.uint32],
    *,
    sequence: int,
    server_time_ns: int,
    sid: int,
    is_snapshot: bool,
) -> bytes:
    """Newest samples of a subscription; `index` u32[n] is the place in its list of points."""
    age_ms = age_in_ms(frame.time_ns, server_time_ns)
    flags = SNAPSHOT if is_snapshot else DELTA
    if isinstance(frame.value, TextColumn):
        head = struct.pack("<II", len(frame), len(frame.value.data))
        columns = [age_ms, index, frame.value.offset, frame.quality, frame.flags, frame.value.data]
        type_ = LiveType.TEXT_VALUES
    else:
        head = struct.pack("<II", len(frame), 0)
        columns = [frame.value, age_ms, index, frame.quality, frame.flags]
        type_ = LiveType.VALUES
    body = head + b"".join(bytes(column_bytes(column)) for column in columns)  # type: ignore[arg-type]
    return encode_live(
        type_,
        body + padding(len(body)),
        sequence=sequence,
        server_time_ns=server_time_ns,
        sid=sid,
        flags=flags,
        kind=int(ValueKind(frame.kind)),
    )


def age_in_ms(time_ns: npt.NDArray[np.int64], server_time_ns: int) -> npt.NDArray[np.uint32]:
    """Age of each sample; 0 for the future, saturating for the distant past (and time 0)."""
    age = (server_time_ns - time_ns) // 1_000_000
    return np.clip(age, 0, AGE_MS_MAX).astype(np.uint32)
