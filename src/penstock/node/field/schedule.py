"""Absolute schedule of poll groups: a late answer does not drift, a missed period is counted."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.plugin import PollGroup


class Schedule:
    """When each group is due; phases are spread over the period."""

    def __init__(self, groups: Sequence[PollGroup], now_ns: int) -> None:
        self._groups = list(groups)
        count = max(len(groups), 1)
        self._due = [
            (now_ns + group.period_ns * number // count if number else now_ns, number)
            for number, group in enumerate(groups)
        ]
        heapq.heapify(self._due)
        self.missed = 0

    def __bool__(self) -> bool:
        return bool(self._due)

    @property
    def next_ns(self) -> int:
        """When the next group is due."""
        return self._due[0][0]

    def take(self, now_ns: int) -> PollGroup:
        """The group that is due first; its next turn is a whole number of periods later."""
        due_ns, number = self._due[0]
        period_ns = self._groups[number].period_ns
        skipped = max(0, (now_ns - due_ns) // period_ns)
        self.missed += skipped
        heapq.heapreplace(self._due, (due_ns + (skipped + 1) * period_ns, number))
        return self._groups[number]
