"""Results: from what was added up of an interval to value, quality and information bits.

One function an aggregate; its name in OPC UA Part 13 stands beside it in AGGREGATES.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from penstock.historian.columns import UNCERTAIN
from penstock.historian.items import GOOD
from penstock.model import Quality, ValueKind

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from penstock.historian.at import Moments
    from penstock.historian.cells import Extreme
    from penstock.historian.gather import Gathered
    from penstock.historian.intervals import Intervals

BAD, UNSURE = int(Quality.BAD_NOT_AVAILABLE), int(Quality.UNCERTAIN_SUB_NORMAL)
_SECOND = 1e-9


class Info(IntFlag):
    """Information bits of a result (OPC UA Part 4, 7.38.1): where it comes from, what it lacks."""

    RAW = 0
    CALCULATED = 1
    INTERPOLATED = 2
    PARTIAL = 4
    MULTIPLE = 16


@dataclass(frozen=True, slots=True)
class Column:
    """Results of one aggregate: n values of which `is_there` count, `quality`, `info` u8[n].

    Numbers are float64, int64 or, where that is too narrow, Python ints. `time_ns`
    i64[n] for aggregates that say when.
    """

    value: npt.NDArray[Any]
    is_there: npt.NDArray[np.bool_]
    quality: npt.NDArray[np.uint8]
    info: npt.NDArray[np.uint8]
    time_ns: npt.NDArray[np.int64] | None = None

    def to_list(self) -> list[float | int | str | None]:
        """Values for the edges; None where there is none."""
        pairs = zip(self.value.tolist(), self.is_there.tolist(), strict=True)
        return [value if is_there else None for value, is_there in pairs]


@dataclass(frozen=True, slots=True)
class Rules:
    """When a result is good or bad: shares in percent, and what uncertain samples are."""

    percent_good: float
    percent_bad: float
    treats_uncertain_as_bad: bool


class View:
    """The cells of one point, and the questions that several aggregates ask."""

    def __init__(
        self,
        found: Gathered,
        place: int,
        kind: ValueKind,
        intervals: Intervals,
        rules: Rules,
        bounds: Moments | None,
    ) -> None:
        count = len(intervals)
        self.cut = slice(place * count, (place + 1) * count)
        self.cells = found.cells
        self.kind, self.intervals, self.rules, self.bounds = kind, intervals, rules, bounds
        self.width_ns = intervals.width_ns
        self._found = found
        begin, end = intervals.edges[:-1], intervals.edges[1:]
        self.begin_ns = begin
        first_ns, end_ns = int(found.first_ns[place]), int(found.end_ns[place])
        hold_ns = end_ns if found.hold_until_ns is None else max(end_ns, found.hold_until_ns - 1)
        # Before the first sample and behind the newest there is no data (5.4.3.3).
        self.is_outside = (end <= first_ns) | (begin > hold_ns) | (first_ns > end_ns)
        is_partial = intervals.is_cut | ((begin < first_ns) & (first_ns < end)) | (end > end_ns)
        self.partial = np.where(is_partial & ~self.is_outside, Info.PARTIAL, 0).astype(np.uint8)

    def of(self, name: str) -> npt.NDArray[Any]:
        """A column of the cells."""
        column: npt.NDArray[Any] = getattr(self.cells, name)[self.cut]
        return column

    def values(self, value: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values as they are answered: numbers of texts become the texts."""
        if self.kind is not ValueKind.TEXT:
            return value
        texts: npt.NDArray[Any] = np.array([*self._found.codes.texts(), ""], object)[value]
        return texts

    def states(self) -> dict[int | str, npt.NDArray[np.int64]]:
        """Nanoseconds in each state that occurs."""
        found = {state: ns[self.cut] for state, ns in self._found.states.duration_ns.items()}
        texts = self._found.codes.texts()
        return {
            (texts[state] if self.kind is ValueKind.TEXT else state): ns
            for state, ns in found.items()
            if ns.any()
        }

    def by_share(
        self, good: npt.NDArray[Any], bad: npt.NDArray[Any], total: npt.NDArray[Any]
    ) -> npt.NDArray[np.uint8]:
        """Quality by the shares of good and bad (5.4.3.2.1); bad where there is nothing."""
        rules = self.rules
        whole = np.maximum(total, 1)
        is_good = good / whole * 100 >= rules.percent_good
        is_bad = bad / whole * 100 >= rules.percent_bad
        if rules.percent_good > 100 - rules.percent_bad:
            is_good &= ~is_bad
        quality = np.where(is_good, GOOD, np.where(is_bad, BAD, UNSURE))
        return np.where(total > 0, quality, BAD).astype(np.uint8)

    def by_rows(self) -> npt.NDArray[np.uint8]:
        """Quality by the number of samples."""
        rows, good = self.of("rows"), self.of("good")
        return self.by_share(good, rows - good - self.of("uncertain"), rows)

    def by_time(self) -> npt.NDArray[np.uint8]:
        """Quality by the length of the regions."""
        good = self.of("good_ns")
        return self.by_share(good, self.width_ns - good - self.of("uncertain_ns"), self.width_ns)

    def all_or_uncertain(self) -> npt.NDArray[np.uint8]:
        """Good if every sample is; uncertain if some were left out or are uncertain."""
        quality = np.where(self.of("good") == self.of("rows"), GOOD, UNSURE)
        return np.where(self.of("used") > 0, quality, BAD).astype(np.uint8)

    def column(
        self,
        value: npt.NDArray[Any],
        is_there: npt.NDArray[np.bool_],
        quality: npt.NDArray[np.uint8],
        info: npt.NDArray[Any] | int = Info.CALCULATED,
        time_ns: npt.NDArray[np.int64] | None = None,
    ) -> Column:
        """A column of results: without value where the quality is bad."""
        is_there = is_there & (quality >= UNCERTAIN) & ~self.is_outside
        quality = np.where(is_there, quality, np.minimum(quality, UNCERTAIN - 1))
        quality = np.where(is_there | (quality < UNCERTAIN - 1), quality, BAD)
        bits = np.where(is_there, info, 0) | self.partial
        return Column(value, is_there, quality.astype(np.uint8), bits.astype(np.uint8), time_ns)

    def none(self) -> Column:
        """For a text: there is no such number."""
        count = len(self.intervals)
        nothing = np.zeros(count, bool)
        return Column(
            np.zeros(count), nothing, np.full(count, BAD, np.uint8), nothing.astype(np.uint8)
        )


def _count(view: View) -> Column:
    quality = np.where(view.of("rows") > 0, view.by_rows(), GOOD)
    always = np.ones(len(quality), bool)
    column = view.column(view.of("used"), always, np.maximum(quality, UNCERTAIN))
    return Column(
        column.value,
        column.is_there,
        np.where(column.is_there, quality, BAD).astype(np.uint8),
        column.info,
    )


def _extreme(view: View, extreme: Extreme) -> Column:
    value = extreme.value[view.cut]
    is_raw = (view.of("first_ns") == view.begin_ns) & (view.of("first_value") == value)
    info = np.where(is_raw, Info.RAW, Info.CALCULATED)
    return view.column(value, view.of("used") > 0, view.all_or_uncertain(), info)


def _extreme_at(view: View, extreme: Extreme) -> Column:
    info = np.where(extreme.hits[view.cut] > 1, Info.MULTIPLE, Info.RAW)
    value, time_ns = extreme.value[view.cut], extreme.time_ns[view.cut]
    return view.column(value, view.of("used") > 0, view.all_or_uncertain(), info, time_ns)


def _range(view: View) -> Column:
    low, high = view.cells.minimum.value[view.cut], view.cells.maximum.value[view.cut]
    is_there = view.of("used") > 0
    return view.column(_difference(high, low, is_there), is_there, view.all_or_uncertain())


def _difference(
    high: npt.NDArray[Any], low: npt.NDArray[Any], is_there: npt.NDArray[np.bool_]
) -> npt.NDArray[Any]:
    """Exact for integers: Python's, where the difference of two int64 does not fit int64."""
    high, low = np.where(is_there, high, 0), np.where(is_there, low, 0)
    if high.dtype == np.int64:
        high, low = high.astype(object), low.astype(object)
    with np.errstate(invalid="ignore", over="ignore"):
        difference: npt.NDArray[Any] = high - low
    return difference


def _mean(view: View) -> Column:
    return view.column(view.of("mean"), view.of("used") > 0, view.by_rows())


def _variance(view: View, *, is_sample: bool) -> npt.NDArray[np.float64]:
    used = view.of("used")
    divisor = np.maximum(used - 1 if is_sample else used, 1)
    variance: npt.NDArray[np.float64] = np.where(used > 1, view.of("m2") / divisor, 0.0)
    return variance


def _spread(view: View, *, is_sample: bool, is_root: bool) -> Column:
    value = _variance(view, is_sample=is_sample)
    value = np.sqrt(value) if is_root else value
    return view.column(value, view.of("used") > 0, view.by_rows())


def _end(view: View, which: str) -> Column:
    """First or last sample as it is; one that is bad has no value."""
    quality, is_row = view.of(f"{which}_quality"), view.of("rows") > 0
    value = view.values(view.of(f"{which}_value"))
    quality = np.where(is_row, quality, BAD).astype(np.uint8)
    return view.column(value, is_row, quality, Info.RAW, view.of(f"{which}_ns"))


def _delta(view: View) -> Column:
    used = view.of("used") > 0
    is_good = (view.of("first_quality") >= GOOD) & (view.of("last_quality") >= GOOD)
    quality = np.where(used, np.where(is_good, GOOD, UNSURE), BAD).astype(np.uint8)
    value = _difference(view.of("last_used"), view.of("first_used"), used)
    return view.column(value, used, quality)


def _bound(view: View, *, is_end: bool) -> Column:
    bounds = view.bounds
    assert bounds is not None
    cut = slice(1, None) if is_end else slice(None, -1)
    return view.column(
        bounds.value[cut], bounds.is_there[cut], bounds.quality[cut], bounds.info[cut]
    )


def _delta_bounds(view: View) -> Column:
    bounds = view.bounds
    assert bounds is not None
    is_there = bounds.is_there[:-1] & bounds.is_there[1:]
    worst = np.minimum(bounds.quality[:-1], bounds.quality[1:])
    quality = np.where(worst >= GOOD, GOOD, np.where(worst >= UNCERTAIN, UNSURE, BAD))
    value = _difference(bounds.value[1:], bounds.value[:-1], is_there)
    return view.column(value, is_there, quality.astype(np.uint8))


def _time_mean(view: View) -> Column:
    valued_ns = view.of("valued_ns")
    value = view.of("integral") / (np.maximum(valued_ns, 1) * _SECOND)
    return view.column(value, valued_ns > 0, view.by_time())


def _total(view: View) -> Column:
    return view.column(view.of("integral"), view.of("valued_ns") > 0, view.by_time())


def _held(view: View, *, is_good: bool, is_percent: bool) -> Column:
    """Time good or bad; without data it is bad."""
    good, uncertain = view.of("held_good_ns"), view.of("held_uncertain_ns")
    if view.rules.treats_uncertain_as_bad:
        uncertain = np.zeros_like(uncertain)
    time_ns = good if is_good else view.width_ns - good - uncertain
    value = time_ns / view.width_ns * 100 if is_percent else time_ns
    always = np.ones(len(value), bool)
    return view.column(value, always, np.full(len(value), GOOD, np.uint8))


def _in_state(view: View, name: str) -> Column:
    return view.column(view.of(name), view.of("valued_ns") > 0, view.by_time())


def _transitions(view: View) -> Column:
    quality = np.where(view.of("rows") > 0, view.by_rows(), GOOD).astype(np.uint8)
    return view.column(view.of("transitions"), np.ones(len(quality), bool), quality)


def _worst(view: View) -> Column:
    is_row = view.of("rows") > 0
    quality = np.where(is_row, GOOD, BAD).astype(np.uint8)
    return view.column(view.of("worst").astype(np.int64), is_row, quality)


class Aggregate(NamedTuple):
    """How an aggregate is made, what must be gathered for it, and what Part 13 calls it."""

    part_13: str
    make: Callable[[View], Column]
    is_numeric: bool = True
    times: bool = False
    regions: bool = False
    states: bool = False
    bounds: bool = False
    spread: bool = False


AGGREGATES: dict[str, Aggregate] = {
    "count": Aggregate("Count", _count, is_numeric=False),
    "min": Aggregate("Minimum", lambda view: _extreme(view, view.cells.minimum)),
    "max": Aggregate("Maximum", lambda view: _extreme(view, view.cells.maximum)),
    "min_at": Aggregate(
        "MinimumActualTime", lambda view: _extreme_at(view, view.cells.minimum), times=True
    ),
    "max_at": Aggregate(
        "MaximumActualTime", lambda view: _extreme_at(view, view.cells.maximum), times=True
    ),
    "range": Aggregate("Range", _range),
    "mean": Aggregate("Average", _mean),
    "std_sample": Aggregate(
        "StandardDeviationSample",
        lambda view: _spread(view, is_sample=True, is_root=True),
        spread=True,
    ),
    "std_population": Aggregate(
        "StandardDeviationPopulation",
        lambda view: _spread(view, is_sample=False, is_root=True),
        spread=True,
    ),
    "var_sample": Aggregate(
        "VarianceSample", lambda view: _spread(view, is_sample=True, is_root=False), spread=True
    ),
    "var_population": Aggregate(
        "VariancePopulation",
        lambda view: _spread(view, is_sample=False, is_root=False),
        spread=True,
    ),
    "first": Aggregate("Start", lambda view: _end(view, "first"), is_numeric=False),
    "last": Aggregate("End", lambda view: _end(view, "last"), is_numeric=False),
    "delta": Aggregate("Delta", _delta),
    "start_bound": Aggregate(
        "StartBound", lambda view: _bound(view, is_end=False), is_numeric=False, bounds=True
    ),
    "end_bound": Aggregate(
        "EndBound", lambda view: _bound(view, is_end=True), is_numeric=False, bounds=True
    ),
    "delta_bounds": Aggregate("DeltaBounds", _delta_bounds, bounds=True),
    "time_mean": Aggregate("TimeAverage2", _time_mean, regions=True),
    "total": Aggregate("Total2", _total, regions=True),
    "duration_good": Aggregate(
        "DurationGood",
        lambda view: _held(view, is_good=True, is_percent=False),
        is_numeric=False,
        regions=True,
    ),
    "duration_bad": Aggregate(
        "DurationBad",
        lambda view: _held(view, is_good=False, is_percent=False),
        is_numeric=False,
        regions=True,
    ),
    "percent_good": Aggregate(
        "PercentGood",
        lambda view: _held(view, is_good=True, is_percent=True),
        is_numeric=False,
        regions=True,
    ),
    "percent_bad": Aggregate(
        "PercentBad",
        lambda view: _held(view, is_good=False, is_percent=True),
        is_numeric=False,
        regions=True,
    ),
    "duration_zero": Aggregate(
        "DurationInStateZero", lambda view: _in_state(view, "zero_ns"), states=True
    ),
    "duration_nonzero": Aggregate(
        "DurationInStateNonZero", lambda view: _in_state(view, "nonzero_ns"), states=True
    ),
    "transitions": Aggregate("NumberOfTransitions", _transitions, is_numeric=False, states=True),
    "time_in_state": Aggregate(
        "", lambda view: _in_state(view, "valued_ns"), is_numeric=False, states=True
    ),
    "worst_quality": Aggregate("WorstQuality", _worst, is_numeric=False),
}


def result_of(name: str, view: View) -> Column:
    """Results of one aggregate; a text has no numeric ones."""
    kind = AGGREGATES[name]
    return view.none() if kind.is_numeric and view.kind is ValueKind.TEXT else kind.make(view)
