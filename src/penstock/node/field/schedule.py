"""Absolute schedule of poll groups: a late answer does not drift, a missed period is counted."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.plugin import PollGroup


class Schedule:
    """When each group is due: all at once after connecting, then with phases over the period."""

    def __init__(self, groups: Sequence[PollGroup], now_ns: int) -> None:
        self._groups = list(groups)
        self._due = [(now_ns, number) for number in range(len(groups))]
        self._phase_ns = {
            number: now_ns + group.period_ns * number // len(groups)
            for number, group in enumerate(groups)
        }
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
        step_ns = self._phase_ns.pop(number, due_ns)  # after its first turn: in step with its phase
        skipped = (now_ns - step_ns) // period_ns  # -1 while the phase is still to come
        self.missed += max(0, skipped)
        heapq.heapreplace(self._due, (step_ns + (skipped + 1) * period_ns, number))
        return self._groups[number]
