"""What the historian answers, against a plain Python oracle, across flushes and restarts."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Oracle, Row
from strategies import BASE_NS, POINTS, frames

from penstock.codec.trend import NO_SAMPLE
from penstock.historian import Cursor, Historian, HistorianSettings, Snapshot
from penstock.historian.columns import Columns
from penstock.historian.envelope import Grid, envelope, grid_of, raw_pen
from penstock.historian.query import raw
from penstock.model import Batch, Frame, Origin, TextColumn
from penstock.model.time import TIME_NS_MAX
from penstock.testing.disk import FakeDisk

ORIGIN = Origin(UUID(int=7), 0, 1)
SPAN = (BASE_NS - 2 * 10**12, BASE_NS + 2 * 10**12)
ALL_POINTS = [point for points in POINTS.values() for point in points]
steps = st.lists(st.one_of(frames(), st.sampled_from(["flush", "restart", "seal"])), max_size=12)


class Played:
    """A historian and an oracle that were given the same."""

    def __init__(self, script: list[Frame | str]) -> None:
        self.disk = FakeDisk()
        self.oracle = Oracle()
        self.log: list[Frame] = []
        self.historian = self._open()
        for step in script:
            if isinstance(step, Frame):
                self.log.append(step)
                self.oracle.append(step, len(self.log))
                self._append(step, len(self.log))
            elif step == "restart":
                self._restart()
            else:
                self._flush(is_adopted=step == "flush")

    def _open(self) -> Historian:
        return Historian.open(self.disk, Path("/segments"), HistorianSettings())

    def _append(self, step: Frame, sequence: int) -> None:
        self.historian.append(Batch(ORIGIN, sequence, (step,)), sequence, TIME_NS_MAX)

    def _restart(self) -> None:
        self.historian = self._open()
        _, sequence = self.historian.position
        for number, step in enumerate(self.log[sequence:], sequence + 1):
            self._append(step, number)

    def _flush(self, *, is_adopted: bool) -> None:
        if self.historian.is_flushing:
            self.historian.adopt(self.historian.write())
        self.historian.seal(incarnation=1)
        if is_adopted:
            self.historian.adopt(self.historian.write())

    def pin(self) -> Snapshot:
        return self.historian.pin(ALL_POINTS)


def rows_of(columns: Columns) -> list[tuple[object, ...]]:
    value = columns.value
    texts = value.to_list() if isinstance(value, TextColumn) else value.tolist()
    keys = [np.float64(item).tobytes() if isinstance(item, float) else item for item in texts]
    return list(
        zip(
            columns.time_ns.tolist(),
            keys,
            columns.quality.tolist(),
            columns.flags.tolist(),
            columns.sequence.tolist(),
            strict=True,
        )
    )


def expected_rows(rows: list[Row]) -> list[tuple[object, ...]]:
    return [(*row.key, row.flags, row.sequence) for row in rows]


@given(script=steps)
@settings(max_examples=60, deadline=None)
def test_raw_and_last_are_what_the_oracle_says(script: list[Frame | str]) -> None:
    played = Played(script)
    snapshot = played.pin()

    for point in ALL_POINTS:
        found, cursor = raw(snapshot, point, *SPAN, limit=10_000)
        assert expected_rows(played.oracle.visible(point)) == rows_of(found)
        assert cursor is None
        check_last(played, point)


def check_last(played: Played, point: int) -> None:
    expected, rows = played.oracle.last(point), played.historian.last.rows([point])
    if expected is None:
        assert 0 == rows.kind[0]
        return
    found = Row(int(rows.time_ns[0]), rows.value(0), int(rows.quality[0]), 0, 0)  # type: ignore[arg-type]
    assert expected.key == found.key


@given(script=steps, limit=st.integers(1, 7))
@settings(max_examples=30, deadline=None)
def test_pages_of_any_size_give_each_row_once(script: list[Frame | str], limit: int) -> None:
    played = Played(script)
    snapshot = played.pin()

    for point in ALL_POINTS:
        found: list[tuple[object, ...]] = []
        cursor: Cursor | None = None
        while True:
            page, cursor = raw(snapshot, point, *SPAN, limit, cursor)
            found += rows_of(page)
            if cursor is None:
                break
            cursor = Cursor.parse(str(cursor))
        assert expected_rows(played.oracle.visible(point)) == found


@given(script=steps, begin=st.integers(-(10**12), 10**12), span=st.integers(1, 10**12))
@settings(max_examples=60, deadline=None)
def test_envelope_is_what_the_oracle_says(script: list[Frame | str], begin: int, span: int) -> None:
    played = Played(script)
    grid = grid_of(BASE_NS + begin, BASE_NS + begin + span, 50)

    for point in POINTS["float"] + POINTS["int"]:
        check_envelope(played, point, grid)


def check_envelope(played: Played, point: int, grid: Grid) -> None:
    rows = [row for row in played.oracle.visible(point) if row.time_ns < grid.end_ns]
    inside = [row for row in rows if row.time_ns >= grid.t0_ns]
    columns: list[list[Row]] = [[] for _ in range(grid.columns)]
    for row in inside:
        columns[(row.time_ns - grid.t0_ns) // grid.dt_ns].append(row)
    values = [[float(r.value) for r in column if r.quality >= 64] for column in columns]
    before = [row for row in rows if row.time_ns < grid.t0_ns][-1:]

    pen = envelope(played.pin(), point, grid)

    np.testing.assert_array_equal([min(v, default=np.nan) for v in values], pen.minimum)
    np.testing.assert_array_equal([max(v, default=np.nan) for v in values], pen.maximum)
    worst = [min((row.quality for row in column), default=NO_SAMPLE) for column in columns]
    assert worst == pen.quality.tolist()
    assert len(inside) == pen.rows
    assert played.oracle.gaps(point, grid.t0_ns, grid.end_ns) == list(pen.gaps)
    expected = float(before[0].value) if before and before[0].quality >= 64 else np.nan
    np.testing.assert_equal(pen.before, expected)
    raw_answer = raw_pen(played.pin(), point, grid.t0_ns, grid.end_ns)
    assert list(pen.gaps) == list(raw_answer.gaps)
    assert [row.time_ns for row in inside] == raw_answer.time_ns.tolist()


def test_columns_of_a_moving_chart_stay_where_they_are() -> None:
    """A width of the ladder, a begin that is a multiple of it, whatever the span begins with."""
    first = grid_of(BASE_NS + 17, BASE_NS + 17 + 3_600 * 10**9, 1_000)
    later = grid_of(BASE_NS + 9_999, BASE_NS + 9_999 + 3_600 * 10**9, 1_000)

    assert 5 * 10**9 == first.dt_ns == later.dt_ns
    assert 0 == first.t0_ns % first.dt_ns
    assert first == later
    assert first.end_ns >= BASE_NS + 17 + 3_600 * 10**9


def test_a_snapshot_does_not_move() -> None:
    """What arrives and what is flushed after the pin changes no answer."""
    played = Played([])
    historian = played.historian
    one = Frame(*(np.array([n], t) for n, t in zip((1, BASE_NS, 2.5, 192, 0), DTYPES, strict=True)))
    historian.append(Batch(ORIGIN, 1, (one,)), 1, TIME_NS_MAX)
    snapshot = historian.pin([1])
    for sequence in range(2, 70_000, 7_000):
        many = Frame(*(np.repeat(column, 7_000) for column in columns_of(one)))
        many.time_ns[:] += np.arange(7_000) + sequence
        historian.append(Batch(ORIGIN, sequence, (many,)), sequence, TIME_NS_MAX)
    historian.seal(1)
    historian.adopt(historian.write())

    assert 1 == len(raw(snapshot, 1, *SPAN, limit=10)[0])
    assert 70_001 == len(raw(historian.pin([1]), 1, *SPAN, limit=100_000)[0])


DTYPES = (np.uint32, np.int64, np.float64, np.uint8, np.uint8)


def columns_of(frame: Frame) -> tuple[np.ndarray, ...]:  # type: ignore[type-arg]
    assert not isinstance(frame.value, TextColumn)
    return frame.point, frame.time_ns, frame.value, frame.quality, frame.flags


@pytest.mark.parametrize("text", ["", "1", "1.-1", "1.5.6", "01.5", " 1.2", str(2**63) + ".0"])
def test_a_cursor_that_nobody_gave_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Cursor.parse(text)
