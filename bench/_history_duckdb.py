"""DuckDB on the rows of the history bench: a table sorted by point and time, prepared queries.

It gets the rows as they are in the end, without those that were corrected, and a table of the
newest values with a key, as a program that keeps one would have it. Prints {question:
[median ms, median CPU-ms]}; answers are compared with numpy's. Its envelopes have no gaps.
"""

from __future__ import annotations

import functools
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
from _history import (
    DAY_NS,
    FIRST_OF_MANY,
    HOUR_NS,
    IRREGULAR_POINT,
    UNCERTAIN,
    YEAR_POINT,
    Spans,
    frames,
    irregular_day,
    irregular_from,
)
from _history_questions import KOLKATA, LAST_POINTS, PX, QUARTER_NS, TOP, Oracle, same

from penstock.historian.envelope import grid_of
from penstock.historian.intervals import of_calendar, of_width

RUNS = 15
Column = npt.NDArray[Any]
KOLKATA_NS = HOUR_NS // 2


def build(path: Path, days: int, points: int) -> duckdb.DuckDBPyConnection:
    """Rows in arrival order first, then sorted as DuckDB prunes best."""
    database = duckdb.connect(str(path))
    database.execute("CREATE TABLE arrived (point UINTEGER, t BIGINT, v DOUBLE, q UTINYINT)")
    for item in frames(days, points):
        if int(item.point[0]) != IRREGULAR_POINT:
            _insert(database, item.point, item.time_ns, item.value, item.quality)  # type: ignore[arg-type]
    for number in range(irregular_from(days), days):
        day = irregular_day(number)
        point = np.full(len(day.times), IRREGULAR_POINT, np.uint32)
        _insert(database, point, day.times, day.values, day.quality)
    database.execute("CREATE TABLE rows AS SELECT * FROM arrived ORDER BY point, t")
    database.execute("DROP TABLE arrived")
    database.execute(
        "CREATE TABLE newest (point UINTEGER PRIMARY KEY, t BIGINT, v DOUBLE, q UTINYINT)"
    )
    database.execute(
        "INSERT INTO newest SELECT point, max(t), arg_max(v, t), arg_max(q, t) FROM rows "
        "GROUP BY point ORDER BY point"
    )
    database.execute("CHECKPOINT")
    return database


def _insert(database: duckdb.DuckDBPyConnection, *columns: Column) -> None:
    named = dict(zip(("point", "t", "v", "q"), columns, strict=True))
    database.register("columns", named)
    database.execute("INSERT INTO arrived SELECT point, t, v, q FROM columns")
    database.unregister("columns")


def timed(call: Callable[[], object]) -> list[float]:
    """[median ms, median CPU-ms of all threads]."""
    call()
    wall, cpu = [], []
    for _ in range(RUNS):
        begin, began = time.perf_counter(), time.process_time()
        call()
        wall.append((time.perf_counter() - begin) * 1e3)
        cpu.append((time.process_time() - began) * 1e3)
    return [statistics.median(wall), statistics.median(cpu)]


def questions(
    database: duckdb.DuckDBPyConnection, days: int, points: int
) -> dict[str, Callable[[], object]]:
    """Prepared once; results as numpy arrays."""
    spans, truth = Spans(days), Oracle(days, points)
    prepared = {
        "raw": "SELECT t, v, q FROM rows WHERE point = $1 AND t >= $2 AND t < $3 ORDER BY t",
        "means": f"SELECT (t + $5) // $4 AS h, avg(v) FILTER (q >= {UNCERTAIN}) AS v FROM rows "
        "WHERE point = $1 AND t >= $2 AND t < $3 GROUP BY h ORDER BY h",
        "envelope": f"SELECT t // $4 AS c, min(v) FILTER (q >= {UNCERTAIN}) AS low, "
        f"max(v) FILTER (q >= {UNCERTAIN}) AS high, min(q) AS worst FROM rows "
        "WHERE point = $1 AND t >= $2 AND t < $3 GROUP BY c ORDER BY c",
        "top": "SELECT point, stddev_pop(v) AS d FROM rows WHERE point >= $1 AND t >= $2 "
        f"AND t < $3 GROUP BY point ORDER BY d DESC LIMIT {TOP}",
        "last": "SELECT t, v, q FROM newest WHERE point >= $1 AND point < $2 ORDER BY point",
    }
    for name, text in prepared.items():
        database.execute(f"PREPARE {name} AS {text}")

    def ask(name: str, *values: int) -> dict[str, Column]:
        numbers = ", ".join(map(str, values))
        answer = database.execute(f"EXECUTE {name}({numbers})")
        return answer.fetchnumpy()  # type: ignore[return-value]

    asked: dict[str, Callable[[], dict[str, Column]]] = {
        "last": lambda: ask("last", FIRST_OF_MANY, FIRST_OF_MANY + LAST_POINTS),
        "raw_1h": lambda: ask("raw", YEAR_POINT, *spans.hour),
        "raw_1d": lambda: ask("raw", YEAR_POINT, *spans.day),
        "irregular_raw_1d": lambda: ask("raw", IRREGULAR_POINT, *spans.day),
        "top10_by_deviation": lambda: ask(
            "top", FIRST_OF_MANY, spans.end_ns - DAY_NS, spans.end_ns
        ),
    }
    widths = {
        "hourly": (HOUR_NS, 0, of_width(*spans.month, HOUR_NS)),
        "15min": (QUARTER_NS, 0, of_width(*spans.month, QUARTER_NS)),
        "kolkata_hourly": (HOUR_NS, KOLKATA_NS, of_calendar(*spans.month, "hour", KOLKATA)),
    }
    for prefix, point in (("", YEAR_POINT), ("irregular_", IRREGULAR_POINT)):
        for name, (width, shift, intervals) in widths.items():
            call = functools.partial(ask, "means", point, *spans.month, width, shift)
            same(truth.means(point, intervals.edges), {"mean": np.ma.filled(call()["v"], np.nan)})
            asked[f"{prefix}{name}_mean_30d"] = call
        charts = {"zoom_8d": spans.eight_days}
        charts |= {"envelope_30d": spans.month} if prefix else {"envelope_warm": spans.year}
        for name, span in charts.items():
            width = grid_of(*span, PX).dt_ns
            asked[f"{prefix}{name}"] = functools.partial(ask, "envelope", point, *span, width)
    check(asked, truth)
    return dict(asked)


def check(asked: Mapping[str, Callable[[], dict[str, Column]]], truth: Oracle) -> None:
    """Its answers are those of the oracle."""
    assert (asked["top10_by_deviation"]()["point"] == truth.top10_by_deviation()["point"]).all()
    names = {"t": "time_ns", "v": "value", "q": "quality"}
    for name, expected in (
        ("last", truth.last()),
        ("irregular_raw_1d", truth.raw(IRREGULAR_POINT, truth.spans.day)),
    ):
        found = {names[key]: column for key, column in asked[name]().items()}
        same({key: expected[key] for key in found}, found)


def main() -> None:
    path, days, points = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    database = duckdb.connect(str(path)) if path.exists() else build(path, days, points)
    asked = questions(database, days, points)
    print(json.dumps({name: timed(call) for name, call in asked.items()}))


if __name__ == "__main__":
    main()
