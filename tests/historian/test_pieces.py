"""Chunks that are cut at the borders of intervals answer as their rows would, one by one.

Asking for the moment of an extreme makes the historian read rows; that is the other way.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from compacted import FOLDER, Played
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import BASE_NS, frame_of

from penstock.historian import Snapshot
from penstock.historian.aggregate import Options, aggregate
from penstock.historian.intervals import Intervals, of_width
from penstock.historian.layout import Layout
from penstock.historian.pieces import Wanted, can_be_cut, pieces
from penstock.historian.results import Column
from penstock.model import Flag, Frame, Quality, ValueKind

S = 1_000_000_000
POINTS = {"float": [1, 2], "int": [3, 4]}
HANDLES = [1, 2, 3, 4]
NAMES = (
    *("count", "min", "max", "range", "mean", "var_sample", "first", "last", "delta"),
    *("time_mean", "total", "duration_good", "duration_bad", "worst_quality"),
)
QUALITIES = [[Quality.GOOD]] * 6 + [[Quality.GOOD, Quality.UNCERTAIN, Quality.BAD_SENSOR_FAILURE]]


@st.composite
def long_runs(draw: st.DrawFn) -> Frame:
    """One point, many rows, most of the time all good; now and then two of one moment."""
    kind = draw(st.sampled_from(["float", "int"]))
    point = draw(st.sampled_from(POINTS[kind]))
    begin, step = draw(st.integers(0, 200)), draw(st.sampled_from([1, 2, 3, 7]))
    count = draw(st.integers(1, 60))
    value = draw(st.lists(st.integers(-5, 5), min_size=count, max_size=count))
    quality = st.sampled_from(draw(st.sampled_from(QUALITIES)))
    qualities = draw(st.lists(quality, min_size=count, max_size=count))
    repeated = draw(st.sampled_from([-1, -1, -1, count // 2]))
    flag = draw(st.sampled_from([0, Flag.CORRECTION]))
    scale = 1.25 if kind == "float" else 1
    rows = [
        (point, BASE_NS + (begin + step * (n - (n > repeated >= 0))) * S, v * scale, q, 0)
        for n, (v, q) in enumerate(zip(value, qualities, strict=True))
    ]
    return frame_of(kind, [*rows[:-1], (*rows[-1][:4], flag)])


scripts = st.lists(st.one_of(long_runs(), st.just("flush")), min_size=1, max_size=8)
spans = st.builds(
    lambda begin, width, count: of_width(
        BASE_NS + begin * S // 2, BASE_NS + (begin + width * count) * S // 2, width * S // 2
    ),
    st.integers(-20, 300),
    st.integers(1, 90),
    st.integers(1, 12),
)


@given(
    script=scripts,
    is_compacted=st.booleans(),
    intervals=spans,
    options=st.sampled_from([Options(), Options(is_sloped=True)]),
    at=st.one_of(st.none(), st.integers(1, 7)),
)
@settings(max_examples=150, deadline=None)
def test_a_piece_says_what_its_rows_say(
    script: list[Frame | str],
    is_compacted: bool,
    intervals: Intervals,
    options: Options,
    at: int | None,
) -> None:
    played = Played([*script, "flush", *(["compact"] if is_compacted else [])])
    snapshot = played.historian.pin(HANDLES)
    snapshot = snapshot if at is None else snapshot.at_sequence(at)

    check_same(snapshot, intervals, options)


def check_same(snapshot: Snapshot, intervals: Intervals, options: Options = Options()) -> None:  # noqa: B008
    cut = aggregate(snapshot, HANDLES, intervals, NAMES, options)
    read = aggregate(snapshot, HANDLES, intervals, (*NAMES, "min_at"), options)
    for mine, his in zip(cut, read, strict=True):
        for name in NAMES:
            check_column(name, his.columns[name], mine.columns[name])


def check_column(name: str, expected: Column, found: Column) -> None:
    np.testing.assert_array_equal(expected.is_there, found.is_there, name)
    np.testing.assert_array_equal(expected.quality, found.quality, name)
    np.testing.assert_array_equal(expected.info, found.info, name)
    if expected.time_ns is not None and found.time_ns is not None:
        np.testing.assert_array_equal(expected.time_ns, found.time_ns, name)
    for one, other in zip(expected.to_list(), found.to_list(), strict=True):
        assert one == other or one == pytest.approx(other, rel=1e-12, abs=1e-9), name


def played_of(*parts: Frame) -> Played:
    return Played([step for part in parts for step in (part, "flush")])


def run_of(begin: int, count: int, quality: int = Quality.GOOD) -> Frame:
    rows: list[tuple[int, int, object, int, int]] = [
        (1, BASE_NS + (begin + n) * S, n * 0.25, quality, 0) for n in range(count)
    ]
    return frame_of("float", rows)


def cut(played: Played, intervals: Intervals) -> tuple[list[tuple[int, int, float]], int]:
    """((seconds of the first row, rows, integral) of each piece, number of entries left over)."""
    handles = np.array([1], np.uint32)
    snapshot = played.historian.pin([1])
    layout = Layout(snapshot, handles, ValueKind.FLOAT, intervals.begin_ns, intervals.end_ns)
    entries = np.flatnonzero(can_be_cut(layout, None))
    items, left = pieces(layout, entries, intervals, Wanted(True, False, True))
    first = (items.first_ns - BASE_NS) // S
    found = zip(first.tolist(), items.rows.tolist(), items.integral.tolist(), strict=True)
    return list(found), len(left) + len(layout) - len(entries)


def test_a_chunk_is_cut_at_each_border_and_what_lies_outside_is_left_out() -> None:
    """Rows at 0 to 9 s, intervals from 2 s to 8 s: the value holds within a piece only."""
    intervals = of_width(BASE_NS + 2 * S, BASE_NS + 8 * S, 3 * S)
    found, left = cut(played_of(run_of(0, 10)), intervals)

    edges = [(edge - BASE_NS) // S for edge in intervals.edges.tolist()]
    expected = [
        (begin, end - begin, sum(0.25 * n for n in range(begin, end - 1)))
        for begin, end in pairwise(edges)
    ]
    assert expected == found
    assert 0 == left


def test_several_chunks_are_cut_in_one_go() -> None:
    played = played_of(run_of(0, 10), run_of(20, 10), run_of(40, 10))
    intervals = Intervals(BASE_NS + np.array([0, 25, 60]) * S, np.zeros(2, bool))

    found, left = cut(played, intervals)

    assert [(0, 10), (20, 5), (25, 5), (40, 10)] == [piece[:2] for piece in found]
    assert 0 == left


def test_what_is_not_good_or_shares_its_time_is_read_by_rows() -> None:
    bad = run_of(20, 10, Quality.UNCERTAIN)
    played = played_of(run_of(0, 10), bad, run_of(40, 10), run_of(45, 10))
    intervals = of_width(BASE_NS, BASE_NS + 60 * S, 7 * S)

    found, left = cut(played, intervals)

    assert 10 == sum(rows for _, rows, _ in found)
    assert 3 == left
    check_same(played.historian.pin(HANDLES), intervals)


@pytest.mark.parametrize("where", [0, 9, 40, 60, -1])
def test_a_damaged_chunk_does_not_take_its_neighbours_along(where: int) -> None:
    played = played_of(run_of(0, 10), run_of(20, 30), run_of(60, 10))
    name = sorted(name for name in played.disk.list(FOLDER) if name.endswith(".seg"))[1]
    info = next(info for info in played.historian.manifest.segments if info.name == name)
    size = info.table_offset - 64
    played.disk.flip_bit(FOLDER / name, 64 + where % size, 3)
    intervals = of_width(BASE_NS, BASE_NS + 70 * S, 9 * S)

    found, left = cut(played, intervals)

    assert 20 == sum(rows for _, rows, _ in found)
    assert 1 == left
    check_same(played.historian.pin(HANDLES), intervals)


def test_rows_of_a_chunk_that_had_not_arrived_are_left_out() -> None:
    played = Played([run_of(0, 10), run_of(10, 10), "flush"])
    intervals = of_width(BASE_NS, BASE_NS + 30 * S, 7 * S)

    known = played.historian.pin([1]).at_sequence(1)

    [answer] = aggregate(known, [1], intervals, ["count", "mean"], Options())
    assert 10 == sum(answer.columns["count"].value)
