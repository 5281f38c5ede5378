"""Questions of the history bench, each as Penstock answers it and as numpy does from the rows.

An answer is a dict of columns. The oracle knows nothing of chunks: it makes every row of
the span anew and looks at each, quality, flags and gaps included.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from _history import (
    BAD,
    DAY_NS,
    FIRST_OF_MANY,
    GOOD,
    HOUR_NS,
    IRREGULAR_POINT,
    SECOND_NS,
    T0,
    UNCERTAIN,
    YEAR_POINT,
    Day,
    Spans,
    day_of_year_point,
    irregular_day,
    irregular_from,
    times_of_many,
    values_of_many,
)

from penstock.codec.trend import NO_SAMPLE, EnvelopePen
from penstock.historian import Historian
from penstock.historian.aggregate import Options, aggregate
from penstock.historian.envelope import Grid, envelope, grid_of
from penstock.historian.gather import Needs, gather
from penstock.historian.intervals import Intervals, of_calendar, of_width, whole
from penstock.historian.query import Snapshot, raw
from penstock.model import ValueKind

PX = 2_000
TOP = 10
LAST_POINTS = 100
RAW_ROWS_MAX = 100_000
QUARTER_NS = 900 * SECOND_NS
KOLKATA = "Asia/Kolkata"
Answer = dict[str, npt.NDArray[Any]]
Span = tuple[int, int]


class Questions:
    """To one historian."""

    def __init__(self, historian: Historian, days: int, points: int) -> None:
        self.historian = historian
        self.days, self.points = days, points
        self.spans = Spans(days)
        self.end_ns = self.spans.end_ns
        self.many = np.arange(FIRST_OF_MANY, FIRST_OF_MANY + points, dtype=np.uint32)

    def pin(self, point: int = YEAR_POINT) -> Snapshot:
        return self.historian.pin([point])

    def last(self) -> Answer:
        rows = self.historian.last.rows(self.many[:LAST_POINTS])
        value = rows.bits.view(np.float64)
        return {"time_ns": rows.time_ns, "value": value, "quality": rows.quality}

    @staticmethod
    def raw(snapshot: Snapshot, point: int, span: Span) -> Answer:
        rows = raw(snapshot, point, *span, RAW_ROWS_MAX)[0]
        value = rows.value
        assert isinstance(value, np.ndarray)
        columns = (rows.time_ns, value, rows.quality, rows.flags)
        return dict(zip(("time_ns", "value", "quality", "flags"), columns, strict=True))

    @staticmethod
    def means(snapshot: Snapshot, point: int, intervals: Intervals) -> Answer:
        [found] = aggregate(snapshot, [point], intervals, ["mean"], Options())
        column = found.columns["mean"]
        return {"mean": np.where(column.is_there, column.value, np.nan)}

    def hourly_mean(self, snapshot: Snapshot) -> Answer:
        """As one of the four clients asks it."""
        return self.means(snapshot, YEAR_POINT, of_width(*self.spans.month, HOUR_NS))

    @staticmethod
    def envelope(snapshot: Snapshot, point: int, span: Span) -> EnvelopePen:
        return envelope(snapshot, point, grid_of(*span, PX))

    def top10_by_deviation(self) -> Answer:
        """Handles of the points that scatter most over the last day."""
        intervals = whole(self.end_ns - DAY_NS, self.end_ns)
        snapshot = self.historian.pin(self.many)  # type: ignore[arg-type]
        cells = gather(snapshot, self.many, ValueKind.FLOAT, intervals, Needs(UNCERTAIN)).cells
        deviation = np.sqrt(cells.m2 / cells.used)
        return {"point": self.many[np.argsort(-deviation)[:TOP]]}


class Oracle:
    """The same from the generated rows, by numpy."""

    def __init__(self, days: int, points: int) -> None:
        self.days, self.points = days, points
        self.spans = Spans(days)

    def last(self) -> Answer:
        value = values_of_many(self.points)[:LAST_POINTS, -1]
        newest = times_of_many(self.days - 1)[-1]
        quality = np.full(LAST_POINTS, GOOD, np.uint8)
        return {"time_ns": np.full(LAST_POINTS, newest), "value": value, "quality": quality}

    def top10_by_deviation(self) -> Answer:
        order = np.argsort(-values_of_many(self.points).std(1))[:TOP]
        return {"point": FIRST_OF_MANY + order}

    def rows_by_day(self, point: int, span: Span) -> Iterator[Day]:
        """Rows of the span, a day at a time."""
        first, last = ((moment - T0) // DAY_NS for moment in (span[0], span[1] - 1))
        begin = first if point == YEAR_POINT else max(first, irregular_from(self.days))
        for number in range(begin, last + 1):
            made = _day(point, number)
            cut = slice(*np.searchsorted(made.times, span))
            columns = (made.times, made.values, made.quality, made.is_late, made.is_corrected)
            yield Day(*(column[cut] for column in columns))  # type: ignore[arg-type]

    def raw(self, point: int, span: Span) -> Answer:
        days = list(self.rows_by_day(point, span))
        join = np.concatenate
        return {
            "time_ns": join([day.times for day in days]),
            "value": join([day.values for day in days]),
            "quality": join([day.quality for day in days]),
            "flags": join([day.flags for day in days]),
        }

    def means(self, point: int, edges: npt.NDArray[np.int64]) -> Answer:
        """Mean of all values that are not bad, interval by interval; NaN where there is none."""
        rows = self.raw(point, (int(edges[0]), int(edges[-1])))
        at = np.searchsorted(rows["time_ns"], edges)
        means = []
        for begin, end in itertools.pairwise(at.tolist()):
            used = rows["value"][begin:end][rows["quality"][begin:end] >= UNCERTAIN]
            means.append(used.mean() if len(used) else np.nan)
        return {"mean": np.array(means)}

    def envelope(self, point: int, grid: Grid) -> Answer:
        """Lowest, highest and worst of each column, and the bad spans, from every row."""
        low, high = np.full(grid.columns, np.inf), np.full(grid.columns, -np.inf)
        worst = np.full(grid.columns, NO_SAMPLE, np.uint8)
        rows, gaps, begin_ns = 0, [], None
        for day in self.rows_by_day(point, (grid.t0_ns, grid.end_ns)):
            rows += len(day.times)
            column = (day.times - grid.t0_ns) // grid.dt_ns
            np.minimum.at(worst, column, day.quality)
            is_used = day.quality >= UNCERTAIN
            np.minimum.at(low, column[is_used], day.values[is_used])
            np.maximum.at(high, column[is_used], day.values[is_used])
            for row in _changes(day.quality >= UNCERTAIN, is_bad=begin_ns is not None):
                if begin_ns is None:
                    begin_ns = int(day.times[row])
                else:
                    gaps.append((begin_ns, int(day.times[row])))
                    begin_ns = None
        if begin_ns is not None:
            gaps.append((begin_ns, grid.end_ns))
        low[np.isinf(low)] = high[np.isinf(high)] = np.nan
        return {
            "minimum": low,
            "maximum": high,
            "quality": worst,
            "gaps": np.array(gaps, np.int64).reshape(-1, 2),
            "rows": np.array([rows]),
        }


def _changes(is_used: npt.NDArray[np.bool_], *, is_bad: bool) -> Iterator[int]:
    """Rows at which "bad" begins or ends."""
    before = np.concatenate([[not is_bad], is_used[:-1]])
    yield from np.flatnonzero(is_used != before).tolist()


@functools.lru_cache(64)
def _day(point: int, number: int) -> Day:
    if point == IRREGULAR_POINT:
        return irregular_day(number)
    times, values = day_of_year_point(number)
    nothing = np.zeros(len(times), bool)
    return Day(times, values, np.full(len(times), GOOD, np.uint8), nothing, nothing)


def answer_of(pen: EnvelopePen) -> Answer:
    """An envelope as columns."""
    return {
        "minimum": pen.minimum,
        "maximum": pen.maximum,
        "quality": pen.quality,
        "gaps": np.array(pen.gaps, np.int64).reshape(-1, 2),
        "rows": np.array([pen.rows]),
    }


def same(truth: Answer, found: Answer) -> None:
    """Raises unless all columns are equal; only computed means may differ in the last bits."""
    assert truth.keys() == found.keys()
    for name, column in truth.items():
        rtol = 1e-12 if name == "mean" else 0
        np.testing.assert_allclose(found[name], column, rtol=rtol, atol=0, err_msg=name)


Case = tuple[Callable[[], object], Callable[[], Answer], int]


def cases(asked: Questions, truth: Oracle) -> dict[str, Case]:
    """(ours, the oracle's, how often it is timed) by name."""
    spans = asked.spans
    found: dict[str, Case] = {
        "last": (asked.last, truth.last, 31),
        "top10_by_deviation": (asked.top10_by_deviation, truth.top10_by_deviation, 31),
    }

    def add_raw(name: str, point: int, span: Span) -> None:
        ours = lambda: asked.raw(asked.pin(point), point, span)  # noqa: E731
        found[name] = (ours, lambda: truth.raw(point, span), 31)

    def add_means(name: str, point: int, intervals: Callable[[], Intervals]) -> None:
        ours = lambda: asked.means(asked.pin(point), point, intervals())  # noqa: E731
        found[name] = (ours, lambda: truth.means(point, intervals().edges), 15)

    def add_envelope(name: str, point: int, span: Span) -> None:
        ours = lambda: asked.envelope(asked.pin(point), point, span)  # noqa: E731
        found[name] = (ours, lambda: truth.envelope(point, grid_of(*span, PX)), 7)

    add_raw("raw_1h", YEAR_POINT, spans.hour)
    add_raw("raw_1d", YEAR_POINT, spans.day)
    add_raw("irregular_raw_1d", IRREGULAR_POINT, spans.day)
    for name, point in (("", YEAR_POINT), ("irregular_", IRREGULAR_POINT)):
        add_means(f"{name}hourly_mean_30d", point, lambda: of_width(*spans.month, HOUR_NS))
        add_means(f"{name}15min_mean_30d", point, lambda: of_width(*spans.month, QUARTER_NS))
        add_means(
            f"{name}kolkata_hourly_mean_30d",
            point,
            lambda: of_calendar(*spans.month, "hour", KOLKATA),
        )
        add_envelope(f"{name}zoom_8d", point, spans.eight_days)
    add_envelope("irregular_envelope_30d", IRREGULAR_POINT, spans.month)
    add_envelope("envelope_warm", YEAR_POINT, spans.year)
    return found


def is_telling(truth: Oracle) -> None:
    """The irregular point has late, corrected, bad and doubtful rows in the span of a month."""
    rows = list(truth.rows_by_day(IRREGULAR_POINT, truth.spans.month))
    assert all(
        any(getattr(day, name).any() for day in rows) for name in ("is_late", "is_corrected")
    )
    seen = set(np.unique(np.concatenate([day.quality for day in rows])).tolist())
    assert seen == {GOOD, UNCERTAIN, BAD}
