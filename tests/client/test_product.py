"""The client against a whole running Penstock, over its Unix socket and over HTTPS."""

from __future__ import annotations

import threading
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from product import Product

from penstock.client import Cancelled, Client, NoSuchPoint, Problem, Unreachable
from penstock.client.history import History

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SPEED = "Lakeside Water/Intake/P-101/speed"
COUNTER = "Lakeside Water/Intake/P-101/run-hours"


def span_of(told: History) -> tuple[int, int]:
    """A span that is over: what is asked twice in it is the same twice."""
    times = told.numpy()["time"].view(np.int64)
    return int(times.min()), int(times.max()) + 1


@pytest.fixture(autouse=True)
def same_sockets(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", product.environment["XDG_RUNTIME_DIR"])


# --- points


def test_points_are_found_by_path_and_pattern(plant: Client) -> None:
    speeds = plant.points("*/speed")

    assert SPEED in speeds.paths
    assert all(path.endswith("/speed") for path in speeds.paths)
    assert [SPEED] == plant.points(SPEED).paths
    assert speeds.paths == plant.points([SPEED, "*/speed", speeds[0]]).paths
    assert len(plant.points()) == len(plant.points().pandas()) > len(speeds)


def test_a_pattern_that_fits_nothing_names_what_is_near(plant: Client) -> None:
    with pytest.raises(NoSuchPoint) as caught:
        plant.points(SPEED[:-1])

    assert SPEED in caught.value.near


@pytest.mark.parametrize("pattern", ["*P-101/s[pt]*", "Lakeside Water/*/P-10?/speed", "*ake/P-1*d"])
def test_the_plant_narrows_a_pattern_without_losing_any(plant: Client, pattern: str) -> None:
    expected = [path for path in plant.points().paths if fnmatchcase(path, pattern)]

    assert expected == plant.points(pattern).paths


# --- history


def test_history_is_what_the_plant_has(plant: Client) -> None:
    """Against the other way to read samples: JSON, a page of one point at a time."""
    told = plant.history(SPEED, "1h")
    begin, end = span_of(told)
    (point,) = plant.points(SPEED)
    query = {"from": str(begin), "to": str(end), "limit": "100000"}
    page = plant._session.get(f"/points/{point.id}/samples", query)

    frame = plant.history(SPEED, begin, end).pandas()

    assert page["time_ns"] == [str(time) for time in frame["time"].astype("int64")]
    assert page["value"] == frame["value"].tolist()
    assert [SPEED] == frame["path"].unique().tolist()


def test_small_pages_are_one_snapshot(plant: Client, product: Product) -> None:
    """All samples of 64 points row by row, while more of them arrive."""
    begin, end = span_of(plant.history("*", "1h"))
    whole = plant.history("*", begin, end)
    told: list[tuple[int, float]] = []
    with Client(home=product.home) as other:
        other.rows_at_once = 50
        pages = other.history(
            "*", begin, end, as_of=whole.sequence, progress=lambda *now: told.append(now)
        )

    assert whole.polars().equals(pages.polars())
    assert whole.sequence == pages.sequence
    assert len(told) > 10
    assert sorted(told) == told
    assert (len(whole), 1.0) == told[-1]


def test_many_kinds_of_points_in_one_call(plant: Client) -> None:
    told = plant.history("*/P-101/*", "1h")

    long, wide = told.pandas(), told.pandas(wide=True)
    assert {"value", "value_int"} < set(long.columns)
    assert "Int64" == str(wide[COUNTER].dtype)
    assert "float64" == str(wide[SPEED].dtype)
    assert wide.index.is_monotonic_increasing
    assert wide.index.is_unique


def test_aggregates_come_as_history(plant: Client) -> None:
    begin, end = span_of(plant.history(SPEED, "1h"))
    raw = plant.history(SPEED, begin, end).pandas()

    told = plant.history(SPEED, begin, end, aggregate="mean", zone="Europe/Berlin").pandas()

    assert raw["value"].mean() == pytest.approx(told["value"].iloc[0], rel=1e-12)
    assert "Europe/Berlin" == str(told["time"].dt.tz)
    with pytest.raises(ValueError, match="aggregate="):
        plant.history(SPEED, begin, end, every="1h")


def test_several_aggregates_side_by_side(plant: Client) -> None:
    begin, end = span_of(plant.history(SPEED, "1h"))
    raw = plant.history(SPEED, begin, end).pandas()

    told = plant.aggregate(SPEED, ["min", "max", "count"], begin, end).pandas()

    assert raw["value"].min() == told["min"].iloc[0]
    assert raw["value"].max() == told["max"].iloc[0]
    assert len(raw) == told["count"].iloc[0]
    assert begin == told["time"].astype("int64").iloc[0]
    assert end == told["end"].astype("int64").iloc[0]


def test_more_intervals_than_one_answer_holds(plant: Client) -> None:
    """Asked in parts that end where an interval ends: as if it had been one answer."""
    begin, end = span_of(plant.history(SPEED, "1h"))
    counts = plant.history(SPEED, end - 70_000 * 10**6, end, aggregate="count", every="1ms")
    samples = plant.history(SPEED, end - 70_000 * 10**6, end)

    frame = counts.pandas()
    assert 70_001 == len(frame)
    assert frame["time"].is_monotonic_increasing
    assert frame["time"].is_unique
    assert len(samples) == frame["value"].sum()
    assert begin < end


def test_newest_values_and_values_at_moments(plant: Client) -> None:
    newest = plant.last("*/P-101/*").pandas()
    at = plant.at(SPEED, ["1s", "2s"]).pandas()

    assert newest["path"].is_unique
    assert SPEED in newest["path"].tolist()
    assert 2 == len(at)
    assert ["good", "good"] == at["quality"].tolist()


def test_gaps_are_a_table(plant: Client) -> None:
    """Before the plant was started nothing is known of it."""
    told = plant.gaps("*/P-101/*", "1h")

    assert ["path", "begin", "end", "cause", "is_open"] == list(told.pandas().columns)


def test_sql_is_a_frame_in_each_library(plant: Client) -> None:
    answer = plant.sql(
        "SELECT path, count(*) AS n, max(time) AS newest, 1.50::DECIMAL(4,2) AS d, NULL::INT AS x,"
        f" {2**53 + 1}::BIGINT AS big FROM samples WHERE path = '{SPEED}' GROUP BY path"
    )

    frame, arrow = answer.pandas(), answer.arrow()
    assert ["path", "n", "newest", "d", "x", "big"] == list(frame.columns)
    assert [2**53 + 1] == frame["big"].tolist() == arrow["big"].to_pylist()
    assert "1.50" == str(frame["d"].iloc[0]) == str(arrow["d"][0].as_py())
    assert pd.NA is frame["x"].iloc[0]
    assert "datetime64[ns, UTC]" == str(frame["newest"].dtype)
    assert answer.polars()["n"].to_list() == frame["n"].tolist()


def test_an_answer_of_sql_that_was_cut_says_so(plant: Client) -> None:
    answer = plant.sql("SELECT * FROM range(10)", limit=3)

    assert answer.is_truncated
    assert 3 == len(answer)


def test_an_export_is_the_same_history(plant: Client, tmp_path: Path) -> None:
    begin, end = span_of(plant.history(SPEED, "1h"))
    expected = plant.history(SPEED, begin, end).polars()

    count = plant.export(tmp_path / "speed.parquet", SPEED, begin, end)

    written = pl.read_parquet(tmp_path / "speed.parquet")
    assert len(expected) == count == len(written)
    assert expected["value"].to_list() == written["value"].to_list()
    assert expected["time"].to_physical().to_list() == written["time"].to_physical().to_list()
    assert ["speed.parquet"] == [path.name for path in tmp_path.iterdir() if path.is_file()]


# --- what goes wrong


def test_a_refusal_has_code_detail_and_remedy(plant: Client) -> None:
    with pytest.raises(Problem) as caught:
        plant.sql("DROP TABLE samples")

    assert "sql_refused" == caught.value.code
    assert 400 <= caught.value.status < 500
    assert caught.value.detail in str(caught.value)
    assert caught.value.remedy in str(caught.value)


def test_nothing_that_answers_is_said(tmp_path: Path) -> None:
    with Client(home=tmp_path) as nobody, pytest.raises(Unreachable, match="Is Penstock running"):
        nobody.points()


def test_a_download_can_be_cancelled_from_another_thread(plant: Client, product: Product) -> None:
    with Client(home=product.home) as client:
        client.rows_at_once = 1

        def once(_rows: int, _share: float) -> None:
            threading.Thread(target=client.cancel).start()

        with pytest.raises(Cancelled):
            client.history("*", "1h", progress=once)
    assert len(plant.points())


def test_a_waveform_point_is_no_other_point(plant: Client) -> None:
    with pytest.raises(Problem) as caught:
        plant.block(SPEED, 5)

    assert "not_found" == caught.value.code
    assert 0 == len(plant.blocks(SPEED, "1h"))
