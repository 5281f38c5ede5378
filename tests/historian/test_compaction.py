"""Compaction changes files and no answer: of no query, as of no moment."""

from __future__ import annotations

import numpy as np
from compacted import (
    ALL_POINTS,
    DAY_NS,
    FOLDER,
    HOUR_NS,
    LONG_AFTER,
    SPAN,
    Played,
    expected_rows,
    rows_of,
    steps,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import BASE_NS, POINTS

from penstock.historian import Historian
from penstock.historian.compaction import is_due
from penstock.historian.compaction_plan import is_day_file
from penstock.historian.envelope import envelope, grid_of
from penstock.historian.query import raw
from penstock.model import Frame
from penstock.testing import frame

DAY_BEGIN = BASE_NS // DAY_NS * DAY_NS


@given(script=steps)
@settings(max_examples=150, deadline=None)
def test_every_answer_is_that_of_the_oracle(script: list[Frame | str]) -> None:
    """Duplicates, corrections, late rows, text, int64, as of every sequence."""
    played = Played(script)

    expected = played.expected()
    answers = played.answers()

    assert {key: rows for key, rows in expected.items() if key in answers} == answers
    for point in ALL_POINTS:
        rows, _ = raw(played.pin(), point, *SPAN, 10_000)
        assert expected_rows(played.oracle.visible(point)) == rows_of(rows)
    for (point, sequence), found in expected.items():
        rows, _ = raw(played.pin().at_sequence(sequence), point, *SPAN, 10_000)
        assert found == rows_of(rows)


@given(script=steps, begin=st.integers(-50, 30), hours=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_nothing_differs_before_and_after(
    script: list[Frame | str], begin: int, hours: int
) -> None:
    played = Played(script)
    played.flush()
    from_ns = BASE_NS + begin * HOUR_NS
    grid = grid_of(from_ns, from_ns + hours * HOUR_NS, 40)
    numbers = POINTS["float"] + POINTS["int"]
    before = played.answers()
    pens = [envelope(played.pin(), point, grid) for point in numbers]
    last = [played.historian.last.rows([point]).value(0) for point in ALL_POINTS]

    played.compact_all()

    assert before == played.answers()
    for point, pen in zip(numbers, pens, strict=True):
        found = envelope(played.pin(), point, grid)
        np.testing.assert_array_equal(pen.minimum, found.minimum)
        np.testing.assert_array_equal(pen.maximum, found.maximum)
        np.testing.assert_array_equal(pen.quality, found.quality)
        np.testing.assert_equal(pen.before, found.before)
        assert list(pen.gaps) == list(found.gaps)
        assert pen.rows == found.rows
    np.testing.assert_equal(
        last, [played.historian.last.rows([point]).value(0) for point in ALL_POINTS]
    )
    played.historian.forget_replaced()
    assert played.listed() == played.files()
    again = Historian.open(played.disk, FOLDER, played.settings)
    assert again.manifest.segments == played.historian.manifest.segments


def second(point: int, begin_ns: int, rows: int, step_ns: int = 10**9) -> Frame:
    times = begin_ns + np.arange(rows) * step_ns
    return frame(point, times.tolist(), (np.arange(rows) % 100 / 4).tolist())


def flushed(*frames: Frame, **settings: int) -> Played:
    """One raw segment a frame."""
    played = Played((), **settings)
    for one in frames:
        played.play(one)
        played.flush()
    return played


def days_of(played: Played) -> list[int]:
    return sorted(
        (info.first_ns - DAY_BEGIN) // DAY_NS
        for info in played.historian.manifest.segments
        if is_day_file(info)
    )


def test_a_file_holds_rows_of_one_day() -> None:
    played = flushed(
        second(1, DAY_BEGIN - 100 * 10**9, 200),
        second(2, DAY_BEGIN - 50 * 10**9, 100),
    )

    played.compact_all()

    assert [-1, 0] == days_of(played)
    for info in played.historian.manifest.segments:
        assert info.first_ns // DAY_NS == info.last_ns // DAY_NS
        assert 1 == info.generation


def test_young_rows_stay_raw_and_follow_later() -> None:
    """Rows of the last ten minutes are still arriving; a file ends with a whole hour."""
    hour = DAY_BEGIN + 5 * HOUR_NS
    played = flushed(
        second(1, hour - 3_600 * 10**9, 1_800),
        second(1, hour - 1_800 * 10**9, 3_000),
        second(2, hour + 600 * 10**9, 100),
    )

    assert not played.compact(hour + 599 * 10**9)
    assert played.compact(hour + 1_200 * 10**9)

    raws = [i for i in played.historian.manifest.segments if not is_day_file(i)]
    [day] = [i for i in played.historian.manifest.segments if is_day_file(i)]
    assert day.last_ns < hour == min(info.first_ns for info in raws)
    assert [1_200, 100] == [info.rows for info in raws]
    played.play(second(1, hour + 1_200 * 10**9, 100))
    played.flush()
    played.compact_all()
    assert all(map(is_day_file, played.historian.manifest.segments))


def test_where_much_comes_nobody_waits_for_the_hour() -> None:
    hour = DAY_BEGIN + 5 * HOUR_NS
    frames = [second(1, hour + n * 100 * 10**9, 100) for n in range(12)]
    played = flushed(*frames)
    now = hour + 30 * 60 * 10**9

    assert played.compact(now)

    [day] = [i for i in played.historian.manifest.segments if is_day_file(i)]
    assert day.last_ns < now - 600 * 10**9
    assert day.rows == 1_200


def test_late_rows_wait_until_they_are_worth_a_generation() -> None:
    played = flushed(
        second(1, DAY_BEGIN, 10_000),
        second(2, DAY_BEGIN, 10_000),
    )
    played.compact_all()
    [day] = played.historian.manifest.segments
    for number in range(6):
        played.play(second(3, DAY_BEGIN + number * 10**12, 100))
        played.play(second(4, DAY_BEGIN + DAY_NS + number * 10**12, 5_000))
        played.flush()
        played.compact()
        assert day in played.historian.manifest.segments
    assert 600 == sum(i.rows for i in played.historian.manifest.segments if not is_day_file(i))

    played.play(second(3, DAY_BEGIN + 10**13, 2_000))
    played.flush()
    played.compact_all()

    generations = [
        info.generation
        for info in played.historian.manifest.segments
        if info.first_ns // DAY_NS == DAY_BEGIN // DAY_NS
    ]
    assert [3] == generations


def test_files_of_a_day_become_one_when_it_is_over() -> None:
    """Chunks that overlap no other keep their bytes."""
    played = Played()
    now = DAY_BEGIN + 6 * HOUR_NS
    for hour in range(0, 4, 2):
        for half in range(2):
            begin = DAY_BEGIN + (2 * hour + half) * HOUR_NS
            played.play(second(1, begin, 3_600))
            played.play(second(2, begin, 60, 60 * 10**9))
            played.flush()
            now = begin + 2 * HOUR_NS
        played.compact(now)
    assert [0, 0] == days_of(played)
    before = chunk_bytes(played, 1)

    played.compact_all(now + DAY_NS)

    [info] = played.historian.manifest.segments
    assert 5 == info.generation
    assert before == chunk_bytes(played, 1)
    assert 1 == len(chunk_bytes(played, 2))


def chunk_bytes(played: Played, point: int) -> set[bytes]:
    found = set()
    for info in played.historian.manifest.segments:
        table = played.historian._store.table(info)
        assert table is not None
        for chunk in table.of(point):
            at, size = int(table.offset[chunk]), int(table.bytes[chunk])
            found.add(played.disk.read(FOLDER / info.name, at, size))
    return found


def test_chunks_of_a_dense_point_end_with_the_hour() -> None:
    """900 rows an hour: an hourly mean comes from the table alone."""
    played = flushed(
        second(1, DAY_BEGIN + HOUR_NS // 2, 3_600),
        second(1, DAY_BEGIN + 3 * HOUR_NS // 2, 3_600),
        second(2, DAY_BEGIN, 1_000, 10 * 10**9),
        second(3, DAY_BEGIN, 40_000, 10**7),
    )

    played.compact_all()

    [info] = played.historian.manifest.segments
    table = played.historian._store.table(info)
    assert table is not None
    hours = [(int(table.first_ns[c]) - DAY_BEGIN) // HOUR_NS for c in table.of(1)]
    assert [0, 1, 2] == hours
    assert [1_000] == [int(table.rows[c]) for c in table.of(2)]
    assert [16_384, 16_384, 7_232] == [int(table.rows[c]) for c in table.of(3)]


def test_a_point_larger_than_a_block_is_cut_by_time(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("penstock.historian.compaction_blocks.BLOCK_ROWS", 500)
    played = flushed(
        second(1, DAY_BEGIN, 3_000),
        second(1, DAY_BEGIN + 500, 3_000),
        second(1, DAY_BEGIN + 2_000 * 10**9, 3_000),
        second(2, DAY_BEGIN, 10),
    )
    before = played.answers()

    played.compact_all()

    assert before == played.answers()
    assert 1 == len(played.historian.manifest.segments)


def test_nothing_to_do_is_said_without_reading() -> None:
    played = flushed(second(1, DAY_BEGIN, 100))
    assert not is_due(played.historian.manifest, played.settings, LONG_AFTER)
    assert played.proposal() is None

    played.play(second(1, DAY_BEGIN + HOUR_NS, 100))
    played.flush()

    assert is_due(played.historian.manifest, played.settings, LONG_AFTER)
    assert not is_due(played.historian.manifest, played.settings, DAY_BEGIN)
    played.compact_all()
    assert not is_due(played.historian.manifest, played.settings, LONG_AFTER)


def test_many_points_are_compacted_a_few_segments_at_a_time(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Chunk tables have to fit into memory; a day whose files do not stays in several."""
    monkeypatch.setattr("penstock.historian.compaction_plan.CHUNKS_MAX", 50)
    times = [DAY_BEGIN + n * 10**9 for n in range(20)]
    played = flushed(*(frame(list(range(20)), times, [float(n)] * 20) for n in range(6)))
    before = played.answers()

    played.compact_all()

    assert before == played.answers()
    assert all(map(is_day_file, played.historian.manifest.segments))
    assert 3 == len(played.historian.manifest.segments)
    assert not is_due(played.historian.manifest, played.settings, LONG_AFTER)
