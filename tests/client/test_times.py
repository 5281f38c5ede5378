"""Times as callers write them: always one moment, and never a guess."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from penstock.client.times import Time, time_ns

NOW_NS = 1_790_000_000_000_000_000
LOCAL = datetime(2026, 1, 1)  # noqa: DTZ001 - that is what is tested


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("15m", NOW_NS - 900 * 10**9),
        ("7d", NOW_NS - 7 * 86_400 * 10**9),
        ("2026-11-25T23:36:53.000000001Z", 1_795_649_813_000_000_001),
        ("2026-11-26T00:36:53+01:00", 1_795_649_813_000_000_000),
        (17, 17),
        (datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 0),
        (datetime(2026, 11, 25, 23, 36, 53, 1, tzinfo=UTC), 1_795_649_813_000_001_000),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), -1_000),
        (pd.Timestamp(1_795_649_813_123_456_789, tz="Europe/Berlin"), 1_795_649_813_123_456_789),
        (pd.Timestamp(-1, tz="UTC"), -1),
        (np.datetime64(1_795_649_813_123_456_789, "ns"), 1_795_649_813_123_456_789),
        (np.datetime64("2026-11-25"), 1_795_564_800_000_000_000),
    ],
    ids=str,
)
def test_a_time_is_one_moment(time: Time, expected: int) -> None:
    assert expected == time_ns(time, NOW_NS)


@pytest.mark.parametrize(
    "time", [LOCAL, pd.Timestamp("2026-01-01"), "2026-01-01", "2020", "5w", ""]
)
def test_a_time_without_a_zone_is_refused(time: Time) -> None:
    with pytest.raises(ValueError, match=r"zone|RFC 3339"):
        time_ns(time, NOW_NS)


def test_what_is_no_time_is_said() -> None:
    with pytest.raises(TypeError, match="not a time"):
        time_ns(1.5, NOW_NS)  # type: ignore[arg-type]
