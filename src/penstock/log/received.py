"""What the log has received of each origin, and for how long it has to remember that.

Every start of a sender is a new incarnation, and each is remembered: 48 bytes in every
head. One that was followed by another and has been silent for long is forgotten; should
it come back after that, it is taken as new, because refusing it would lose data for
certain, while what is written twice is one sample in the history.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.codec.interval_set import IntervalSet

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from penstock.codec.dictionary import Interval
    from penstock.model import Origin

DAY_NS = 86_400 * 1_000_000_000
# A sender that starts again and again: no more than so many of its former lives.
SUPERSEDED_MAX = 1_024


class Received(IntervalSet):
    """An interval set that knows the last day of each incarnation.

    The day is that of its last batch, or that on which the next incarnation of the same
    sender was heard of, whatever is later: a backlog of weeks comes after live data.
    """

    def __init__(self, intervals: Iterable[Interval] = ()) -> None:
        super().__init__()
        self._days: dict[Origin, int] = {}
        self._newest: dict[tuple[UUID, int], Origin] = {}
        for item in intervals:
            self.note(item.origin, item.first, item.last, item.day)

    def note(self, origin: Origin, first: int, last: int, day: int) -> bool:
        """Add a span that was received on `day` (days since 1970); False if all was there."""
        known = self._days.get(origin)
        if known is None:
            self._on_new(origin, day)
        if known is None or day > known:
            self._days[origin] = day
        return self.add(origin, first, last)

    def intervals(self) -> list[Interval]:
        """All of it with the days, for a checkpoint."""
        days = self._days
        return [replace(item, day=days.get(item.origin, 0)) for item in super().intervals()]

    def fold(self, today: int, silent_days_max: int) -> list[Origin]:
        """Forget superseded incarnations that are silent for longer; those of them."""
        by_sender: dict[tuple[UUID, int], list[Origin]] = {}
        for origin in self._days:
            if origin != self._newest[origin.node, origin.slot]:
                by_sender.setdefault((origin.node, origin.slot), []).append(origin)
        gone = []
        for origins in by_sender.values():
            origins.sort(key=lambda item: item.incarnation, reverse=True)
            gone += origins[SUPERSEDED_MAX:]
            kept = origins[:SUPERSEDED_MAX]
            gone += [item for item in kept if today - self._days[item] > silent_days_max]
        self.forget(gone)
        for origin in gone:
            del self._days[origin]
        return gone

    def _on_new(self, origin: Origin, day: int) -> None:
        key = (origin.node, origin.slot)
        before = self._newest.get(key)
        if before is None:
            self._newest[key] = origin
        elif before.incarnation < origin.incarnation:
            self._newest[key] = origin
            self._days[before] = max(self._days[before], day)
