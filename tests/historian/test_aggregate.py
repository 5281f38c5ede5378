"""Aggregates of random histories against plain Python, and what must not change an answer."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from brute import Brute
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Oracle, Row
from strategies import BASE_NS, INTS, POINTS, TEXTS, frame_of, frames

from penstock.historian import Historian, HistorianSettings, Snapshot
from penstock.historian.aggregate import Answer, Options, aggregate
from penstock.historian.compaction import compact_once
from penstock.historian.encode import DecimalHints
from penstock.historian.envelope import Grid, envelope
from penstock.historian.gather import Needs, gather
from penstock.historian.intervals import Intervals, of_width
from penstock.historian.query import raw
from penstock.historian.results import Info
from penstock.model import Batch, Flag, Frame, Origin, Quality, ValueKind
from penstock.model.time import DAY_NS, TIME_NS_MAX
from penstock.testing.disk import FakeDisk

ORIGIN = Origin(UUID(int=7), 0, 1)
FOLDER = Path("/segments")
ALL_POINTS = [point for points in POINTS.values() for point in points]
S = 1_000_000_000
# Values whose sums are exact enough to compare; infinities have a test of their own.
TAME = [0.0, -0.0, 1.5, 2.25, -3.0, 100.25]
NAMES = (
    *("count", "min_at", "max_at", "range", "mean", "var_sample", "first", "last", "delta"),
    *("time_mean", "total", "duration_good", "duration_bad", "duration_zero", "transitions"),
    *("time_in_state", "worst_quality"),
)
STEPPED = [
    Options(),
    Options(treats_uncertain_as_bad=True),
    Options(percent_good=60, percent_bad=60),
]
SLOPED = [Options(is_sloped=True), Options(is_sloped=True, treats_uncertain_as_bad=True)]


@st.composite
def tame_frames(draw: st.DrawFn) -> Frame:
    """Like `frames`, with small numbers, and many rows of one minute."""
    kind = draw(st.sampled_from(["float", "int", "text"]))
    values = {"float": TAME, "int": INTS, "text": TEXTS}[kind]
    row = st.tuples(
        st.sampled_from(POINTS[kind]),
        st.one_of(st.integers(0, 60), st.integers(-30, 90)).map(lambda n: BASE_NS + n * S // 2),
        st.sampled_from(values),
        st.sampled_from([Quality.GOOD] * 5 + [Quality.UNCERTAIN, Quality.BAD_SENSOR_FAILURE]),
        st.sampled_from([0, 0, 0, 0, 0, Flag.CORRECTION]),
    )
    return frame_of(kind, draw(st.lists(row, min_size=1, max_size=40)))


steps = st.lists(st.one_of(tame_frames(), st.sampled_from(["flush", "compact"])), max_size=10)
COMPACT_EARLY = HistorianSettings(compaction_segments_min=2)
LONG_AFTER_NS = BASE_NS + 3 * DAY_NS


class Played:
    """A historian and an oracle that were given the same frames, one log record each."""

    def __init__(self, script: list[Frame | str]) -> None:
        self.disk = FakeDisk()
        self.historian = Historian.open(self.disk, FOLDER, HistorianSettings())
        self.oracle = Oracle()
        self.sequence = 0
        for step in script:
            if isinstance(step, Frame):
                self.append(step)
            elif step == "compact":
                self.compact()
            elif self.historian.has_unwritten:
                self.historian.seal(1)
                self.historian.adopt(self.historian.write())

    def compact(self) -> None:
        """Flushed segments to day files, as compute does it."""
        proposal = compact_once(
            self.disk,
            FOLDER,
            self.historian.manifest,
            COMPACT_EARLY,
            DecimalHints(),
            lambda _: None,
            lambda: False,
            now_ns=LONG_AFTER_NS,
        )
        if proposal is not None:
            self.historian.swap(proposal)

    def append(self, step: Frame) -> None:
        self.sequence += 1
        self.oracle.append(step, self.sequence)
        self.historian.append(Batch(ORIGIN, self.sequence, (step,)), self.sequence, TIME_NS_MAX)

    def pin(self) -> Snapshot:
        return self.historian.pin(ALL_POINTS)

    def visible(self, point: int, as_of: int) -> list[Row]:
        seen = Oracle(
            {point: [row for row in self.oracle.rows.get(point, []) if row.sequence <= as_of]}
        )
        return seen.visible(point)


def intervals_of(begin_s: int, width_s: int, count: int) -> Intervals:
    return of_width(BASE_NS + begin_s * S, BASE_NS + (begin_s + width_s * count) * S, width_s * S)


spans = st.builds(intervals_of, st.integers(-20, 50), st.integers(1, 20), st.integers(1, 6))


@given(script=steps, intervals=spans, options=st.sampled_from(STEPPED + SLOPED))
@settings(max_examples=120, deadline=None)
def test_aggregates_are_what_plain_python_says(
    script: list[Frame | str], intervals: Intervals, options: Options
) -> None:
    played = Played(script)

    answers = aggregate(played.pin(), ALL_POINTS, intervals, NAMES, options)

    for point, answer in zip(ALL_POINTS, answers, strict=True):
        check_answer(played.visible(point, played.sequence), answer, intervals, options)


@given(
    script=steps, intervals=spans, options=st.sampled_from(STEPPED + SLOPED), at=st.integers(0, 9)
)
@settings(max_examples=80, deadline=None)
def test_what_was_known_at_a_moment_is_not_changed_by_what_came_later(
    script: list[Frame | str], intervals: Intervals, options: Options, at: int
) -> None:
    """Rows and corrections behind the asked log record have not happened."""
    played = Played(script)
    snapshot = played.pin().at_sequence(at)

    answers = aggregate(snapshot, ALL_POINTS, intervals, NAMES, options)

    for point, answer in zip(ALL_POINTS, answers, strict=True):
        rows = played.visible(point, at)
        check_answer(rows, answer, intervals, options)
        found, _ = raw(snapshot, point, BASE_NS - 10**12, BASE_NS + 10**12, 10_000)
        assert [row.time_ns for row in rows] == found.time_ns.tolist()
        assert [row.sequence for row in rows] == found.sequence.tolist()
        newest = snapshot.newest_before(point, 2**63 - 1)
        assert [row.sequence for row in rows[-1:]] == newest.sequence.tolist()
        if point in POINTS["float"]:
            grid = Grid(intervals.begin_ns, 10 * S, 3)
            counted = [r for r in rows if grid.t0_ns <= r.time_ns < grid.end_ns]
            assert len(counted) == envelope(snapshot, point, grid).rows


def check_answer(rows: list[Row], answer: Answer, intervals: Intervals, options: Options) -> None:
    is_text = answer.kind is ValueKind.TEXT
    for number in range(len(intervals)):
        begin, end = (int(edge) for edge in intervals.edges[number : number + 2])
        is_sloped = options.is_sloped and not is_text
        brute = Brute(rows, begin, end, is_sloped, options.used_from)
        if not brute.has_data:
            assert all(column.quality[number] < 64 for column in answer.columns.values())
            continue
        check_rows(brute, answer, number)
        check_time(brute, answer, number, options)
        if not is_text:
            check_numbers(brute, answer, number)
        for state, duration_ns in answer.states.items():
            assert brute.in_state(state) == duration_ns[number]
        assert brute.valued_ns() == sum(int(ns[number]) for ns in answer.states.values()) or (
            answer.kind is ValueKind.FLOAT
        )


def value_of(answer: Answer, name: str, number: int) -> float | int | str | None:
    return answer.columns[name].to_list()[number]


def check_rows(brute: Brute, answer: Answer, number: int) -> None:
    inside = brute.inside
    assert len(brute.used) == value_of(answer, "count", number)
    assert (
        brute.transitions() == value_of(answer, "transitions", number)
        or not answer.columns["transitions"].is_there[number]
    )
    column = answer.columns["first"]
    if not inside:
        assert column.quality[number] < 64
        return
    assert inside[0].quality == column.quality[number]
    assert column.time_ns is not None
    assert inside[0].time_ns == column.time_ns[number]
    expected = [row.value if row.quality >= 64 else None for row in (inside[0], inside[-1])]
    assert expected == [value_of(answer, name, number) for name in ("first", "last")]
    assert min(row.quality for row in inside) == value_of(answer, "worst_quality", number)


def check_numbers(brute: Brute, answer: Answer, number: int) -> None:
    used = brute.used
    if not used:
        assert all(value_of(answer, name, number) is None for name in ("min_at", "mean", "delta"))
        return
    values = [row.value for row in used]
    low, high = min(values), max(values)  # type: ignore[type-var]
    assert (low, high) == (value_of(answer, "min_at", number), value_of(answer, "max_at", number))
    minimum = answer.columns["min_at"]
    assert minimum.time_ns is not None
    assert next(row.time_ns for row in used if row.value == low) == minimum.time_ns[number]
    is_multiple = bool(minimum.info[number] & Info.MULTIPLE)
    assert (sum(row.value == low for row in used) > 1) == is_multiple
    assert high - low == value_of(answer, "range", number)  # type: ignore[operator]
    assert values[-1] - values[0] == value_of(answer, "delta", number)  # type: ignore[operator]
    scale = max(abs(float(value)) for value in values) or 1.0  # type: ignore[arg-type]
    mean, variance = answer.columns["mean"], answer.columns["var_sample"]
    if mean.is_there[number]:
        assert brute.mean() == pytest.approx(mean.value[number], rel=1e-12, abs=1e-12 * scale)
        assert brute.variance() == pytest.approx(variance.value[number], abs=1e-9 * scale**2)


def check_time(brute: Brute, answer: Answer, number: int, options: Options) -> None:
    uncertain = brute.length(held="uncertain")
    good, width = brute.length(held="good"), brute.end - brute.begin
    bad = width - good - (0 if options.treats_uncertain_as_bad else uncertain)
    assert good == value_of(answer, "duration_good", number)
    assert bad == value_of(answer, "duration_bad", number)
    column = answer.columns["total"]
    if column.is_there[number]:
        total, valued_ns = brute.total(), brute.valued_ns()
        assert total is not None
        scale = max(abs(r.value or 0) for r in brute.regions()) * width * 1e-9 or 1.0
        assert total == pytest.approx(column.value[number], abs=1e-12 * scale)
        mean = answer.columns["time_mean"].value[number]
        # Values that cancel out leave what float64 has of the largest of them.
        lost = 1e-12 * scale / (width * 1e-9)
        assert total / (valued_ns * 1e-9) == pytest.approx(mean, rel=1e-9, abs=max(1e-9, lost))
        assert brute.in_state(0) == value_of(answer, "duration_zero", number)
    if answer.kind is not ValueKind.TEXT:
        assert expected_status(brute, options) == column.quality[number] or not brute.valued_ns()


def expected_status(brute: Brute, options: Options) -> int:
    width = brute.end - brute.begin
    good = brute.length(status="good") / width * 100
    bad = (width - brute.length(status="good") - brute.length(status="uncertain")) / width * 100
    if bad >= options.percent_bad:
        return int(Quality.BAD_NOT_AVAILABLE)
    return 192 if good >= options.percent_good else int(Quality.UNCERTAIN_SUB_NORMAL)


@given(
    script=st.lists(tame_frames(), min_size=1, max_size=6),
    cuts=st.lists(st.booleans(), min_size=6, max_size=6),
    intervals=spans,
    options=st.sampled_from(STEPPED + SLOPED),
)
@settings(max_examples=60, deadline=None)
def test_the_layout_on_disk_changes_nothing(
    script: list[Frame], cuts: list[bool], intervals: Intervals, options: Options
) -> None:
    """All in memory, flushed here and there, or in day files: same numbers, same bits."""
    whole = Played(list(script))
    parts: list[Frame | str] = []
    for step, is_cut in zip(script, cuts, strict=False):
        parts += [step, "flush"] if is_cut else [step]

    flushed = Played(parts)
    one = aggregate(whole.pin(), ALL_POINTS, intervals, NAMES, options)
    two = aggregate(flushed.pin(), ALL_POINTS, intervals, NAMES, options)
    flushed.compact()
    three = aggregate(flushed.pin(), ALL_POINTS, intervals, NAMES, options)

    check_same(one, two)
    check_same(one, three)


def check_same(one: list[Answer], two: list[Answer]) -> None:
    for first, second in zip(one, two, strict=True):
        for name, column in first.columns.items():
            other = second.columns[name]
            np.testing.assert_array_equal(column.is_there, other.is_there, name)
            np.testing.assert_array_equal(column.quality, other.quality, name)
            np.testing.assert_array_equal(column.info, other.info, name)
            for mine, his in zip(column.to_list(), other.to_list(), strict=True):
                assert mine == his or mine == pytest.approx(his, rel=1e-12, abs=1e-9), name


@given(script=st.lists(st.one_of(frames(), st.just("flush")), max_size=8), intervals=spans)
@settings(max_examples=40, deadline=None)
def test_infinities_and_denormals_are_no_accident(
    script: list[Frame | str], intervals: Intervals
) -> None:
    """Extremes are exact; a mean that is not a number is left to the edge, which answers null."""
    played = Played(script)

    answers = aggregate(played.pin(), ALL_POINTS, intervals, ("min", "max", "mean"), Options())

    for point, answer in zip(ALL_POINTS, answers, strict=True):
        if point in POINTS["text"]:
            continue
        for number in range(len(intervals)):
            begin, end = (int(edge) for edge in intervals.edges[number : number + 2])
            used = Brute(played.visible(point, 99), begin, end, False, 64).used
            if used:
                values = [row.value for row in used]
                assert min(values) == value_of(answer, "min", number)  # type: ignore[type-var]
                assert max(values) == value_of(answer, "max", number)  # type: ignore[type-var]


def test_a_point_a_group_a_part_are_only_ways_to_store() -> None:
    """70,000 rows are read in several parts; a mean of all is the mean of the parts."""
    played = Played([])
    rows = 70_000
    time_ns = BASE_NS + np.arange(rows) * S // 100
    value = np.sin(np.arange(rows) / 500)
    for begin in range(0, rows, 7_000):
        cut = slice(begin, begin + 7_000)
        count = len(time_ns[cut])
        played.historian.append(
            Batch(
                ORIGIN,
                1,
                (
                    Frame(
                        np.full(count, 1, np.uint32),
                        time_ns[cut],
                        value[cut],
                        np.full(count, 192, np.uint8),
                        np.zeros(count, np.uint8),
                    ),
                ),
            ),
            begin // 7_000 + 1,
            TIME_NS_MAX,
        )
        played.historian.seal(1)
        played.historian.adopt(played.historian.write())
    intervals = of_width(BASE_NS + 17 * S, BASE_NS + 650 * S, 50 * S)
    handles = np.array([1], np.uint32)
    snapshot = played.historian.pin([1])

    for is_sloped in (False, True):
        needs = Needs(64, is_sloped=is_sloped, regions=True, times=True)
        cells = gather(snapshot, handles, ValueKind.FLOAT, intervals, needs).cells
        number = intervals.of(time_ns)
        for interval in range(len(intervals)):
            mine = value[number == interval]
            assert len(mine) == cells.rows[interval]
            assert mine.mean() == pytest.approx(cells.mean[interval], rel=1e-12)
            assert mine.var() == pytest.approx(cells.m2[interval] / len(mine), rel=1e-9)
            assert mine.min() == cells.minimum.value[interval]
            assert intervals.width_ns[interval] == cells.valued_ns[interval]
