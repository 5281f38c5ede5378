"""Pieces: good chunks cut at the borders of intervals, an item each, without a row as an item.

A quarter of an hour at 1 Hz is 900 rows of which an aggregate wants a dozen numbers. So
chunks of good rows are decoded side by side into two columns, times and values, and
one reduction over all pieces gives those numbers. What does not fit is left to `layout.read`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.codec.layout import Damaged
from penstock.historian.bulk import fill_times, fill_values, intact
from penstock.historian.chunk import Form
from penstock.historian.items import GOOD, Items
from penstock.historian.segment import ChunkFlag
from penstock.model import ValueKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from penstock.historian.intervals import Intervals
    from penstock.historian.layout import Layout, Stretch

_NS = 1e-9
_UNFIT = int(ChunkFlag.SIDE | ChunkFlag.NO_MOMENTS)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which numbers of a piece are asked for; the others are 0.

    `area` is the integral between its rows: held, or along lines if `is_sloped`.
    `spread` is the sum of squared distances from the mean.
    """

    area: bool
    is_sloped: bool
    spread: bool


def can_be_cut(layout: Layout, as_of: int | None) -> npt.NDArray[np.bool_]:
    """Entries that are chunks alone in their time, of good rows that are all visible."""
    if layout.kind not in {ValueKind.FLOAT, ValueKind.INT}:
        return np.zeros(len(layout), bool)
    can: npt.NDArray[np.bool_] = layout.is_chunk & layout.is_alone
    can &= layout.column("worst_quality") >= GOOD
    can &= (layout.column("flags") & _UNFIT) == 0
    if as_of is not None:
        can &= layout.column("last_sequence") <= np.uint64(as_of)
    return can


def pieces(
    layout: Layout,
    entries: npt.NDArray[np.intp],
    intervals: Intervals,
    wanted: Wanted,
) -> tuple[Items, npt.NDArray[np.intp]]:
    """(items within the intervals, entries that could not be cut and must be read)."""
    rest: list[npt.NDArray[np.intp]] = []
    while True:
        block = _Block(layout, entries)
        is_cut = block.is_fit
        if is_cut.all():
            break
        rest.append(entries[~is_cut])
        entries = entries[is_cut]
    left = np.concatenate(rest) if rest else entries[:0]
    return block.items(intervals, wanted), left


class _Block:
    """Times and values of chunks, one behind the other."""

    def __init__(self, layout: Layout, entries: npt.NDArray[np.intp]) -> None:
        self._layout, self._entries = layout, entries
        rows = layout.column("rows")[entries].astype(np.int64)
        self._end = np.cumsum(rows)
        self._begin = self._end - rows
        count = int(rows.sum())
        self._time_ns = np.empty(count, np.int64)
        self._value: npt.NDArray[Any] = np.empty(
            count, np.float64 if layout.kind is ValueKind.FLOAT else np.int64
        )
        self._quality = np.zeros(len(entries), np.uint8)
        self.is_fit = np.zeros(len(entries), bool)
        for stretch in layout.stretches(entries):
            self._decode(stretch)
        if self.is_fit.all():
            self._check_order()

    def _decode(self, stretch: Stretch) -> None:
        """Fill in the chunks of a stretch; damaged ones and those of mixed quality stay unfit."""
        data = stretch.read()
        found, sections, offset = intact(data, stretch.table, stretch.place)
        form, size = sections["form"], sections["bytes"]
        usable = np.flatnonzero(form[:, 2] == Form.CONSTANT)
        number = stretch.number[found[usable]]
        self._quality[number] = sections["param"][usable, 2]
        columns = (
            number.tolist(),
            self._begin[number].tolist(),
            self._end[number].tolist(),
            stretch.table.first_ns[found[usable]].tolist(),
            form[usable].tolist(),
            sections["param"][usable].tolist(),
            offset[usable].tolist(),
            size[usable].tolist(),
        )
        for chunk, begin, end, first_ns, forms, params, at, sizes in zip(*columns, strict=True):
            times, values = self._time_ns[begin:end], self._value[begin:end]
            try:
                fill_times(times, forms[0], params[0], data[at[0] : at[0] + sizes[0]])
                fill_values(values, forms[1], params[1], data[at[1] : at[1] + sizes[1]])
            except (Damaged, RuntimeError, TypeError, ValueError):
                continue
            times += first_ns
            self.is_fit[chunk] = True

    def _check_order(self) -> None:
        """Rows of one moment may hide each other: their chunk must be judged row by row."""
        is_later = self._time_ns[1:] > self._time_ns[:-1]
        is_later[self._begin[1:] - 1] = True
        if not is_later.all():
            row = np.flatnonzero(~is_later)
            self.is_fit[np.searchsorted(self._end, row, "right")] = False

    def items(self, intervals: Intervals, wanted: Wanted) -> Items:
        """An item a piece."""
        start, chunk, interval = self._cut(intervals)
        if not len(start):
            return _none(self._value.dtype)
        count = np.diff(np.append(start, len(self._time_ns)))
        last = start + count - 1
        inside = np.flatnonzero((interval >= 0) & (interval < len(intervals)))
        sums = _Sums(self._time_ns, self._value, start, count)
        mean, m2 = sums.moments(has_spread=wanted.spread)
        area = sums.area(is_sloped=wanted.is_sloped) if wanted.area else np.zeros(len(start))
        quality = self._quality[chunk]
        first_ns, last_ns = self._time_ns[start], self._time_ns[last]
        found = Items(
            self._layout.place[self._entries[chunk]],
            first_ns,
            last_ns,
            count,
            count,
            count,
            np.zeros(len(start), np.int64),
            np.minimum.reduceat(self._value, start),
            np.maximum.reduceat(self._value, start),
            mean,
            m2,
            self._value[start],
            self._value[last],
            quality,
            quality,
            quality,
            last_ns - first_ns,
            area,
            self._entries[chunk].astype(np.int64),
        )
        return found if len(inside) == len(start) else found.take(inside)

    def _cut(
        self, intervals: Intervals
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(first row, chunk, interval) of each piece that has a row; also those outside."""
        layout, edges = self._layout, intervals.edges
        first = intervals.of(layout.first_ns[self._entries])
        last = intervals.of(layout.last_ns[self._entries])
        count = last - first + 1
        chunk = np.repeat(np.arange(len(count)), count)
        begin_of = np.cumsum(count) - count
        interval = first[chunk] + np.arange(len(chunk)) - begin_of[chunk]
        start = self._begin[chunk]
        cut = np.flatnonzero(count > 1)
        columns = (self._begin[cut], self._end[cut], begin_of[cut], first[cut], last[cut])
        for begin, end, at, low, high in zip(*(x.tolist() for x in columns), strict=True):
            inner = self._time_ns[begin:end].searchsorted(edges[low + 1 : high + 1])
            start[at + 1 : at + 1 + high - low] += inner
        some = np.flatnonzero(np.diff(start, append=len(self._time_ns)))
        return start[some], chunk[some], interval[some]


class _Sums:
    """Reductions over pieces: `count` rows each from `start`."""

    def __init__(
        self,
        time_ns: npt.NDArray[np.int64],
        value: npt.NDArray[Any],
        start: npt.NDArray[np.int64],
        count: npt.NDArray[np.int64],
    ) -> None:
        self._time_ns, self._value = time_ns, value
        self._start, self._count = start, count

    def moments(
        self, *, has_spread: bool
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Mean and sum of squared distances from it."""
        # Distances from the first row: a large level costs no digits of the mean.
        value = self._value.astype(np.float64, copy=False)
        level = value[self._start]
        distance = value - np.repeat(level, self._count)
        step = np.add.reduceat(distance, self._start) / self._count
        if not has_spread:
            return level + step, np.zeros(len(step))
        distance -= np.repeat(step, self._count)
        np.square(distance, out=distance)
        return level + step, np.add.reduceat(distance, self._start)

    def area(self, *, is_sloped: bool) -> npt.NDArray[np.float64]:
        """Value x seconds from the first to the last row of each piece."""
        value = self._value.astype(np.float64, copy=False)
        area = np.zeros(len(value))
        np.subtract(self._time_ns[1:], self._time_ns[:-1], out=area[:-1], casting="unsafe")
        area[self._start[1:] - 1] = 0
        if is_sloped:
            middle = value[1:] + value[:-1]
            middle *= 0.5
            area[:-1] *= middle
        else:
            area *= value
        whole: npt.NDArray[np.float64] = np.add.reduceat(area, self._start) * _NS
        return whole


def _none(dtype: np.dtype[Any]) -> Items:
    whole, byte = np.zeros(0, np.int64), np.zeros(0, np.uint8)
    value, real = np.zeros(0, dtype), np.zeros(0)
    numbers = (whole, whole, whole, whole, whole, whole, whole)
    return Items(
        *numbers, value, value, real, real, value, value, byte, byte, byte, whole, real, whole
    )
