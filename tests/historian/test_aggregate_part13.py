"""The worked examples of OPC UA Part 13, Annex A, and cases by hand beside them.

The expected numbers are those of the standard's tables (version 1.04), for the four
example histories of A.1. One difference is meant, see docs/reference/aggregates.md:
aggregates of raw values leave uncertain ones out only with TreatUncertainAsBad, so that the
tables of Historian 1 for Minimum and Variance are met with that setting.
"""

from __future__ import annotations

import numpy as np
import pytest
from samples import (
    BAD,
    GOOD,
    NO_DATA,
    NOON_NS,
    SUB_NORMAL,
    UNCERTAIN,
    S,
    Sample,
    Store,
    answer,
    clock,
    every,
    stored,
)

from penstock.historian.aggregate import Options
from penstock.historian.at import around, interpolated
from penstock.historian.results import Column, Info

CALCULATED, PARTIAL = Info.CALCULATED, Info.PARTIAL
FIRST: list[Sample] = [
    (10, 10.0, GOOD),
    (20, 20.0, GOOD),
    (30, 30.0, GOOD),
    (40, 40.0, BAD),
    (50, 50.0, GOOD),
    (60, 60.0, GOOD),
    (70, 70.0, UNCERTAIN),
    (80, 80.0, GOOD),
    (90, 90.0, GOOD),
]
SECOND: list[Sample] = [
    (2, 10.0, GOOD),
    (25, 20.0, GOOD),
    (28, 25.0, GOOD),
    (39, 30.0, GOOD),
    (42, None, BAD),
    (48, 40.0, GOOD),
    (52, 50.0, GOOD),
    (72, 60.0, GOOD),
    (77, 70.0, UNCERTAIN),
    (83, 70.0, GOOD),
    (86, 80.0, GOOD),
    (90, 90.0, GOOD),
]
FOURTH: list[Sample] = [
    (2, 1, GOOD),
    (25, 0, GOOD),
    (28, 1, GOOD),
    (39, 1, GOOD),
    (42, None, BAD),
    (48, 1, GOOD),
    (52, 0, GOOD),
    (72, 0, GOOD),
    (77, 1, UNCERTAIN),
    (83, 1, GOOD),
    (86, 0, GOOD),
    (90, 1, GOOD),
]
AS_BAD = Options(treats_uncertain_as_bad=True)
SLOPED = Options(is_sloped=True)
SLOPED_AS_BAD = Options(is_sloped=True, treats_uncertain_as_bad=True)
STEPPED_50 = Options(treats_uncertain_as_bad=True, percent_good=50, percent_bad=50)
# However the rows lie on disk, the answer is the same: all in the head, or 1, 2, 5 a segment.
PARTS = [0, 1, 2, 5]

# What a line of a table says: time, value (None: no value), status, partial.
Line = tuple[str, float | None, int, bool]


def check(lines: list[Line], column: Column, width_s: float, info: int = CALCULATED) -> None:
    """The table names some of the intervals; those that it leaves out are not looked at."""
    values = column.to_list()
    for time, value, quality, is_partial in lines:
        number = round(clock(time) // width_s)
        assert value == pytest.approx(values[number], abs=6e-4), time
        assert quality == column.quality[number], time
        bits = (0 if value is None else info) | (PARTIAL if is_partial else 0)
        assert bits == column.info[number], time


@pytest.fixture(params=PARTS)
def part(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def first(part: int) -> Store:
    return stored(FIRST, part=part)


@pytest.fixture
def second(part: int) -> Store:
    return stored(SECOND, part=part)


@pytest.fixture
def fourth(part: int) -> Store:
    return stored(FOURTH, "int", part=part)


def test_time_average_2_of_historian_1(first: Store) -> None:
    """A.5: sloped, uncertain values used, bad ones end the line."""
    found = answer(first, every(5), "time_mean", options=SLOPED).columns["time_mean"]

    check(
        [
            ("12:00:00", None, NO_DATA, False),
            ("12:00:05", None, NO_DATA, False),
            ("12:00:10", 12.5, GOOD, False),
            ("12:00:15", 17.5, GOOD, False),
            ("12:00:25", 27.5, GOOD, False),
            ("12:00:30", 30, SUB_NORMAL, False),
            ("12:00:35", 30, SUB_NORMAL, False),
            ("12:00:40", None, NO_DATA, False),
            ("12:00:45", None, NO_DATA, False),
            ("12:00:50", 52.5, GOOD, False),
            ("12:00:55", 57.5, GOOD, False),
            ("12:01:00", 62.5, SUB_NORMAL, False),
            ("12:01:05", 67.5, SUB_NORMAL, False),
            ("12:01:10", 72.5, SUB_NORMAL, False),
            ("12:01:15", 77.5, SUB_NORMAL, False),
            ("12:01:20", 82.5, GOOD, False),
            ("12:01:25", 87.5, GOOD, False),
            ("12:01:30", 90, SUB_NORMAL, True),
            ("12:01:35", None, NO_DATA, False),
        ],
        found,
        5,
    )


def test_time_average_2_of_historian_2(second: Store) -> None:
    """A.5: sloped, uncertain values as bad; the first interval begins before the data."""
    found = answer(second, every(5), "time_mean", options=SLOPED_AS_BAD).columns["time_mean"]

    check(
        [
            ("12:00:00", 10.652, SUB_NORMAL, True),
            ("12:00:05", 12.391, GOOD, False),
            ("12:00:20", 18.913, GOOD, False),
            ("12:00:25", 23.682, GOOD, False),
            ("12:00:30", 27.046, GOOD, False),
            ("12:00:35", 29.273, SUB_NORMAL, False),
            ("12:00:40", 30, SUB_NORMAL, False),
            ("12:00:45", 42.5, SUB_NORMAL, False),
            ("12:00:50", 49.45, GOOD, False),
            ("12:00:55", 52.75, GOOD, False),
            ("12:01:05", 57.75, GOOD, False),
            ("12:01:10", 59.8, SUB_NORMAL, False),
        ],
        found,
        5,
    )


def test_time_average_2_of_historian_3(second: Store) -> None:
    """A.5: stepped. [12:00:40, 45) is 40 % good and 60 % bad, hence bad at 50 percent."""
    found = answer(second, every(5), "time_mean", options=STEPPED_50).columns["time_mean"]

    check(
        [
            ("12:00:00", 10, GOOD, True),
            ("12:00:05", 10, GOOD, False),
            ("12:00:25", 22, GOOD, False),
            ("12:00:30", 25, GOOD, False),
            ("12:00:35", 26, GOOD, False),
            ("12:00:40", None, NO_DATA, False),
            ("12:00:50", 46, GOOD, False),
            ("12:00:55", 50, GOOD, False),
            ("12:01:10", 56, GOOD, False),
        ],
        found,
        5,
    )


def test_minimum_and_maximum_actual_time(first: Store, second: Store) -> None:
    """A.10 and A.11: the time is that of the sample."""
    names = "min_at", "max_at"
    one = answer(first, every(16), *names, options=AS_BAD).columns
    two = answer(second, every(16), *names, options=AS_BAD).columns

    check(
        [
            ("12:00:00", 10, GOOD, True),
            ("12:00:16", 20, GOOD, False),
            ("12:00:32", None, NO_DATA, False),
            ("12:00:48", 50, GOOD, False),
            ("12:01:04", None, NO_DATA, False),
            ("12:01:20", 80, GOOD, True),
            ("12:01:36", None, NO_DATA, False),
        ],
        one["min_at"],
        16,
        Info.RAW,
    )
    times = [clock(text) for text in ("12:00:10", "12:00:30", "12:01:00", "12:01:30")]
    assert one["max_at"].time_ns is not None
    assert times == [(one["max_at"].time_ns[n] - NOON_NS) / S for n in (0, 1, 3, 5)]
    check(
        [
            ("12:00:00", 10, GOOD, True),
            ("12:00:16", 25, GOOD, False),
            ("12:00:32", 30, SUB_NORMAL, False),
            ("12:00:48", 50, GOOD, False),
            ("12:01:04", 60, SUB_NORMAL, False),
            ("12:01:20", 90, GOOD, True),
            ("12:01:36", None, NO_DATA, False),
        ],
        two["max_at"],
        16,
        Info.RAW,
    )
    assert two["min_at"].time_ns is not None
    assert [2, 25, 39, 48, 72, 83] == [(t - NOON_NS) / S for t in two["min_at"].time_ns[:6]]


def test_variance_sample(first: Store, second: Store) -> None:
    """A.36. A single value has no spread: 0."""
    names = "var_sample", "std_sample", "var_population", "std_population"
    one = answer(first, every(20), *names, options=AS_BAD).columns
    two = answer(second, every(20), *names, options=AS_BAD).columns

    check(
        [
            ("12:00:00", 0, GOOD, True),
            ("12:00:20", 50, GOOD, False),
            ("12:00:40", 0, SUB_NORMAL, False),
            ("12:01:00", 0, SUB_NORMAL, False),
            ("12:01:20", 50, GOOD, True),
        ],
        one["var_sample"],
        20,
    )
    lines: list[Line] = [
        ("12:00:00", 0, GOOD, True),
        ("12:00:20", 25, GOOD, False),
        ("12:00:40", 50, SUB_NORMAL, False),
        ("12:01:00", 0, SUB_NORMAL, False),
        ("12:01:20", 100, GOOD, True),
    ]
    check(lines, two["var_sample"], 20)
    roots: list[Line] = [(time, (value or 0) ** 0.5, *rest) for time, value, *rest in lines]  # type: ignore[misc]
    check(roots, two["std_sample"], 20)
    # 20, 25, 30: squared distances 25 + 0 + 25 over 3 values.
    assert 50 / 3 == pytest.approx(two["var_population"].to_list()[1])
    assert (50 / 3) ** 0.5 == pytest.approx(two["std_population"].to_list()[1])


def test_duration_good(first: Store, second: Store) -> None:
    """A.29, in ms there; the newest sample counts for the smallest time, 1 ms there, 1 ns here."""
    one = answer(first, every(16), "duration_good", options=SLOPED).columns["duration_good"]
    two = answer(second, every(16), "duration_good", options=SLOPED_AS_BAD)

    seconds = [value / S for value in one.to_list()[:6]]  # type: ignore[operator]
    assert [6, 16, 0, 14, 0, 10] == pytest.approx(seconds, abs=1e-8)
    assert [GOOD] * 6 + [NO_DATA] == one.quality.tolist()
    assert one.to_list()[6] is None
    seconds = [value / S for value in two.columns["duration_good"].to_list()[:6]]  # type: ignore[operator]
    assert [14, 16, 10, 16, 13, 7] == pytest.approx(seconds, abs=1e-8)
    partial = [bool(bits & PARTIAL) for bits in two.columns["duration_good"].info]
    assert [True, False, False, False, False, True, False] == partial


def test_what_is_not_good_is_bad_or_uncertain(second: Store) -> None:
    """By hand for [12:01:04, 20): good till 12:01:17, then 3 s of an uncertain value.

    As bad: 13 s of 16 good, 3 s bad. As uncertain: neither good nor bad for 3 s.
    """
    names = "duration_good", "duration_bad", "percent_good", "percent_bad"
    strict = answer(second, every(16), *names, options=AS_BAD).columns
    lenient = answer(second, every(16), *names).columns

    assert [13 * S, 3 * S, 81.25, 18.75] == [strict[name].to_list()[4] for name in names]
    assert [13 * S, 0, 81.25, 0] == [lenient[name].to_list()[4] for name in names]


def test_duration_in_state(fourth: Store) -> None:
    """A.20 and A.21."""
    found = answer(fourth, every(16), "duration_zero", "duration_nonzero", options=AS_BAD).columns

    quality = [SUB_NORMAL, GOOD, SUB_NORMAL, GOOD, SUB_NORMAL, SUB_NORMAL, NO_DATA]
    zero = [(value or 0) / S for value in found["duration_zero"].to_list()]  # type: ignore[operator]
    nonzero = [(value or 0) / S for value in found["duration_nonzero"].to_list()]  # type: ignore[operator]
    assert [0, 3, 0, 12, 13, 4, 0] == zero
    assert [14, 13, 10, 4, 0, 3, 0] == pytest.approx(nonzero, abs=1e-8)
    assert quality == found["duration_zero"].quality.tolist()
    assert quality == found["duration_nonzero"].quality.tolist()


def test_start_bound(first: Store, second: Store) -> None:
    """A.25: simple bounding values; a raw value at the very time is itself."""
    one = answer(first, every(16), "start_bound", options=SLOPED).columns["start_bound"]
    two = answer(second, every(16), "start_bound", options=SLOPED_AS_BAD).columns["start_bound"]
    three = answer(second, every(16), "start_bound", options=AS_BAD).columns["start_bound"]

    assert [None, 16, 30, None, 64, 80, None] == one.to_list()
    assert [NO_DATA, GOOD, SUB_NORMAL, NO_DATA, SUB_NORMAL, GOOD, NO_DATA] == one.quality.tolist()
    lines: list[float | None] = [None, 16.087, 26.818, 40, 56, None, None]
    for expected, value in zip(lines, two.to_list(), strict=True):
        assert expected == pytest.approx(value, abs=6e-4)
    assert [None, 10, 25, 40, 50, None, None] == three.to_list()
    raw_or_interpolated = [Info.INTERPOLATED, Info.INTERPOLATED, Info.RAW, Info.INTERPOLATED]
    assert raw_or_interpolated == three.info[1:5].tolist()


def test_interpolative(first: Store, second: Store) -> None:
    """A.2: values that are not used are passed over, and say so."""
    moments = every(5).edges[:-1]
    snapshot = first.pin([1])
    one = interpolated(snapshot, 1, around(snapshot, 1, moments), is_sloped=True, used_from=64)
    snapshot = second.pin([1])
    two = interpolated(snapshot, 1, around(snapshot, 1, moments), is_sloped=True, used_from=GOOD)

    unsure = {35, 40, 45, 65, 75, 95}
    for number, second_ in enumerate(range(10, 95, 5), 2):
        assert (second_, True) == (one.value[number], one.is_there[number])
        expected = UNCERTAIN if second_ == 70 else SUB_NORMAL if second_ in unsure else GOOD
        assert expected == one.quality[number], second_
    assert [False, False] == one.is_there[:2].tolist()
    assert (90, SUB_NORMAL) == (one.value[19], one.quality[19])
    lines = {5: 11.304, 25: 20, 30: 25.909, 50: 45, 55: 51.5, 70: 59, 85: 76.667, 90: 90}
    passed_over = {40: 31.111, 45: 36.667, 75: 62.727, 80: 67.273}
    for second_, value in {**lines, **passed_over}.items():
        number = second_ // 5
        assert value == pytest.approx(two.value[number], abs=6e-4)
        assert (GOOD if second_ in lines else SUB_NORMAL) == two.quality[number], second_


def test_by_hand_what_the_annex_has_no_table_at_hand_for(first: Store) -> None:
    """[12:00:20, 40) has 20 and 30; [12:00:40, 12:01:00) a bad 40 and a good 50.

    Average 25 and 50 (half of the samples good: uncertain); total stepped 20*10 + 30*10 = 500
    and 50*10 = 500; delta 10 and 0 (the bad one was passed over).
    """
    names = "count", "mean", "total", "delta", "range", "first", "last", "worst_quality"
    found = answer(first, every(20), *names).columns

    third = {name: found[name].to_list()[1:3] for name in names}
    assert [2, 1] == third["count"]
    assert [25, 50] == third["mean"]
    assert [500, 500] == pytest.approx(third["total"])
    assert [10, 0] == third["delta"] == third["range"]
    assert [20, None] == third["first"]
    assert [30, 50] == third["last"]
    assert [GOOD, BAD] == third["worst_quality"]
    assert [GOOD, SUB_NORMAL] == found["mean"].quality[1:3].tolist()
    assert [GOOD, SUB_NORMAL] == found["delta"].quality[1:3].tolist()
    assert [GOOD, BAD] == found["first"].quality[1:3].tolist()


def test_a_delta_is_as_sure_as_the_worse_of_its_ends(first: Store) -> None:
    """[12:01:00, 20) is 60 and an uncertain 70, [12:01:10, 45) the uncertain 70, 80 and 90.

    Uncertain samples count (Options), so the deltas are 10 and 20, but neither end may hide.
    What lies between them may: [12:01:00, 30) is 60, the uncertain 70, and 80.
    """
    found = [
        answer(first, every(width_s, begin_s, begin_s + width_s), "delta").columns["delta"]
        for width_s, begin_s in ((20, 60), (35, 70), (30, 60))
    ]

    assert [[10], [20], [20]] == [column.to_list() for column in found]
    assert [[SUB_NORMAL], [SUB_NORMAL], [GOOD]] == [c.quality.tolist() for c in found]


def test_delta_of_bounds(first: Store) -> None:
    """Stepped, every 20 s: bounds none, 20, bad, 60, 80, and behind the end none."""
    found = answer(first, every(20), "delta_bounds", "end_bound").columns

    assert [None, None, None, 20, None] == found["delta_bounds"].to_list()
    assert [20, None, 60, 80, None] == found["end_bound"].to_list()


def test_transitions(fourth: Store) -> None:
    """5.4.3.24. Good only: 1, 0, 1 1, 1, 0 0, 1, 0, 1; the first counts, as nothing was before it.

    [0, 16): 1. [16, 32): 0 then 1. [32, 48): 1 again. [48, 64): 1 again, then 0.
    [64, 80): 0 again. [80, 96): 1, 0, 1.
    """
    found = answer(fourth, every(16), "transitions", options=AS_BAD).columns["transitions"]

    assert [1, 2, 0, 1, 0, 3, None] == found.to_list()
    assert [GOOD, GOOD, SUB_NORMAL, GOOD, SUB_NORMAL, GOOD, NO_DATA] == found.quality.tolist()


def test_an_interval_without_a_sample_within_the_data(first: Store) -> None:
    """Nothing was counted in [12:00:12, 14), and that is certain; the value holds meanwhile."""
    found = answer(first, every(2), "count", "mean", "time_mean", "transitions").columns

    assert (0, GOOD) == (found["count"].to_list()[6], found["count"].quality[6])
    assert (0, GOOD) == (found["transitions"].to_list()[6], found["transitions"].quality[6])
    assert (None, NO_DATA) == (found["mean"].to_list()[6], found["mean"].quality[6])
    assert (10, GOOD) == (found["time_mean"].to_list()[6], found["time_mean"].quality[6])


def test_the_newest_value_holds_when_it_is_asked_to(first: Store) -> None:
    """90 since 12:01:30; until 12:01:40 it is data, partial because more may come."""
    options = Options(hold_until_ns=NOON_NS + 100 * S)
    found = answer(first, every(5), "time_mean", "end_bound", options=options).columns

    assert [90, 90] == found["time_mean"].to_list()[-2:]
    assert [GOOD, GOOD] == found["time_mean"].quality[-2:].tolist()
    assert all(bits & PARTIAL for bits in found["time_mean"].info[-2:])
    assert [90, 90] == found["end_bound"].to_list()[-2:]


def test_a_span_that_cuts_an_interval_makes_it_partial(first: Store) -> None:
    """The asked span is [12:00:25, 12:00:35) of 10 s intervals: two halves."""
    found = answer(first, every(10, 25, 35), "total").columns["total"]

    assert [100, 150] == pytest.approx(found.to_list())
    assert [CALCULATED | PARTIAL] * 2 == found.info.tolist()


def test_equal_extremes_are_said_to_be_several() -> None:
    store = stored([(1, 5.0, GOOD), (2, 7.0, GOOD), (3, 5.0, GOOD), (30, 1.0, GOOD)])

    found = answer(store, every(10, 0, 20), "min_at", "max_at").columns

    assert Info.MULTIPLE | PARTIAL == found["min_at"].info[0]
    assert Info.RAW | PARTIAL == found["max_at"].info[0]
    assert found["min_at"].time_ns is not None
    assert NOON_NS + S == found["min_at"].time_ns[0]


def test_texts_have_states(part: int) -> None:
    """RUN 4 s, STOP 6 s in the first ten seconds; RUN from 13 s on."""
    samples: list[Sample] = [(0, "RUN", GOOD), (4, "STOP", GOOD), (13, "RUN", GOOD)]
    store = stored([*samples, (30, "RUN", GOOD)], "text", part=part)

    names = "first", "last", "transitions", "time_in_state", "duration_good", "mean"
    found = answer(store, every(10, 0, 20), *names)

    assert {"RUN": [4 * S, 7 * S], "STOP": [6 * S, 3 * S]} == {
        state: ns.tolist() for state, ns in found.states.items()
    }
    assert ["RUN", "RUN"] == found.columns["first"].to_list()
    assert ["STOP", "RUN"] == found.columns["last"].to_list()
    assert [2, 1] == found.columns["transitions"].to_list()
    assert [10 * S, 10 * S] == found.columns["duration_good"].to_list()
    assert [None, None] == found.columns["mean"].to_list()


def test_integers_stay_integers(part: int) -> None:
    """2^53 + 1 has no float64; the range of all of int64 has no int64."""
    low, high = -(2**63), 2**63 - 1
    samples: list[Sample] = [(1, 2**53 + 1, GOOD), (2, low, GOOD), (3, high, GOOD)]
    store = stored(samples, "int", part=part)

    found = answer(store, every(10, 0, 10), "min", "max", "range", "first", "last", "delta")

    values = [found.columns[name].to_list()[0] for name in found.columns]
    assert [low, high, 2**64 - 1, 2**53 + 1, high, high - 2**53 - 1] == values


def test_a_point_without_samples_has_only_bad_results() -> None:
    store = stored([(1, 5.0, GOOD)])

    found = answer(store, every(50), "count", "mean", "duration_good", point=9).columns

    assert all(np.array_equal([NO_DATA] * 2, column.quality) for column in found.values())
    assert [None, None] == found["count"].to_list()
