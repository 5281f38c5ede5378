"""History: how long questions take, how many times faster than DuckDB, and that they are right.

./dev bench history [--days 365] [--points 5000] [--keep FOLDER]
                    [--only queries cold writing imports]

The figures of one part do not depend on the others. Every answer is compared with numpy
on the generated rows. `imports` sends files through a real compute process, link and log.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from _history import (
    DAY_NS,
    DAY_S,
    FIRST_OF_MANY,
    HOUR_NS,
    ORIGIN,
    SECOND_NS,
    T0,
    YEAR_POINT,
    build,
    day_of_year_point,
    frame,
    opened,
    values_of_many,
)
from _import import imports
from _kit import memory_mb, percentile, run_parts, say

from penstock.codec.trend import EnvelopePen
from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.historian.aggregate import Options, aggregate
from penstock.historian.envelope import Grid, envelope, grid_of
from penstock.historian.gather import Needs, gather
from penstock.historian.intervals import of_width, whole
from penstock.historian.query import Snapshot, raw
from penstock.log import Log, LogSettings
from penstock.model import Batch, ValueKind
from penstock.world import SystemClock, SystemDisk

RUNS = 31
PX = 2_000
TOP = 10
ACK_PAIRS = 5
BARS = {
    "last_ms": "<= 1",
    "raw_1h_ms": "<= 2",
    "raw_1d_ms": "<= 8",
    "hourly_mean_30d_ms": "<= 10",
    "envelope_cold_ms": "<= 200",
    "ack_p99_ratio": "<= 2",
    "import_rows_per_s": ">= 1000000",
}
Figures = dict[str, object]


class Questions:
    """The questions of the bench to one historian; each gives what the oracle can judge."""

    def __init__(self, historian: Historian, days: int, points: int) -> None:
        self.historian = historian
        self.days, self.points = days, points
        self.end_ns = T0 + days * DAY_NS
        self.many = np.arange(FIRST_OF_MANY, FIRST_OF_MANY + points, dtype=np.uint32)

    def pin(self) -> Snapshot:
        return self.historian.pin([YEAR_POINT])

    def last(self) -> np.ndarray:  # type: ignore[type-arg]
        return self.historian.last.rows(self.many[:100]).bits.view(np.float64)

    def raw_1h(self) -> np.ndarray:  # type: ignore[type-arg]
        begin = self.end_ns - 7 * HOUR_NS
        return self.raw(self.pin(), begin, begin + HOUR_NS)

    def raw_1d(self) -> np.ndarray:  # type: ignore[type-arg]
        begin = self.end_ns - 2 * DAY_NS
        return self.raw(self.pin(), begin, begin + DAY_NS)

    @staticmethod
    def raw(snapshot: Snapshot, from_ns: int, to_ns: int) -> np.ndarray:  # type: ignore[type-arg]
        return raw(snapshot, YEAR_POINT, from_ns, to_ns, 100_000)[0].value  # type: ignore[return-value]

    def hourly_mean_30d(self) -> np.ndarray:  # type: ignore[type-arg]
        return self.hourly_mean(self.pin())

    def hourly_mean(self, snapshot: Snapshot) -> np.ndarray:  # type: ignore[type-arg]
        span = min(30, self.days - 1) * DAY_NS
        intervals = of_width(self.end_ns - DAY_NS - span, self.end_ns - DAY_NS, HOUR_NS)
        found = aggregate(snapshot, [YEAR_POINT], intervals, ["mean"], Options())
        return found[0].columns["mean"].value

    def grid(self) -> Grid:
        return grid_of(T0, self.end_ns, PX)

    def envelope(self) -> EnvelopePen:
        return envelope(self.pin(), YEAR_POINT, self.grid())

    def top10_by_deviation(self) -> np.ndarray:  # type: ignore[type-arg]
        """Handles of the points that scatter most over the last day."""
        intervals = whole(self.end_ns - DAY_NS, self.end_ns)
        snapshot = self.historian.pin(self.many)  # type: ignore[arg-type]
        cells = gather(snapshot, self.many, ValueKind.FLOAT, intervals, Needs(64)).cells
        deviation = np.sqrt(cells.m2 / cells.used)
        return self.many[np.argsort(-deviation)[:TOP]]


class Oracle:
    """The same from the generated rows, by numpy."""

    def __init__(self, questions: Questions) -> None:
        self._of = questions
        self._values = functools.cache(lambda day: day_of_year_point(day)[1])

    def last(self) -> np.ndarray:  # type: ignore[type-arg]
        return values_of_many(self._of.points)[:100, -1]

    def raw_1h(self) -> np.ndarray:  # type: ignore[type-arg]
        return self._values(self._of.days - 1)[17 * 3_600 : 18 * 3_600]

    def raw_1d(self) -> np.ndarray:  # type: ignore[type-arg]
        return self._values(self._of.days - 2)

    def hourly_mean_30d(self) -> np.ndarray:  # type: ignore[type-arg]
        first = self._of.days - 1 - min(30, self._of.days - 1)
        days = [
            self._values(day).reshape(24, 3_600).mean(1) for day in range(first, self._of.days - 1)
        ]
        return np.concatenate(days)

    def envelope(self) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
        grid = self._of.grid()
        low, high = np.full(grid.columns, np.inf), np.full(grid.columns, -np.inf)
        for day in range(self._of.days):
            times, values = day_of_year_point(day)
            column = (times - grid.t0_ns) // grid.dt_ns
            np.minimum.at(low, column, values)
            np.maximum.at(high, column, values)
        return low, high

    def top10_by_deviation(self) -> np.ndarray:  # type: ignore[type-arg]
        return FIRST_OF_MANY + np.argsort(-values_of_many(self._of.points).std(1))[:TOP]


def timed(call: Callable[[], object], runs: int = RUNS) -> tuple[float, float]:
    """(median ms, median CPU-ms) of a call; on a shared machine only the second is the code's."""
    call()
    wall, cpu = [], []
    for _ in range(runs):
        begin, began = time.perf_counter(), time.process_time()
        call()
        wall.append((time.perf_counter() - begin) * 1e3)
        cpu.append((time.process_time() - began) * 1e3)
    return statistics.median(wall), statistics.median(cpu)


def queries(options: argparse.Namespace) -> Figures:
    """Every question warm, against the oracle and against DuckDB."""
    asked = Questions(opened(options.folder), options.days, options.points)
    truth = Oracle(asked)
    figures: Figures = {}
    peer = options.folder.parent / "duckdb"
    ours: dict[str, tuple[float, float]] = {}
    for name in ("last", "raw_1h", "raw_1d", "hourly_mean_30d", "top10_by_deviation"):
        np.testing.assert_allclose(getattr(truth, name)(), getattr(asked, name)(), rtol=1e-12)
        ours[name] = timed(getattr(asked, name))
    low, high = truth.envelope()
    drawn = asked.envelope()
    np.testing.assert_array_equal(low, drawn.minimum)
    np.testing.assert_array_equal(high, drawn.maximum)
    ours["envelope_warm"] = timed(asked.envelope, 7)
    for name, (wall, cpu) in ours.items():
        figures[f"{name}_ms"], figures[f"{name}_cpu_ms"] = round(wall, 3), round(cpu, 3)
    figures["pss_mb"] = round(memory_mb(os.getpid(), "Pss"), 1)
    figures["bytes_per_sample"] = round(_bytes(options.folder) / _rows(asked), 3)
    figures["duckdb"] = _duckdb(peer, options, ours)
    return figures


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _rows(asked: Questions) -> int:
    return sum(info.rows for info in asked.historian.manifest.segments)


def _duckdb(
    folder: Path, options: argparse.Namespace, ours: Mapping[str, tuple[float, float]]
) -> Figures:
    """DuckDB in a process of its own on the same rows: its times, and how many times ours."""
    command = [sys.executable, str(Path(__file__).with_name("_history_duckdb.py")), str(folder)]
    command += [str(options.days), str(options.points)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    figures: Figures = {}
    for name, (wall, cpu) in json.loads(done.stdout).items():
        figures[f"{name}_ms"], figures[f"{name}_cpu_ms"] = round(wall, 3), round(cpu, 3)
        if name in ours:
            figures[f"{name}_ratio"] = round(wall / ours[name][0], 2)
            figures[f"{name}_ratio_cpu"] = round(cpu / max(ours[name][1], 1e-3), 2)
    return figures


def cold(options: argparse.Namespace) -> Figures:
    """The envelope of the whole year by new processes, nothing of the files in memory."""
    rows = []
    for _ in range(5):
        for path in options.folder.iterdir():
            file = os.open(path, os.O_RDONLY)
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)
        command = [sys.executable, __file__, "--cold", str(options.folder)]
        command += ["--days", str(options.days), "--points", str(options.points)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        rows.append(json.loads(done.stdout))
        say(f"cold: {done.stdout.strip()}")
    return {key: round(statistics.median(row[key] for row in rows), 3) for key in rows[0]}


def cold_once(options: argparse.Namespace) -> None:
    """What a new process does: open the manifest, pin, draw. Imports are not counted."""
    begin, began = time.perf_counter(), time.process_time()
    asked = Questions(opened(options.cold), options.days, options.points)
    opened_ms = (time.perf_counter() - begin) * 1e3
    begin = time.perf_counter()
    drawn = asked.envelope()
    envelope_ms = (time.perf_counter() - begin) * 1e3
    assert drawn.rows == options.days * DAY_S
    cpu_ms = (time.process_time() - began) * 1e3
    print(
        json.dumps(
            {
                "envelope_cold_ms": envelope_ms,
                "envelope_cold_open_ms": opened_ms,
                "envelope_cold_cpu_ms": cpu_ms,
                "envelope_samples_per_px": drawn.rows / PX,
            }
        )
    )


def writing(options: argparse.Namespace) -> Figures:
    """How long an acknowledgement takes alone, and with four clients that ask without a pause."""
    alone, busy, asked = [], [], 0
    for number in range(2 * ACK_PAIRS):
        with tempfile.TemporaryDirectory(dir=options.folder.parent) as name:
            clients = 4 if number % 2 else 0
            times, answers = asyncio.run(_acknowledge(Path(name), options, clients))
            (busy if clients else alone).append(times)
            asked += answers
    # Neighbours in time are compared, because the load of a shared machine changes.
    ratios = [percentile(b, 0.99) / percentile(a, 0.99) for a, b in zip(alone, busy, strict=True)]
    figures: Figures = {"ack_p99_ratio": round(statistics.median(ratios), 2)}
    for name, runs in (("alone", alone), ("busy", busy)):
        for share in (0.5, 0.99):
            found = statistics.median(percentile(times, share) for times in runs)
            figures[f"ack_{name}_p{share * 100:.0f}_ms"] = round(found, 3)
    figures["ack_queries_answered"] = asked
    return figures


async def _acknowledge(
    folder: Path, options: argparse.Namespace, clients: int
) -> tuple[list[float], int]:
    """Milliseconds from append to durable of 400 batches of 500 samples, one every 10 ms."""
    disk, clock = SystemDisk(), SystemClock()
    log = await Log.open(folder, disk=disk, clock=clock, origin=ORIGIN, settings=LogSettings())
    live = Historian.open(disk, folder / "segments", HistorianSettings())
    follower = HistorianWorker(live, log, clock)
    asked = Questions(opened(options.folder), options.days, options.points)
    # As the worker of the product answers: snapshots on the loop, two threads.
    pool = ThreadPoolExecutor(live.settings.query_threads)
    answers, is_over = [0], asyncio.Event()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(follower.run())
        for number in range(clients):
            group.create_task(_client(pool, asked, number, answers, is_over))
        times = await _produce(log)
        is_over.set()
        running.cancel()
    await follower.close(flush=False)
    pool.shutdown()
    await log.close()
    return times, answers[0]


async def _client(
    pool: ThreadPoolExecutor, asked: Questions, number: int, answers: list[int], over: asyncio.Event
) -> None:
    begin = asked.end_ns - 2 * DAY_NS
    questions: list[Callable[[Snapshot], object]] = [
        lambda snapshot: asked.raw(snapshot, begin, begin + DAY_NS),
        asked.hourly_mean,
        lambda snapshot: envelope(snapshot, YEAR_POINT, asked.grid()),
        lambda snapshot: asked.raw(snapshot, begin, begin + HOUR_NS),
    ]
    while not over.is_set():
        question = questions[number % len(questions)]
        await asyncio.get_running_loop().run_in_executor(pool, question, asked.pin())
        answers[0] += 1


async def _produce(log: Log, batches: int = 400) -> list[float]:
    points = np.arange(1, 501, dtype=np.uint32)
    values = np.zeros(500)
    times = []
    for number in range(1, batches + 1):
        item = frame(points, np.full(500, T0 + number * SECOND_NS), values)
        begin = time.perf_counter()
        await log.append_batch(Batch(ORIGIN, number, (item,)))
        times.append((time.perf_counter() - begin) * 1e3)
        await asyncio.sleep(0.01)
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--points", type=int, default=5_000)
    parser.add_argument("--keep", type=Path, help="Make the data here, or use it again.")
    parser.add_argument("--only", nargs="*", choices=list(PARTS))
    parser.add_argument("--cold", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cold:
        cold_once(options)
        return 0
    with tempfile.TemporaryDirectory() as name:
        options.folder = (options.keep or Path(name)) / "segments"
        if not options.folder.exists():
            say(f"making {options.days} days of 1 Hz and a day of {options.points} points")
            build(options.folder, options.days, options.points)
        return run_parts("history", PARTS, options, BARS)


PARTS = {"queries": queries, "cold": cold, "writing": writing, "imports": imports}

if __name__ == "__main__":
    sys.exit(main())
