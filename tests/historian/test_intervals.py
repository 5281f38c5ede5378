"""Intervals of a width and of the calendar, with the days on which clocks are changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.historian.intervals import INTERVALS_MAX, of_calendar, of_width, whole
from penstock.model import Refused
from penstock.model.time import HOUR_NS, SECOND_NS, parse_ns


def hours(begin: str, end: str, unit: str, zone: str) -> list[float]:
    found = of_calendar(parse_ns(begin), parse_ns(end), unit, zone)  # type: ignore[arg-type]
    return [float(width / HOUR_NS) for width in found.width_ns]


def test_a_day_has_23_hours_when_summer_begins_and_25_when_it_ends() -> None:
    """Berlin, 2026: the clock jumps on 29 March and on 25 October."""
    berlin = "Europe/Berlin"
    spring = hours("2026-03-27T23:00:00Z", "2026-03-30T22:00:00Z", "day", berlin)
    autumn = hours("2026-10-23T22:00:00Z", "2026-10-26T23:00:00Z", "day", berlin)

    assert [24, 23, 24] == spring
    assert [24, 25, 24] == autumn
    assert [167] == hours("2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z", "week", berlin)
    assert [745] == hours("2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z", "month", berlin)


def test_an_hour_is_an_hour_even_when_it_comes_twice() -> None:
    found = hours("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "hour", "Europe/Berlin")

    assert [1] * 25 == found


def test_where_the_clock_moves_by_half_an_hour_one_hour_is_longer() -> None:
    """Lord Howe: on 5 April 2026 the half hour from 1:30 to 2:00 comes twice."""
    day = hours("2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z", "day", "Australia/Lord_Howe")
    parts = hours("2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z", "hour", "Australia/Lord_Howe")

    assert [24.5] == day
    assert 24.5 == sum(parts)
    assert {0.5, 1} >= set(parts) - {1.5}


def test_a_midnight_that_does_not_exist_is_the_moment_of_the_jump() -> None:
    """Beirut, 29 March 2026: 24:00 becomes 1:00, so the day begins then and has 23 hours."""
    found = of_calendar(
        parse_ns("2026-03-27T22:00:00Z"), parse_ns("2026-03-29T21:00:00Z"), "day", "Asia/Beirut"
    )

    assert [24, 23] == (found.width_ns / HOUR_NS).tolist()


def test_the_span_cuts_the_first_and_the_last_interval() -> None:
    found = of_width(5 * SECOND_NS, 25 * SECOND_NS, 10 * SECOND_NS)
    month = of_calendar(
        parse_ns("2026-02-10T00:00:00Z"), parse_ns("2026-03-01T00:00:00Z"), "month", "UTC"
    )

    assert [5, 10, 20, 25] == (found.edges / SECOND_NS).tolist()
    assert [True, False, True] == found.is_cut.tolist()
    assert [True] == month.is_cut.tolist()
    assert [False] == whole(1, 2).is_cut.tolist()


@given(begin=st.integers(-(2**62), 2**62 - 10**9), span=st.integers(1, 10**9))
def test_intervals_of_a_width_cover_the_span(begin: int, span: int) -> None:
    found = of_width(begin, begin + span, 10**6)

    assert (begin, begin + span) == (found.begin_ns, found.end_ns)
    assert (found.width_ns > 0).all()
    inner = found.edges[1:-1]
    assert (inner % 10**6 == 0).all()
    assert np.array_equal(np.arange(len(found)), found.of(found.edges[:-1]))


@pytest.mark.parametrize("zone", ["", "Mars", "../UTC", "/etc/passwd", "Europe", "UTC\0"])
def test_what_is_no_zone_is_refused(zone: str) -> None:
    with pytest.raises(Refused):
        of_calendar(0, 1, "day", zone)


def test_too_many_intervals_are_refused() -> None:
    with pytest.raises(Refused):
        of_width(0, (INTERVALS_MAX + 1) * 10**6, 10**6)
    with pytest.raises(Refused):
        of_calendar(0, 2**61, "hour", "UTC")
