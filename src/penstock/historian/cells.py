"""Cells: one a point and interval, filled from items in time order, batch by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.historian.items import Items, highest, lowest, runs

if TYPE_CHECKING:
    import numpy.typing as npt


class Extreme:
    """Smallest or largest value of each cell, when it was, and at how many moments."""

    def __init__(self, count: int, dtype: np.dtype[Any], *, is_minimum: bool) -> None:
        worst = highest(dtype) if is_minimum else lowest(dtype)
        self.value = np.full(count, worst, dtype)
        self.time_ns = np.zeros(count, np.int64)
        self.entry = np.full(count, -1, np.int64)
        self.hits = np.zeros(count, np.int64)
        self._is_minimum = is_minimum

    def add(self, items: Items, key: npt.NDArray[np.int64], starts: npt.NDArray[np.intp]) -> None:
        """Take used items of one batch; `starts` begins the run of each key."""
        value = items.minimum if self._is_minimum else items.maximum
        best = (np.minimum if self._is_minimum else np.maximum).reduceat(value, starts)
        run = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(key))))
        hit = np.flatnonzero(value == best[run])
        first = hit[np.flatnonzero(np.diff(run[hit], prepend=-1))]
        hits = np.bincount(run[hit], minlength=len(starts))
        cell = key[starts]
        before = self.value[cell]
        is_fresh = self.hits[cell] == 0
        is_better = is_fresh | (best < before if self._is_minimum else best > before)
        self.hits[cell] = np.where(
            is_better, hits, self.hits[cell] + np.where(best == before, hits, 0)
        )
        better, cell = first[is_better], cell[is_better]
        self.value[cell] = value[better]
        self.time_ns[cell] = items.first_ns[better]
        self.entry[cell] = items.entry[better]


class Cells:
    """What is known of each of `count` cells; arrays of that length.

    `rows` all rows, `used` those whose value counts. `first_…` and `last_…` are of the
    first and last row, `first_used`, `last_used` of the used ones. Durations are in ns:
    `good_ns`, `uncertain_ns` of the regions that the status of a time-weighted result
    rests on; `held_good_ns`, `held_uncertain_ns` by the value that a region begins with.
    """

    def __init__(self, count: int, dtype: np.dtype[Any]) -> None:
        whole, real = np.zeros(count, np.int64), np.zeros(count)
        value, byte = np.zeros(count, dtype), np.zeros(count, np.uint8)
        self.rows, self.used = whole.copy(), whole.copy()
        self.good, self.uncertain = whole.copy(), whole.copy()
        self.mean, self.m2 = real.copy(), real.copy()
        self.minimum = Extreme(count, dtype, is_minimum=True)
        self.maximum = Extreme(count, dtype, is_minimum=False)
        self.first_ns, self.last_ns = whole.copy(), whole.copy()
        self.first_value, self.last_value = value.copy(), value.copy()
        self.first_used, self.last_used = value.copy(), value.copy()
        self.first_quality, self.last_quality = byte.copy(), byte.copy()
        self.worst = np.full(count, 255, np.uint8)
        self.integral, self.valued_ns = real.copy(), whole.copy()
        self.good_ns, self.uncertain_ns = whole.copy(), whole.copy()
        self.held_good_ns, self.held_uncertain_ns = whole.copy(), whole.copy()
        self.zero_ns, self.nonzero_ns = whole.copy(), whole.copy()
        self.transitions = whole.copy()

    def add(self, items: Items, key: npt.NDArray[np.int64]) -> None:
        """Take items of one batch, ordered by their cell `key` and time; not empty."""
        starts, ends = runs(key)
        cell = key[starts]
        fresh = cell[self.rows[cell] == 0]
        is_fresh = self.rows[cell] == 0
        for name in ("first_ns", "first_value", "first_quality"):
            getattr(self, name)[fresh] = getattr(items, name)[starts][is_fresh]
        for name in ("last_ns", "last_value", "last_quality"):
            getattr(self, name)[cell] = getattr(items, name)[ends]
        for name in ("rows", "good", "uncertain"):
            getattr(self, name)[cell] += np.add.reduceat(getattr(items, name), starts)
        self.worst[cell] = np.minimum(self.worst[cell], np.minimum.reduceat(items.worst, starts))
        used = np.flatnonzero(items.used)
        if len(used):
            whole = len(used) == len(items)
            self._add_used(items if whole else items.take(used), key if whole else key[used])

    def _add_used(self, items: Items, key: npt.NDArray[np.int64]) -> None:
        starts, ends = runs(key)
        cell = key[starts]
        is_fresh = self.used[cell] == 0
        self.first_used[cell[is_fresh]] = items.first_value[starts][is_fresh]
        self.last_used[cell] = items.last_value[ends]
        self.minimum.add(items, key, starts)
        self.maximum.add(items, key, starts)
        self._add_moments(items, cell, starts)

    def _add_moments(
        self, items: Items, cell: npt.NDArray[np.int64], starts: npt.NDArray[np.intp]
    ) -> None:
        """Mean and sum of squared distances, joined pairwise (Chan, Golub and LeVeque)."""
        length = np.diff(np.append(starts, len(items)))
        with np.errstate(invalid="ignore", over="ignore"):
            count = np.add.reduceat(items.used, starts)
            # Distances from the first item: a large level costs no digits of the mean.
            level = items.mean[starts]
            level = np.where(np.isfinite(level), level, 0.0)
            shifted = items.mean - np.repeat(level, length)
            mean = level + np.add.reduceat(items.used * shifted, starts) / count
            distance = items.mean - np.repeat(mean, length)
            m2 = np.add.reduceat(items.m2 + items.used * distance * distance, starts)
            before = self.used[cell]
            total = before + count
            step = np.where(before > 0, mean - self.mean[cell], 0.0)
            self.mean[cell] = np.where(before > 0, self.mean[cell] + step * (count / total), mean)
            self.m2[cell] += m2 + step * step * (before * (count / total))
        self.used[cell] = total
