"""UTC from the monotonic clock, so that a step of the clock never reorders samples.

A step forward is taken at once (it only makes a gap); a step backward is worked
off at half speed, so that time slows down for a while but never runs back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.plugin import Clock


class Anchor:
    """The offset between UTC and monotonic time, as it may be used on samples."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at_ns = clock.monotonic_ns()
        self._offset_ns = clock.now_ns() - self._at_ns

    def refresh(self) -> None:
        """Follow UTC; called before each read, never within one."""
        now_ns = self._clock.monotonic_ns()
        wanted_ns = self._clock.now_ns() - now_ns
        slower_ns = (now_ns - self._at_ns) // 2
        self._offset_ns = max(wanted_ns, self._offset_ns - slower_ns)
        self._at_ns = now_ns

    def utc_ns(self, monotonic_ns: int) -> int:
        """UTC of a moment of the monotonic clock."""
        return monotonic_ns + self._offset_ns
