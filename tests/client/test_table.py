"""What the plant sends as Arrow arrives in pandas, polars, pyarrow and numpy bit for bit."""

from __future__ import annotations

import gc
import struct
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from penstock.client import History, Missing, Point, Points
from penstock.client.samples import decoded
from penstock.historian.columns import Columns
from penstock.historian.samples.page import Page, arrow_of
from penstock.model import Flag, Quality, TextColumn

T0 = 1_790_000_000_000_000_001
LONG_AGO, FAR = -(2**62), 4_102_444_800_123_456_789
FLOATS = [0.1, float("nan"), float("inf"), float("-inf"), -0.0, 5e-324, 1.7976931348623157e308]
INTS = [2**53 + 1, -(2**63), 2**63 - 1, 0, -1, 7, 8]
TEXTS = ["RUN", "", "ä\0b", "=cmd", "x" * 65_536, "\U0001f6b0", "end"]
TIMES = [LONG_AGO, -1, 0, 1, T0, T0 + 1, FAR]
NO_VALUE = 3
GOOD, BAD = int(Quality.GOOD), int(Quality.BAD_SENSOR_FAILURE)


def rows(value: object, times: list[int] = TIMES) -> Columns:
    """Row NO_VALUE has none."""
    count = len(times)
    quality, flags = np.full(count, GOOD, np.uint8), np.zeros(count, np.uint8)
    if count > NO_VALUE:
        quality[NO_VALUE], flags[NO_VALUE] = BAD, Flag.NO_VALUE
    return Columns(np.array(times, np.int64), value, quality, flags, np.ones(count, np.uint64))


def point(name: str, kind: str) -> Point:
    return Point(
        name, f"plant/{name}", name, name, "", kind, "m", "m", None, None, None, None, None, None,
        None, False, None, None, None, False, {},
    )  # fmt: skip


LEVEL = [point("level", "float")]
FLOAT_ROWS = np.array([*FLOATS[:NO_VALUE], np.nan, *FLOATS[NO_VALUE + 1 :]])


def history(points: list[Point], *parts: list[tuple[int, Columns]], zone: str = "UTC") -> History:
    """As if downloaded: each argument is a page."""
    found = [decoded(arrow_of(Page(part, None, 9))) for part in parts]
    gc.collect()
    return History(Points(points), found, 9, zone)


def floats() -> History:
    return history(LEVEL, [(0, rows(FLOAT_ROWS))])


def ints() -> History:
    return history([point("count", "int")], [(0, rows(np.array(INTS)))])


def texts() -> History:
    return history([point("state", "text")], [(0, rows(TextColumn.of(TEXTS)))])


def bits(values: list[float]) -> list[bytes]:
    return [struct.pack("d", value) for value in values]


# --- exact


def test_floats_keep_their_bits() -> None:
    told = floats()

    assert bits(list(FLOAT_ROWS)) == bits(told.numpy()["value"].tolist())
    assert bits(list(FLOAT_ROWS)) == bits(told.pandas()["value"].tolist())
    there = [*FLOATS[:NO_VALUE], *FLOATS[NO_VALUE + 1 :]]
    assert bits(there) == bits(told.polars()["value"].drop_nulls().to_list())
    assert bits(there) == bits(told.arrow()["value"].drop_null().to_pylist())


def test_no_value_is_null_and_a_number_that_is_none_is_not() -> None:
    """A NaN that arrives as a value would be one; the historian stores none such."""
    told = floats()

    assert [NO_VALUE] == np.flatnonzero(told.polars()["value"].is_null().to_numpy()).tolist()
    assert 1 == told.arrow()["value"].null_count
    assert told.arrow()["value"][NO_VALUE].as_py() is None


def test_integers_are_exact_and_may_lack() -> None:
    told = ints()
    expected = [None if row == NO_VALUE else value for row, value in enumerate(INTS)]

    assert "Int64" == str(told.pandas()["value"].dtype)
    assert expected == [None if v is pd.NA else v for v in told.pandas()["value"].tolist()]
    assert expected == told.polars()["value"].to_list()
    assert expected == told.arrow()["value"].to_pylist()
    assert expected == told.numpy()["value"].tolist()


def test_texts_are_exact_and_an_empty_one_is_not_nothing() -> None:
    told = texts()
    expected = [None if row == NO_VALUE else value for row, value in enumerate(TEXTS)]

    assert expected == [None if pd.isna(v) else v for v in told.pandas()["value"].tolist()]
    assert expected == told.polars()["value"].to_list()
    assert expected == told.arrow()["value"].to_pylist()
    assert expected == told.numpy()["value"].tolist()


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_times_keep_their_nanoseconds_and_get_their_zone(zone: str) -> None:
    told = history(LEVEL, [(0, rows(FLOAT_ROWS))], zone=zone)

    assert f"datetime64[ns, {zone}]" == str(told.pandas()["time"].dtype)
    assert TIMES == told.pandas()["time"].astype("int64").tolist()
    assert pl.Datetime("ns", zone) == told.polars()["time"].dtype
    assert TIMES == told.polars()["time"].to_physical().to_list()
    assert pa.timestamp("ns", zone) == told.arrow()["time"].type
    assert TIMES == told.arrow()["time"].cast(pa.int64()).to_pylist()
    assert TIMES == told.numpy()["time"].view(np.int64).tolist()


def test_a_time_on_the_clock_of_the_zone() -> None:
    told = history(LEVEL, [(0, rows(FLOAT_ROWS))], zone="Europe/Berlin").pandas()

    moment = told["time"].iloc[4]
    assert datetime.fromtimestamp(T0 // 10**9, ZoneInfo("Europe/Berlin")).hour == moment.hour
    assert 1 == moment.nanosecond


def test_quality_is_a_word_and_for_numpy_the_byte() -> None:
    told = floats()
    words = ["good"] * 3 + ["bad_sensor_failure"] + ["good"] * 3

    assert words == told.pandas()["quality"].tolist()
    assert words == told.polars()["quality"].to_list()
    assert words == told.arrow()["quality"].to_pylist()
    assert [GOOD] * 3 + [BAD] + [GOOD] * 3 == told.numpy()["quality"].tolist()
    assert len(Quality) == len(told.pandas()["quality"].cat.categories)


def test_a_quality_without_a_word_keeps_its_number() -> None:
    strange = rows(np.array([1.0]), [T0])
    strange.quality[:] = 77

    told = history(LEVEL, [(0, strange)])

    assert ["quality_77"] == told.pandas()["quality"].tolist()
    assert ["quality_77"] == told.polars()["quality"].to_list()


def test_an_answer_outlives_what_it_came_from() -> None:
    """Arrays look into buffers of nanoarrow; they must keep them."""
    values = floats().numpy()
    gc.collect()
    junk = [np.full(7, 3.0) for _ in range(10_000)]

    assert bits(list(FLOAT_ROWS)) == bits(values["value"].tolist())
    assert TIMES == values["time"].view(np.int64).tolist()
    assert 10_000 == len(junk)


# --- many points


def two_kinds() -> History:
    points = [point("count", "int"), point("level", "float"), point("state", "text")]
    return history(
        points,
        [(0, rows(np.array([2**53 + 1, 5]), [T0, T0 + 1]))],
        [(1, rows(np.array([0.5, 1.5]), [T0, T0 + 2]))],
        [(2, rows(TextColumn.of(["RUN"]), [T0 + 2]))],
    )


def test_points_of_several_kinds_have_a_column_a_kind() -> None:
    told = two_kinds().polars()

    assert ["path", "time", "value", "value_int", "value_text", "quality"] == told.columns
    assert [float(2**53), 5.0, 0.5, 1.5, None] == told["value"].to_list()
    assert [2**53 + 1, 5, None, None, None] == told["value_int"].to_list()
    assert [None, None, None, None, "RUN"] == told["value_text"].to_list()
    assert ["plant/count"] * 2 + ["plant/level"] * 2 + ["plant/state"] == told["path"].to_list()


def test_wide_is_a_row_a_moment_and_a_column_a_point() -> None:
    told = two_kinds().pandas(wide=True)

    assert ["plant/count", "plant/level", "plant/state"] == list(told.columns)
    assert [T0, T0 + 1, T0 + 2] == told.index.astype("int64").tolist()
    assert [2**53 + 1, 5, None] == [None if v is pd.NA else v for v in told["plant/count"]]
    assert [0.5, None, 1.5] == [None if np.isnan(v) else v for v in told["plant/level"]]
    assert [None, None, "RUN"] == [None if pd.isna(v) else v for v in told["plant/state"]]
    assert [0.5, None, 1.5] == two_kinds().polars(wide=True)["plant/level"].to_list()
    assert [2**53 + 1, 5, None] == two_kinds().arrow(wide=True)["plant/count"].to_pylist()


def test_wide_takes_the_last_of_several_samples_of_one_moment() -> None:
    told = history(LEVEL, [(0, rows(np.array([1.0, 2.0]), [T0, T0]))])

    assert [2.0] == told.pandas(wide=True)["plant/level"].tolist()


def test_a_point_over_many_pages_is_one() -> None:
    parts = [[(0, rows(np.array([float(n)]), [T0 + n]))] for n in range(5)]

    told = history(LEVEL, *parts)

    assert [0.0, 1.0, 2.0, 3.0, 4.0] == told.pandas()["value"].tolist()
    assert 5 == len(told.pandas(wide=True))


def test_no_sample_is_an_empty_frame_with_all_columns() -> None:
    told = history(LEVEL)

    assert ["path", "time", "value", "quality"] == list(told.pandas().columns)
    assert (0, 4) == told.polars().shape
    assert 0 == told.arrow().num_rows
    assert ["plant/level"] == list(told.pandas(wide=True).columns)


def test_units_and_sequence_come_along() -> None:
    told = floats().pandas()

    assert {"plant/level": "m"} == told.attrs["units"]
    assert 9 == told.attrs["sequence"]


def test_two_frames_can_be_joined() -> None:
    """The list of qualities is always the same."""
    both = pd.concat([floats().pandas(), ints().pandas()])

    assert "category" == str(both["quality"].dtype)
    assert 14 == pl.concat([floats().polars(), floats().polars()]).height


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "polars", None)

    with pytest.raises(Missing, match="pip install polars"):
        floats().polars()


def test_numpy_times_are_utc() -> None:
    moment = floats().numpy()["time"][4]

    assert np.datetime64(datetime.fromtimestamp(T0 // 10**9, UTC).replace(tzinfo=None), "s") == (
        moment.astype("datetime64[s]")
    )
