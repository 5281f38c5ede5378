"""Exports as files: the same rows in every format, a few chunks at a time."""

from __future__ import annotations

import csv
import io
import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import duckdb
import nanoarrow as na
import numpy as np
import pytest
from local_job import LocalJob
from sql_kit import DAY, POINTS, T0, VISIBLE, Plant, S

from penstock.historian import Historian
from penstock.historian.answer import csv_rows
from penstock.historian.export.files import Export, csv_points, write_export
from penstock.historian.export.handler import write_export_file
from penstock.historian.sql.catalogue import bitmap_of
from penstock.model import Flag, Refused
from penstock.model.time import format_ns

SPAN = (0, T0 + DAY)


@pytest.fixture
def plant(open_historian: Callable[..., Historian]) -> Plant:
    """Values of each kind, some in a segment and some in memory, and a foreign point."""
    plant = Plant(open_historian())
    plant.put(1, [0, T0 + 1, T0 + 2], [-0.0, math.inf, 0.1], flags=[0, 0, Flag.HISTORICAL])
    plant.put(5, [T0], [42.0])
    plant.flush()
    plant.put(3, [T0, T0 + 1], [2**53 + 1, -(2**63)])
    plant.put(4, [T0, T0 + DAY], ["=1+1", "too late"])
    return plant


def export(plant: Plant, kind: str, path: Path) -> int:
    snapshot = plant.historian.pin(VISIBLE.handle.tolist())
    return write_export(Export(VISIBLE, SPAN, kind), snapshot, path)


def test_parquet_has_every_sample_exact(plant: Plant, tmp_path: Path) -> None:
    path = tmp_path / "all.parquet"

    assert 6 == export(plant, "parquet", path)
    found = duckdb.sql(
        f"SELECT path, epoch_ns(time), value, value_int, value_text, quality, flags FROM '{path}'"
    ).fetchall()

    assert [
        ("plant/pump/count", T0, 2.0**53, 2**53 + 1, None, "good", 0),
        ("plant/pump/count", T0 + 1, -(2.0**63), -(2**63), None, "good", 0),
        ("plant/pump/state", T0, None, None, "=1+1", "good", 0),
        ("plant/tank/level", 0, -0.0, None, None, "good", 0),
        ("plant/tank/level", T0 + 1, math.inf, None, None, "good", 0),
        ("plant/tank/level", T0 + 2, 0.1, None, None, "good", 4),
    ] == found
    assert -1.0 == math.copysign(1, found[3][2])


def test_arrow_has_the_same_rows_as_parquet(plant: Plant, tmp_path: Path) -> None:
    export(plant, "parquet", tmp_path / "a.parquet")
    export(plant, "arrow", tmp_path / "a.arrows")

    parquet = duckdb.sql(
        f"SELECT path, value, value_int, value_text, sequence FROM '{tmp_path}/a.parquet'"
    ).fetchall()
    rows = na.ArrayStream.from_path(tmp_path / "a.arrows").read_all()
    names = [field.name for field in na.Schema(rows.schema).fields]
    columns = {
        name: list(rows.child(place).iter_py())
        for place, name in enumerate(names)
        if name != "time"
    }

    assert parquet == list(
        zip(
            *(columns[name] for name in ("path", "value", "value_int", "value_text", "sequence")),
            strict=True,
        )
    )


def test_csv_is_what_the_trend_gives(plant: Plant, tmp_path: Path) -> None:
    """Cell by cell; two programs write it, because the trend must not need compute."""
    plant.put(2, [T0, T0 + 1, T0 + 2], [1e16, 1e-7, 123456789.125])
    plant.put(4, [T0 + 1, T0 + 2, T0 + 3], ["", 'a,"b"\nc', "-x"])
    path = tmp_path / "all.csv"
    rows = export(plant, "csv", path)
    snapshot = plant.historian.pin(VISIBLE.handle.tolist())
    trend = b"".join(csv_rows(snapshot, csv_points(VISIBLE), *SPAN))

    cells = list(csv.reader(io.StringIO(path.read_text("utf-8"), newline="")))
    assert list(csv.reader(io.StringIO(trend.decode(), newline=""))) == cells
    assert 12 == rows == len(cells) - 1
    assert [format_ns(T0), "plant/pump/state", "'=1+1", "good", "", "false"] in cells


def test_row_groups_are_bounded(plant: Plant, tmp_path: Path) -> None:
    plant.put(2, T0 + np.arange(300_000) * 1_000, np.arange(300_000) * 0.5)

    export(plant, "parquet", tmp_path / "a.parquet")
    groups = duckdb.sql(
        "SELECT DISTINCT row_group_id, row_group_num_rows "
        f"FROM parquet_metadata('{tmp_path}/a.parquet') ORDER BY 1"
    ).fetchall()

    assert 300_006 == sum(rows for _, rows in groups)
    assert max(rows for _, rows in groups) <= 131_072


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(plant: Plant, tmp_path: Path) -> None:
    """Python's own memory for 20 segments of 100,000 rows is that of a few chunks."""
    for part in range(20):
        times = T0 + (part * 100_000 + np.arange(100_000)) * 1_000
        plant.put(2, times, np.arange(100_000) * 0.25)
        plant.flush()
    snapshot = plant.historian.pin(VISIBLE.handle.tolist())
    tracemalloc.start()
    try:
        rows = write_export(Export(VISIBLE, SPAN, "arrow"), snapshot, tmp_path / "a.arrows")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 2_000_006 == rows
    assert peak < 60 * 1024 * 1024


# --- in compute


@pytest.fixture
def job(plant: Plant, tmp_path: Path) -> LocalJob:
    job = LocalJob(plant, tmp_path)
    (job.spool.folder / "points.json").write_bytes(VISIBLE.encode())
    return job


def fields(kind: str, to_ns: int = SPAN[1]) -> dict[str, object]:
    handles = bitmap_of([point.handle for point in POINTS])
    return {
        "format": kind,
        "from_ns": SPAN[0],
        "to_ns": to_ns,
        "handles": handles,
        "catalogue": "points.json",
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
def test_compute_writes_into_the_spool(job: LocalJob, kind: str) -> None:
    facts = write_export_file(job, fields(kind))

    assert 6 == facts["row_count"]
    assert "5" != facts["sequence"] == "4"
    assert [facts["file"]] == job.left_over()
    assert job.progress == {"done": 0, "total": job.progress["total"]} or job.progress["done"] <= 6
    assert ["pin", "release"] == job.asked


@pytest.mark.slow
def test_a_cancelled_export_leaves_nothing(job: LocalJob) -> None:
    job.is_cancelled = True

    with pytest.raises(Refused) as refused:
        write_export_file(job, fields("parquet"))

    assert "cancelled" == refused.value.code
    assert [] == job.left_over()
    assert set() == job.pins


@pytest.mark.slow
def test_an_export_larger_than_the_spool_is_refused(job: LocalJob) -> None:
    job.plant.put(2, T0 + np.arange(200_000) * S // 10, np.random.default_rng(1).random(200_000))
    job.spool.free_bytes = lambda: 1024  # type: ignore[method-assign]

    with pytest.raises(Refused) as refused:
        write_export_file(job, fields("arrow", T0 + 400 * DAY))

    assert "sql_too_large" == refused.value.code
    assert [] == job.left_over()
