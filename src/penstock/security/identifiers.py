"""UUID version 7: sorted by time, so that the newest rows lie together in an index."""

from __future__ import annotations

import secrets
import time
from uuid import UUID


def uuid7(now_ns: int | None = None) -> UUID:
    """RFC 9562: 48 bits of milliseconds, then random bits."""
    milliseconds = (time.time_ns() if now_ns is None else now_ns) // 1_000_000
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7 << 76 | secrets.randbits(12) << 64
    value |= 0b10 << 62 | secrets.randbits(62)
    return UUID(int=value)
