"""The time by which retention counts: receive times of the log, as long as they can be believed.

A clock that is suddenly years ahead would make everything look old enough to go. After a
jump of more than an hour, retention stands still until the clock is back, until it has
run on steadily for a day, or until a person says that it is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.world import Disk

HOUR_NS = 3_600 * 1_000_000_000
DAY_NS = 24 * HOUR_NS
JUMP_NS_MAX = HOUR_NS
# A machine may have been off over the holidays; nothing but its clock tells how long.
OFF_NS_MAX = 31 * DAY_NS
STEADY_NS = DAY_NS
MARK_NAME = "clock-jumped"


@dataclass(frozen=True, slots=True)
class Jump:
    """UTC went from where it was expected to somewhere else."""

    expected_ns: int
    found_ns: int


@dataclass(frozen=True, slots=True)
class _Reference:
    """UTC and monotonic time that were believed together; UTC may be `ahead_ns_max` later."""

    utc_ns: int
    monotonic_ns: int
    ahead_ns_max: int = JUMP_NS_MAX

    def expected_ns(self, monotonic_ns: int) -> int:
        return self.utc_ns + monotonic_ns - self.monotonic_ns

    def fits(self, utc_ns: int, monotonic_ns: int) -> bool:
        step = utc_ns - self.expected_ns(monotonic_ns)
        return -JUMP_NS_MAX <= step <= self.ahead_ns_max


class ReceiveTime:
    """Fed with each group by the writer's thread; `now_ns` is 0 before the first."""

    def __init__(self, last_ns: int, jump: Jump | None = None) -> None:
        self.now_ns = last_ns
        self.jump = jump
        self._seen: _Reference | None = None
        self._before: _Reference | None = None
        self._steady_since_ns = 0

    @property
    def is_paused(self) -> bool:
        """Nothing becomes older now."""
        return self.jump is not None

    def note(self, utc_ns: int, monotonic_ns: int) -> None:
        """The clocks at a group that is about to be written."""
        seen = self._seen or self._at_start(utc_ns, monotonic_ns)
        if not seen.fits(utc_ns, monotonic_ns):
            self._steady_since_ns = monotonic_ns
            self._before = self._before or seen
            self.jump = Jump(self._before.expected_ns(monotonic_ns), utc_ns)
        if self.jump is not None and self._is_settled(utc_ns, monotonic_ns):
            self.confirm()
        self._seen = _Reference(utc_ns, monotonic_ns)
        if self.jump is None:
            self.now_ns = max(self.now_ns, utc_ns)

    def confirm(self) -> None:
        """The clock is right: a person has looked, or it has shown it."""
        self.jump = self._before = None

    def _at_start(self, utc_ns: int, monotonic_ns: int) -> _Reference:
        self._steady_since_ns = monotonic_ns
        if self.now_ns == 0 or self.jump is not None:
            return _Reference(utc_ns, monotonic_ns)
        return _Reference(self.now_ns, monotonic_ns, OFF_NS_MAX)

    def _is_settled(self, utc_ns: int, monotonic_ns: int) -> bool:
        is_back = self._before is not None and self._before.fits(utc_ns, monotonic_ns)
        return is_back or monotonic_ns - self._steady_since_ns >= STEADY_NS


def load_jump(folder: Path, disk: Disk) -> Jump | None:
    """What an earlier process saw and nobody has resolved."""
    try:
        found = orjson.loads(disk.read(folder / MARK_NAME))
        return Jump(int(found["expected_ns"]), int(found["found_ns"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def save_jump(folder: Path, disk: Disk, jump: Jump | None) -> None:
    """Outlives the process. OSError when the disk refuses."""
    if jump is None:
        disk.remove(folder / MARK_NAME)
        return
    document = {"expected_ns": jump.expected_ns, "found_ns": jump.found_ns}
    disk.write_whole(folder / MARK_NAME, [orjson.dumps(document)])
