"""Bytes of each point from tables, and a forecast that admits what it does not know."""

from __future__ import annotations

import numpy as np
import pytest
from compacted import DAY_NS, FOLDER, LONG_AFTER, Played
from strategies import BASE_NS

from penstock.historian.segment import decode_table
from penstock.historian.size import DAYS, Growth, Sizes, decode, encode, forecast, measure
from penstock.testing import frame

TODAY = BASE_NS // DAY_NS
GB = 10**9


def sizes(played: Played, today: int = TODAY) -> Sizes:
    infos = played.historian.manifest.segments
    tables = [
        decode_table(played.disk.read(FOLDER / i.name, i.table_offset), i.table_offset)
        for i in infos
    ]
    return measure(tables, today)


def played(days: int, begin: int = 0) -> Played:
    """Point 1 with 1,000 rows and point 9 with 10 rows a day, up to yesterday."""
    made = Played()
    for day in range(TODAY - days, TODAY):
        times = [day * DAY_NS + begin + n * 1_000_000 for n in range(1_000)]
        made.play(frame(1, times, list(np.random.default_rng(day).normal(size=1_000))))
        made.play(frame(9, times[:10], [1.0] * 10))
        made.play("flush")
    made.compact_all(LONG_AFTER)
    return made


def test_every_row_and_byte_of_a_chunk_is_that_of_its_point() -> None:
    made = played(4)
    found = sizes(made)

    chunk_bytes = sum(info.table_offset - 64 for info in made.historian.manifest.segments)
    assert [1, 9] == found.handle.tolist()
    assert [4_000, 40] == found.rows.tolist()
    assert chunk_bytes == int(found.bytes.sum())
    assert found.daily_bytes.sum() == found.bytes.sum()
    assert [0, 0, 0, 0, 1_010, 1_010, 1_010, 1_010] == found.daily_rows.tolist()


def test_the_first_day_of_a_run_does_not_count_for_the_rate() -> None:
    """A node that was started at noon has half a day there."""
    assert [0, 0, 1, 2, 7] == [sizes(played(days)).days for days in (0, 1, 2, 3, 12)]


def test_a_break_ends_the_run() -> None:
    assert 0 == sizes(played(4), TODAY + 1).days


def test_sizes_travel_as_bytes() -> None:
    sent = sizes(played(3))
    found = decode(encode(sent))

    assert sent.today == found.today
    for name in ("handle", "rows", "bytes", "daily_bytes", "daily_rows"):
        np.testing.assert_array_equal(getattr(sent, name), getattr(found, name))


def test_nothing_is_said_of_less_than_a_whole_day() -> None:
    found = forecast([Growth(5, 1.0, None)], 100, 0)

    assert ("too_little", None, None) == (found.state, found.days_left, found.bytes_per_day)


@pytest.mark.parametrize(("days", "state"), [(1, "rough"), (2, "rough"), (3, "steady")])
def test_it_says_on_how_much_it_rests(days: int, state: str) -> None:
    found = forecast([Growth(0, 2.0 * GB, None)], 100 * GB, days)

    assert (state, days) == (found.state, found.days)
    assert 50.0 == pytest.approx(found.days_left)


def test_what_is_kept_for_a_limited_time_stops_to_grow() -> None:
    """1 GB a day for 90 days needs 90 GB and no more."""
    limited = Growth(40 * GB, 1.0 * GB, 90)

    assert "never" == forecast([limited], 60 * GB, 7).state
    assert 30.0 == pytest.approx(forecast([limited], 30 * GB, 7).days_left)
    both = [limited, Growth(0, 1.0 * GB, None)]
    assert 50.0 == pytest.approx(forecast(both, 100 * GB, 7).days_left)
    assert 70.0 == pytest.approx(forecast(both, 120 * GB, 7).days_left)


def test_a_plant_that_sends_nothing_is_never_full() -> None:
    assert "never" == forecast([Growth(5, 0.0, None)], 1, 7).state


def test_a_full_disk_is_full_now() -> None:
    assert 0.0 == pytest.approx(forecast([Growth(5, 1.0, None)], 0, 7).days_left, abs=1e-6)


def test_there_are_as_many_days_as_are_said() -> None:
    assert (2, DAYS) == sizes(played(3)).daily_bytes.shape
