"""Rules of retention: which counts for a point, and what has expired at a moment."""

from __future__ import annotations

from uuid import UUID

import pytest
from pydantic import ValidationError

from penstock.historian.retention import (
    DAY_NS,
    Expiry,
    RetentionRule,
    expiries,
    first_fitting,
    keep_days,
    unused,
)
from penstock.model import Point, ValueKind
from penstock.model.time import parse_ns


def point(path: str, kind: ValueKind = ValueKind.FLOAT, handle: int = 1) -> Point:
    asset, _, name = path.rpartition("/")
    return Point(UUID(int=handle), handle, path, asset, name, kind)


def rules(*fields: dict[str, str]) -> list[RetentionRule]:
    return [RetentionRule(**item) for item in fields]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "days"), [("90d", 90), ("52w", 364), ("5y", 1_825), ("forever", None)]
)
def test_an_age_is_days_weeks_or_years(text: str, days: int | None) -> None:
    assert days == keep_days(text)


@pytest.mark.parametrize("text", ["", "90", "0d", "-1d", "1.5y", "90 d", "1m", "9999y", "always"])
def test_anything_else_is_said(text: str) -> None:
    with pytest.raises(ValidationError, match="is no age"):
        RetentionRule(keep=text)


def test_the_first_rule_that_fits_counts() -> None:
    found = rules(
        {"points": "Works/*/vibration", "keep": "forever"},
        {"kind": "waveform", "keep": "30d"},
        {"points": "Works/*", "asset_type": "Pump", "keep": "5y"},
        {"keep": "90d"},
    )

    assert 0 == first_fitting(found, point("Works/P1/vibration", ValueKind.WAVEFORM), "Pump")
    assert 1 == first_fitting(found, point("Works/P1/burst", ValueKind.WAVEFORM), "Pump")
    assert 2 == first_fitting(found, point("Works/P1/speed"), "Pump")
    assert 3 == first_fitting(found, point("Works/P1/speed"), None)
    assert 3 == first_fitting(found, point("system/log/rows"), None)


def test_without_a_rule_everything_is_kept_for_ever() -> None:
    assert first_fitting([], point("a/b"), None) is None
    assert [] == expiries([], [(point("a/b"), None)], 10**18)
    assert [] == expiries(rules({"keep": "forever"}), [(point("a/b"), None)], 10**18)


def test_what_expires_ends_with_a_whole_day() -> None:
    now_ns = parse_ns("2026-11-26T15:30:00Z")
    known = [(point("a/x", handle=4), None), (point("a/y", handle=2), None)]

    found = expiries(rules({"points": "a/*", "keep": "2d"}), known, now_ns)

    assert [Expiry(0, parse_ns("2026-11-24T00:00:00Z"), (2, 4))] == found
    assert 0 == found[0].before_ns % DAY_NS


def test_a_rule_that_counts_for_nothing_is_found() -> None:
    found = rules({"points": "a/*", "keep": "2d"}, {"points": "a/x", "keep": "9d"}, {"keep": "1y"})

    assert [1] == unused(found, [(point("a/x"), None), (point("b/x"), None)])
