"""Times at the edge: nine digits, a zone, and nothing that int64 cannot hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model.time import TIME_NS_MAX, TIME_NS_MIN, format_ns, parse_ns


@given(st.integers(TIME_NS_MIN, TIME_NS_MAX))
def test_every_time_survives(time_ns: int) -> None:
    assert time_ns == parse_ns(format_ns(time_ns))


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01 00:00:00.5z", 500_000_000),
        ("1970-01-01T01:00:00.000000001+01:00", 1),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("2262-04-11T23:47:16.854775807Z", TIME_NS_MAX),
    ],
)
def test_what_is_a_time(text: str, time_ns: int) -> None:
    assert time_ns == parse_ns(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026-11-25", "2026-11-25T10:00:00", "2026-11-25T10:00Z",
        "2026-13-25T10:00:00Z", "2026-11-25T25:00:00Z", "2026-11-25T10:00:60Z",
        "2026-11-25T10:00:00.0000000001Z", "2026-11-25T10:00:00Z ", "2026-11-25T10:00:00+1:00",
        "9999-12-31T00:00:00Z", "0001-01-01T00:00:00Z", "2262-04-11T23:47:16.854775808Z",
    ],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_ns(text)
