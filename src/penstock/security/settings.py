"""Numbers of the security package, in one place; the defaults are the product's.

Tests make argon2 cheap through this object and through nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from penstock.model.time import DAY_NS, HOUR_NS, MINUTE_NS


@dataclass(frozen=True, slots=True)
class PasswordSettings:
    """Argon2id: OWASP's minimum of 19 MiB; 124 ms each on the reference machine."""

    memory_kib: int = 19 * 1024
    time_cost: int = 2
    length_min: int = 12
    length_max: int = 1_024
    waiting_max: int = 16


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """A session ends when idle or when old, whichever comes first."""

    idle_ns: int = 12 * HOUR_NS
    absolute_ns: int = 7 * DAY_NS
    touch_ns: int = MINUTE_NS
    per_user_max: int = 20


@dataclass(frozen=True, slots=True)
class SecuritySettings:
    """What `Security.open` needs beside the database and the keys."""

    passwords: PasswordSettings = field(default_factory=PasswordSettings)
    sessions: SessionSettings = field(default_factory=SessionSettings)
    setup_ns: int = 24 * HOUR_NS
    users_max: int = 10_000
