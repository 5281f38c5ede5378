"""History: how long questions take, how many times faster than DuckDB, and that they are right.

./dev bench history [--days 365] [--points 5000] [--keep FOLDER]
                    [--only queries cold writing imports]

The figures of one part do not depend on the others. Every answer is compared with numpy
on the generated rows: times, values, quality and flags, columns and gaps. Beside the questions
that have a bar stand those that are harder: hours of a zone that are no hours of UTC, quarters
of an hour, charts whose columns are finer than a chunk, and a point with gaps, late and corrected
rows. `imports` sends files through a real compute process, link and log.
"""

from __future__ import annotations

import argparse
import asyncio
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
from _history import DAY_S, ORIGIN, SECOND_NS, T0, YEAR_POINT, build, frame, opened
from _history_questions import Oracle, Questions, answer_of, cases, is_telling, same
from _import import imports
from _kit import memory_mb, percentile, run_parts, say

from penstock.codec.trend import EnvelopePen
from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.historian.query import Snapshot
from penstock.log import Log, LogSettings
from penstock.model import Batch
from penstock.world import SystemClock, SystemDisk

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


def timed(call: Callable[[], object], runs: int) -> tuple[float, float]:
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
    truth = Oracle(options.days, options.points)
    is_telling(truth)
    figures: Figures = {}
    ours: dict[str, tuple[float, float]] = {}
    for name, (call, expected, runs) in cases(asked, truth).items():
        found = call()
        is_pen = isinstance(found, EnvelopePen)
        same(expected(), answer_of(found) if is_pen else found)  # type: ignore[arg-type]
        ours[name] = timed(call, runs)
        say(f"{name}: equal, {ours[name][0]:.3f} ms, {ours[name][1]:.3f} CPU-ms")
    for name, (wall, cpu) in ours.items():
        figures[f"{name}_ms"], figures[f"{name}_cpu_ms"] = round(wall, 3), round(cpu, 3)
    figures["pss_mb"] = round(memory_mb(os.getpid(), "Pss"), 1)
    figures["bytes_per_sample"] = round(_bytes(options.folder) / _rows(asked), 3)
    figures["duckdb"] = _duckdb(options.folder.parent / "duckdb-2", options, ours)
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
            figures[f"{name}_ratio_wall"] = round(wall / ours[name][0], 2)
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
    """What a new process does: open the manifest, pin, draw, all counted; Python's imports not."""
    begin, began = time.perf_counter(), time.process_time()
    asked = Questions(opened(options.cold), options.days, options.points)
    opened_ms = (time.perf_counter() - begin) * 1e3
    drawn = asked.envelope(asked.pin(), YEAR_POINT, asked.spans.year)
    cold_ms = (time.perf_counter() - begin) * 1e3
    cpu_ms = (time.process_time() - began) * 1e3
    assert drawn.rows == options.days * DAY_S
    columns = len(drawn.minimum)
    print(
        json.dumps(
            {
                "envelope_cold_ms": cold_ms,
                "envelope_cold_open_ms": opened_ms,
                "envelope_cold_cpu_ms": cpu_ms,
                "envelope_columns": columns,
                "envelope_samples_per_px": drawn.rows / columns,
            }
        )
    )


def writing(options: argparse.Namespace) -> Figures:
    """How long an acknowledgement takes alone, and with four clients that ask without a pause."""
    alone: list[list[float]] = []
    busy: list[list[float]] = []
    asked = 0
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
    spans = asked.spans
    questions: list[Callable[[Snapshot], object]] = [
        lambda snapshot: asked.raw(snapshot, YEAR_POINT, spans.day),
        asked.hourly_mean,
        lambda snapshot: asked.envelope(snapshot, YEAR_POINT, spans.year),
        lambda snapshot: asked.raw(snapshot, YEAR_POINT, spans.hour),
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
        options.folder = (options.keep or Path(name)) / "segments-2"
        if not options.folder.exists():
            say(f"making {options.days} days of 1 Hz and a day of {options.points} points")
            build(options.folder, options.days, options.points)
        return run_parts("history", PARTS, options, BARS)


PARTS = {"queries": queries, "cold": cold, "writing": writing, "imports": imports}

if __name__ == "__main__":
    sys.exit(main())
