"""DuckDB on the rows of the history bench: a table sorted by point and time, prepared queries.

Prints {question: [median ms, median CPU-ms]}; answers are compared with numpy's.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
from _history import DAY_NS, FIRST_OF_MANY, HOUR_NS, T0, YEAR_POINT, frames, values_of_many

RUNS = 15
TOP = 10
PX_WIDTH_NS = 6 * HOUR_NS


def build(path: Path, days: int, points: int) -> duckdb.DuckDBPyConnection:
    """Rows in arrival order first, then sorted as DuckDB prunes best."""
    database = duckdb.connect(str(path))
    database.execute("CREATE TABLE arrived (point UINTEGER, t BIGINT, v DOUBLE, q UTINYINT)")
    for item in frames(days, points):
        columns = {"point": item.point, "t": item.time_ns, "v": item.value, "q": item.quality}
        database.register("columns", columns)
        database.execute("INSERT INTO arrived SELECT point, t, v, q FROM columns")
        database.unregister("columns")
    database.execute("CREATE TABLE rows AS SELECT * FROM arrived ORDER BY point, t")
    database.execute("DROP TABLE arrived")
    database.execute("CHECKPOINT")
    return database


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
    end_ns = T0 + days * DAY_NS
    prepared = {
        "raw": "SELECT t, v, q FROM rows WHERE point = $1 AND t >= $2 AND t < $3 ORDER BY t",
        "hourly": f"SELECT t // {HOUR_NS} AS h, avg(v) AS v FROM rows "
        "WHERE point = $1 AND t >= $2 AND t < $3 GROUP BY h ORDER BY h",
        "envelope": f"SELECT t // {PX_WIDTH_NS} AS c, min(v) AS low, max(v) AS high FROM rows "
        "WHERE point = $1 AND t >= $2 AND t < $3 GROUP BY c ORDER BY c",
        "top": f"SELECT point, stddev_pop(v) AS d FROM rows WHERE point >= $1 AND t >= $2 "
        f"AND t < $3 GROUP BY point ORDER BY d DESC LIMIT {TOP}",
        "last": "SELECT point, arg_max(v, t) AS v FROM rows WHERE point >= $1 AND point < $2 "
        "AND t >= $3 GROUP BY point ORDER BY point",
    }
    for name, text in prepared.items():
        database.execute(f"PREPARE {name} AS {text}")

    def ask(name: str, *values: int) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
        numbers = ", ".join(map(str, values))
        return database.execute(f"EXECUTE {name}({numbers})").fetchnumpy()

    hour, day = end_ns - 7 * HOUR_NS, end_ns - 2 * DAY_NS
    span = min(30, days - 1) * DAY_NS
    top = ask("top", FIRST_OF_MANY, end_ns - DAY_NS, end_ns)["point"]
    expected = np.argsort(-values_of_many(points).std(1))[:TOP] + FIRST_OF_MANY
    assert (top == expected).all()
    return {
        "last": lambda: ask("last", FIRST_OF_MANY, FIRST_OF_MANY + 100, end_ns - DAY_NS),
        "raw_1h": lambda: ask("raw", YEAR_POINT, hour, hour + HOUR_NS),
        "raw_1d": lambda: ask("raw", YEAR_POINT, day, day + DAY_NS),
        "hourly_mean_30d": lambda: ask(
            "hourly", YEAR_POINT, end_ns - DAY_NS - span, end_ns - DAY_NS
        ),
        "envelope_warm": lambda: ask("envelope", YEAR_POINT, T0, end_ns),
        "top10_by_deviation": lambda: ask("top", FIRST_OF_MANY, end_ns - DAY_NS, end_ns),
    }


def main() -> None:
    path, days, points = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    database = duckdb.connect(str(path)) if path.exists() else build(path, days, points)
    asked = questions(database, days, points)
    print(json.dumps({name: timed(call) for name, call in asked.items()}))


if __name__ == "__main__":
    main()
