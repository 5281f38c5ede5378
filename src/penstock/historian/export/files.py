"""One export as a file: point by point in the order of their paths, each in time order.

A few chunks are in memory at a time, however many rows there are. CSV has the cells of
`GET /trend.csv`; Arrow and Parquet have the columns of the SQL table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penstock.historian.answer import CsvPoint
from penstock.historian.sql.bounds import Box
from penstock.historian.sql.scan import Samples, Selection
from penstock.historian.sql.sink import SAMPLES_CSV, write

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.historian.query import Snapshot
    from penstock.historian.sql.bounds import Span
    from penstock.historian.sql.catalogue import Catalogue

FORMATS = ("csv", "arrow", "parquet")
ROWS_MAX = 2**62
COLUMNS = frozenset(
    {
        "point", "path", "unit", "simulated", "time", "value", "value_int", "value_text", "quality",
        "quality_code", "flags", "sequence",
    }
)  # fmt: skip
"""Columns of Arrow and Parquet, of those of `samples`."""


@dataclass(frozen=True, slots=True)
class Export:
    """What is to be written: samples of all points of the catalogue with from <= time < to."""

    catalogue: Catalogue
    span: Span
    kind: str


def samples_of(export: Export, snapshot: Snapshot, check: Callable[[], None]) -> Samples:
    """Its rows as an Arrow stream; `check` raises to end it."""
    points = len(export.catalogue)
    every = Box(np.ones(points, bool), export.span)
    selection = Selection.of([every], points)
    samples = Samples(snapshot, export.catalogue, selection, COLUMNS, ROWS_MAX)
    samples.check = check
    return samples


def write_export(
    export: Export,
    snapshot: Snapshot,
    path: Path,
    report: Callable[[int, int], None] = lambda _done, _total: None,
) -> int:
    """Write the file; `report` is told (rows done, rows at most). The number of rows.

    Refused("sql_too_large") when the file grows over its limit, "disk_full".
    """
    samples = samples_of(export, snapshot, lambda: None)
    total = samples.rows_expected()
    report(0, total)
    kind = SAMPLES_CSV if export.kind == "csv" else export.kind
    return write(samples, kind, path, ROWS_MAX, lambda done: report(done, total)).rows


def csv_points(catalogue: Catalogue) -> list[CsvPoint]:
    """The points as CSV names them."""
    columns = zip(
        catalogue.handle.tolist(),
        catalogue.texts("path"),
        catalogue.texts("unit"),
        catalogue.columns["simulated"],
        strict=True,
    )
    return [CsvPoint(handle, path, unit, bool(fake)) for handle, path, unit, fake in columns]
