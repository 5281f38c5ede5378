"""Back-off after wrong passwords: by (name, address), by address and by name.

Each failure beyond the free ones doubles the wait. A name alone waits ten
seconds at most, because otherwise anybody could lock the operator out of the
plant. Kept in memory: a restart forgives, and argon2 still costs its time.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from penstock.model import Refused
from penstock.model.time import SECOND_NS

KEYS_MAX = 10_000
FORGET_NS = 3_600 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Policy:
    """`free` failures cost nothing; the wait after them doubles from 1 s to `wait_s_max`."""

    free: int
    wait_s_max: int

    def wait_ns(self, failures: int) -> int:
        """How long nothing more is tried after so many failures in a row."""
        over = failures - self.free
        return 0 if over < 0 else min(2 ** min(over, 30), self.wait_s_max) * SECOND_NS


PAIR = Policy(free=5, wait_s_max=300)
ADDRESS = Policy(free=20, wait_s_max=300)
NAME = Policy(free=50, wait_s_max=10)

Key = tuple[str, str, str]


@dataclass(slots=True)
class _Record:
    failures: int
    last_ns: int


class Attempts:
    """Counts an attempt as failed before it is judged, so that a parallel flood gains nothing."""

    def __init__(self) -> None:
        self._records: OrderedDict[Key, _Record] = OrderedDict()
        self._throttled = 0

    def begin(self, name: str, address: str, now_ns: int) -> None:
        """Refuse with the seconds to wait, or count one more attempt."""
        keys = _keys(name, address)
        wait_ns = max(self._wait_ns(key, policy, now_ns) for key, policy in keys)
        if wait_ns > 0:
            self._throttled += 1
            raise Refused("too_many_attempts", retry_after_s=-(-wait_ns // SECOND_NS))
        for key, _policy in keys:
            record = self._records.setdefault(key, _Record(0, now_ns))
            if now_ns - record.last_ns > FORGET_NS:
                record.failures = 0
            record.failures += 1
            record.last_ns = now_ns
            self._records.move_to_end(key)
        while len(self._records) > KEYS_MAX:
            self._records.popitem(last=False)

    def succeed(self, name: str, address: str) -> None:
        """The password was right: forget the pair and the name, give the address its one back."""
        pair, address_key, name_key = (key for key, _policy in _keys(name, address))
        self._records.pop(pair, None)
        self._records.pop(name_key, None)
        record = self._records.get(address_key)
        if record is not None:
            record.failures = max(0, record.failures - 1)

    def statistics(self) -> dict[str, int]:
        """Throttled attempts and watched keys."""
        return {
            "throttled": self._throttled,
            "keys": len(self._records),
            "keys_max": KEYS_MAX,
        }

    def _wait_ns(self, key: Key, policy: Policy, now_ns: int) -> int:
        record = self._records.get(key)
        if record is None:
            return 0
        return record.last_ns + policy.wait_ns(record.failures) - now_ns


def _keys(name: str, address: str) -> tuple[tuple[Key, Policy], ...]:
    return (
        (("pair", name, address), PAIR),
        (("address", "", address), ADDRESS),
        (("name", name, ""), NAME),
    )
