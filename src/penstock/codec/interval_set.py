"""Which batches of each origin have been received: a sorted set of intervals.

Backlog may come after live data, so "the highest number so far" is not enough;
resends are found because the set, not a counter, is asked.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from penstock.codec.dictionary import Interval

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.model import Origin


class IntervalSet:
    """Per origin: disjoint, sorted, inclusive intervals; adjacent ones are joined."""

    def __init__(self, intervals: Iterable[Interval] = ()) -> None:
        self._bounds: dict[Origin, list[tuple[int, int]]] = {}
        for item in intervals:
            self.add(item.origin, item.first, item.last)

    def __len__(self) -> int:
        """Number of intervals."""
        return sum(map(len, self._bounds.values()))

    def has(self, origin: Origin, sequence: int) -> bool:
        """Is batch `sequence` of `origin` in the set?"""
        bounds = self._bounds.get(origin)
        if not bounds:
            return False
        at = bisect_right(bounds, (sequence, 2**64)) - 1
        return at >= 0 and bounds[at][1] >= sequence

    def knows(self, origin: Origin) -> bool:
        """Is any batch of `origin` in the set?"""
        return origin in self._bounds

    def add(self, origin: Origin, first: int, last: int | None = None) -> bool:
        """Add one batch or a span; False if all of it was there."""
        last = first if last is None else last
        assert first <= last
        bounds = self._bounds.setdefault(origin, [])
        if bounds and bounds[-1][1] + 1 == first:
            bounds[-1] = (bounds[-1][0], last)
            return True
        return _insert(bounds, first, last)

    def forget(self, origins: Iterable[Origin]) -> None:
        """As if nothing of them had been received."""
        for origin in origins:
            self._bounds.pop(origin, None)

    def intervals(self) -> list[Interval]:
        """All of it, for a checkpoint."""
        return [
            Interval(origin, first, last)
            for origin, bounds in self._bounds.items()
            for first, last in bounds
        ]


def _insert(bounds: list[tuple[int, int]], first: int, last: int) -> bool:
    begin = max(0, bisect_right(bounds, (first, 0)) - 1)
    if begin < len(bounds) and bounds[begin][1] < first - 1:
        begin += 1
    end = begin
    low, high = first, last
    while end < len(bounds) and bounds[end][0] <= last + 1:
        if bounds[end][0] <= first and bounds[end][1] >= last:
            return False
        low, high = min(low, bounds[end][0]), max(high, bounds[end][1])
        end += 1
    bounds[begin:end] = [(low, high)]
    return True
