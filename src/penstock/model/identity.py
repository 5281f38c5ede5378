"""UUID version 7 (RFC 9562 §5.7): identities that sort by the time they were made."""

from __future__ import annotations

import secrets
from uuid import UUID


def new_id(now_ns: int) -> UUID:
    """A new identity; 48 bits of milliseconds, 74 bits of randomness."""
    milliseconds = (now_ns // 1_000_000) & 0xFFFF_FFFF_FFFF
    number = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64
    return UUID(int=number | 0b10 << 62 | secrets.randbits(62))
