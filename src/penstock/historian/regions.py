"""Regions: the time between samples, cut at the borders of intervals and given to cells.

OPC UA Part 13 divides an interval into regions between neighbouring samples and bounds.
A region takes value and status from the sample it begins with (simple bounding values,
3.1.9). Sloped, its value is a line to the next sample, unless that is bad; then the value
is held, and a region that ends in a sample that is not good is uncertain (5.4.3.2.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.historian.columns import UNCERTAIN
from penstock.historian.items import GOOD, Items, runs

if TYPE_CHECKING:
    import numpy.typing as npt

    from penstock.historian.cells import Cells
    from penstock.historian.intervals import Intervals

STATES_MAX = 256
_NS = 1e-9


@dataclass(frozen=True, slots=True)
class Gaps:
    """n spans from a sample to the next: moments, values and qualities of both ends.

    `has_next` is False behind the newest sample; `to_ns` is then the end of the data.
    """

    place: npt.NDArray[np.int64]
    from_ns: npt.NDArray[np.int64]
    to_ns: npt.NDArray[np.int64]
    value: npt.NDArray[Any]
    quality: npt.NDArray[np.uint8]
    next_value: npt.NDArray[Any]
    next_quality: npt.NDArray[np.uint8]
    has_next: npt.NDArray[np.bool_]

    def take(self, index: npt.NDArray[np.intp]) -> Gaps:
        """The gaps of `index`, in its order."""
        return Gaps(*(getattr(self, name)[index] for name in _GAP_NAMES))


_GAP_NAMES = list(Gaps.__dataclass_fields__)


class Tails:
    """The newest sample so far of each place: where the next gap begins."""

    def __init__(self, count: int, dtype: np.dtype[Any]) -> None:
        self.is_there = np.zeros(count, bool)
        self.time_ns = np.zeros(count, np.int64)
        self.value = np.zeros(count, dtype)
        self.quality = np.zeros(count, np.uint8)
        self.is_used = np.zeros(count, bool)
        self.used_value = np.zeros(count, dtype)

    def follow(self, items: Items) -> Gaps:
        """Gaps before the items of a batch; the tails move to its end."""
        starts, ends = runs(items.place)
        at = items.place[starts]

        def before(column: npt.NDArray[Any], tail: npt.NDArray[Any]) -> npt.NDArray[Any]:
            shifted = np.empty_like(column)
            shifted[1:] = column[:-1]
            shifted[starts] = tail[at]
            return shifted

        gaps = Gaps(
            items.place,
            before(items.last_ns, self.time_ns),
            items.first_ns,
            before(items.last_value, self.value),
            before(items.last_quality, self.quality),
            items.first_value,
            items.first_quality,
            np.ones(len(items), bool),
        )
        is_gap = np.ones(len(items), bool)
        is_gap[starts] = self.is_there[at]
        self.is_there[at] = True
        self.time_ns[at] = items.last_ns[ends]
        self.value[at] = items.last_value[ends]
        self.quality[at] = items.last_quality[ends]
        return gaps if is_gap.all() else gaps.take(np.flatnonzero(is_gap))

    def transitions(self, items: Items) -> npt.NDArray[np.intp]:
        """Items that begin with another value than the used one before; the first is one too."""
        used = np.flatnonzero(items.used)
        if not len(used):
            return used
        place, first = items.place[used], items.first_value[used]
        starts, ends = runs(place)
        at = place[starts]
        is_change = np.ones(len(used), bool)
        last = items.last_value[used]
        is_change[1:] = first[1:] != last[:-1]
        is_change[starts] = ~self.is_used[at] | (first[starts] != self.used_value[at])
        self.is_used[at] = True
        self.used_value[at] = last[ends]
        return used[is_change]


@dataclass(frozen=True, slots=True)
class Regions:
    """Gives gaps to cells; `used_from` is the lowest quality whose values are used."""

    intervals: Intervals
    is_sloped: bool
    used_from: int

    def add(self, gaps: Gaps, cells: Cells, states: States | None) -> None:
        """Cut the gaps at the borders of the intervals and add them up."""
        low = np.maximum(gaps.from_ns, self.intervals.begin_ns)
        high = np.minimum(gaps.to_ns, self.intervals.end_ns)
        some = np.flatnonzero(low < high)
        if not len(some):
            return
        low, high = low[some], high[some]
        first = self.intervals.of(low)
        count = self.intervals.of(high - 1) - first + 1
        piece = np.repeat(np.arange(len(some)), count)
        interval = first[piece] + np.arange(len(piece)) - np.repeat(np.cumsum(count) - count, count)
        begin = np.maximum(low[piece], self.intervals.edges[interval])
        end = np.minimum(high[piece], self.intervals.edges[interval + 1])
        cut = gaps.take(some[piece])
        cell = cut.place * len(self.intervals) + interval
        self._add_pieces(cut, begin, end, cell, cells)
        if states is not None:
            used = np.flatnonzero(cut.quality >= self.used_from)
            states.add(cell[used], cut.value[used], (end - begin)[used], cells)

    def _add_pieces(
        self,
        gaps: Gaps,
        begin: npt.NDArray[np.int64],
        end: npt.NDArray[np.int64],
        cell: npt.NDArray[np.int64],
        cells: Cells,
    ) -> None:
        length = end - begin
        is_used = gaps.quality >= self.used_from
        with np.errstate(invalid="ignore", over="ignore"):
            level = np.where(is_used, gaps.value, 0).astype(np.float64)
            if self.is_sloped:
                level = self._middles(gaps, begin, end, level)
            area = np.where(is_used, level, 0.0) * length * _NS
            np.add.at(cells.integral, cell, area)
        np.add.at(cells.valued_ns, cell, np.where(is_used, length, 0))
        is_good = gaps.quality >= GOOD
        is_uncertain = (gaps.quality >= UNCERTAIN) & ~is_good
        held_good, held_uncertain = is_good, is_uncertain
        if self.is_sloped:
            ends_ill = gaps.has_next & (gaps.next_quality < GOOD)
            at_sample = begin == gaps.from_ns
            held_good = is_good & (at_sample | ~ends_ill)
            held_uncertain = is_uncertain | (is_good & ~held_good)
            is_uncertain = is_uncertain | (is_good & ends_ill)
            is_good = is_good & ~ends_ill
        for column, mask in (
            (cells.good_ns, is_good),
            (cells.uncertain_ns, is_uncertain),
            (cells.held_good_ns, held_good),
            (cells.held_uncertain_ns, held_uncertain),
        ):
            np.add.at(column, cell, np.where(mask, length, 0))

    def _middles(
        self,
        gaps: Gaps,
        begin: npt.NDArray[np.int64],
        end: npt.NDArray[np.int64],
        level: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """Mean of the line over each piece; the held value where there is no line."""
        is_line = gaps.has_next & (gaps.next_quality >= self.used_from)
        rise = np.where(is_line, gaps.next_value, 0).astype(np.float64) - level
        middle = (begin - gaps.from_ns) + (end - begin) / 2
        share = middle / np.maximum(gaps.to_ns - gaps.from_ns, 1)
        return np.where(is_line, level + rise * share, level)


class States:
    """Time in each state of each cell: int values, or numbers of texts.

    The first STATES_MAX states that are met are told apart; the time in all others is
    `other_ns`, None while there is none.
    """

    def __init__(self, cells: int) -> None:
        self.duration_ns: dict[int, npt.NDArray[np.int64]] = {}
        self.other_ns: npt.NDArray[np.int64] | None = None
        self._cells = cells

    def add(
        self,
        cell: npt.NDArray[np.int64],
        value: npt.NDArray[Any],
        length: npt.NDArray[np.int64],
        cells: Cells,
    ) -> None:
        """Add lengths to the states that they were spent in, and to zero and not zero."""
        is_zero = value == 0
        np.add.at(cells.zero_ns, cell[is_zero], length[is_zero])
        np.add.at(cells.nonzero_ns, cell[~is_zero], length[~is_zero])
        some = np.flatnonzero(length > 0)
        if value.dtype != np.int64 or not len(some):
            return
        cell, length = cell[some], length[some]
        found, number = np.unique(value[some], return_inverse=True)
        is_known = np.array([self._is_known(state) for state in found.tolist()], bool)
        for index in np.flatnonzero(is_known).tolist():
            mine = number == index
            np.add.at(self.duration_ns[int(found[index])], cell[mine], length[mine])
        rest = ~is_known[number]
        if rest.any():
            if self.other_ns is None:
                self.other_ns = np.zeros(self._cells, np.int64)
            np.add.at(self.other_ns, cell[rest], length[rest])

    def others(self, cut: slice) -> npt.NDArray[np.int64] | None:
        """Nanoseconds that some cells spent in states that are not told apart; None for none."""
        other_ns = None if self.other_ns is None else self.other_ns[cut]
        return other_ns if other_ns is not None and other_ns.any() else None

    def _is_known(self, state: int) -> bool:
        """A new state is told apart while there is room."""
        if state not in self.duration_ns and len(self.duration_ns) < STATES_MAX:
            self.duration_ns[state] = np.zeros(self._cells, np.int64)
        return state in self.duration_ns
