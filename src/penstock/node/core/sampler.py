"""One look a second at counters that only grow, so that every viewer sees the same rates.

A rate between two requests would be the mean of a night after a night without
viewers, and two open screens would shorten each other's window.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PERIOD_S = 1.0
SAMPLES_MAX = 61

Counters = dict[str, float]


class Sampler:
    """The last minute of some counters; rates over a window of it."""

    def __init__(self, read: Callable[[], Mapping[str, float]]) -> None:
        self._read = read
        self._samples: deque[tuple[float, Counters]] = deque(maxlen=SAMPLES_MAX)

    async def run(self) -> None:
        """Look once a second, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            self.take(loop.time())
            await asyncio.sleep(PERIOD_S)

    def take(self, now_s: float) -> None:
        """Remember the counters as of `now_s` (any steady clock)."""
        self._samples.append((now_s, dict(self._read())))

    def rate(self, name: str, window_s: float) -> float | None:
        """Per second over the window's samples; None until there are two that have the counter."""
        change = self.change(name, window_s)
        return None if change is None else change[0] / change[1]

    def ratio(self, name: str, by: str, window_s: float) -> float | None:
        """Change of one counter per change of another (a mean duration); None if `by` stood."""
        above, below = self.change(name, window_s), self.change(by, window_s)
        if above is None or below is None or below[0] == 0:
            return None
        return above[0] / below[0]

    def change(self, name: str, window_s: float) -> tuple[float, float] | None:
        """(change, seconds) between the window's first and last sample of a counter.

        A counter that fell was begun again (a process restarted): what lies before is left out.
        """
        if not self._samples:
            return None
        newest_s = self._samples[-1][0]
        found: list[tuple[float, float]] = []
        for time_s, counters in reversed(self._samples):
            value = counters.get(name)
            if value is None or newest_s - time_s > window_s:
                break
            if found and value > found[-1][1]:
                break
            found.append((time_s, value))
        if len(found) < 2:
            return None
        (last_s, last), (first_s, first) = found[0], found[-1]
        return last - first, last_s - first_s
