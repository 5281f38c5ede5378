"""The log alone: rows per CPU-second of large batches, and what a small batch costs.

python bench/log.py [FOLDER]; the folder decides which disk is measured.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

import numpy as np
import structlog
from _kit import emit, fdatasync_ms, median_of, percentile

from penstock.log import Log, LogSettings, RecordKind
from penstock.log.files import LogFile
from penstock.model import Batch, Frame, Origin
from penstock.world import SystemClock, SystemDisk

SENDER, OWN = Origin(UUID(int=1), 1, 1), Origin(UUID(int=1), 0, 1)
LARGE, LARGE_ROWS = 60, 100_000
SMALL, SMALL_ROWS, WINDOW = 10_000, 10, 500
ALONE = 200
POINTS, SECONDS, T0 = 500, 4_000, 1_600_000_000 * 10**9
# Another process of low priority that compresses the same file again and again, as compute does.
BUSY = """
import os, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from log import fill_file
from penstock.log.compress import compress_file
from penstock.world import SystemDisk
os.nice(10)
folder = Path(sys.argv[1])
file, end = fill_file(folder)
print("ready", flush=True)
while True:
    compress_file(SystemDisk(), folder, file, end)
"""


def batch(sequence: int, rows: int) -> Batch:
    time_ns = np.arange(rows, dtype=np.int64)
    value = np.random.default_rng(sequence).random(rows)
    columns = np.full(rows, 192, np.uint8), np.zeros(rows, np.uint8)
    return Batch(SENDER, sequence, (Frame(time_ns.astype(np.uint32), time_ns, value, *columns),))


def read_all(log: Log, after: int) -> int:
    rows = 0
    while records := log.read(after):
        after = records[-1].sequence
        rows += sum(
            item.payload.rows
            for item in records
            if item.kind == RecordKind.BATCH and isinstance(item.payload, Batch)
        )
    return rows


async def large(log: Log) -> dict[str, float]:
    """Append one after the other, then read all of it back from the files."""
    batches = [batch(number + 1, LARGE_ROWS) for number in range(LARGE)]
    cpu, wall, latencies = time.process_time(), time.perf_counter(), []
    for item in batches:
        begin = time.perf_counter()
        await log.append_batch(item)
        latencies.append((time.perf_counter() - begin) * 1e3)
    appended, took = time.process_time(), time.perf_counter() - wall
    rows = read_all(log, 0)
    done = time.process_time()
    assert rows == LARGE * LARGE_ROWS
    return {
        "large_append_rows_per_cpu_s": rows / (appended - cpu),
        "large_read_rows_per_cpu_s": rows / (done - appended),
        "large_append_read_rows_per_cpu_s": rows / (done - cpu),
        "large_append_rows_per_s": rows / took,
        "large_append_ms_p50": percentile(latencies, 0.5),
        "large_append_ms_p99": percentile(latencies, 0.99),
    }


async def small(log: Log) -> dict[str, float]:
    """Many senders at once (group commit), then one that waits for each answer."""
    batches = [batch(10_000 + number, SMALL_ROWS) for number in range(SMALL)]
    after, syncs = log.durable, log.statistics()["syncs"]
    cpu, wall = time.process_time(), time.perf_counter()
    for begin in range(0, SMALL, WINDOW):
        span = batches[begin : begin + WINDOW]
        await asyncio.gather(*(log.append_batch_nowait(item) for item in span))
    took, appended = time.perf_counter() - wall, time.process_time()
    syncs = log.statistics()["syncs"] - syncs
    assert read_all(log, after) == SMALL * SMALL_ROWS
    read = time.process_time()
    alone = []
    for number in range(ALONE):
        begin_s = time.perf_counter()
        await log.append_batch(batch(50_000 + number, SMALL_ROWS))
        alone.append((time.perf_counter() - begin_s) * 1e3)
    return {
        "small_append_cpu_us": (appended - cpu) / SMALL * 1e6,
        "small_read_cpu_us": (read - appended) / SMALL * 1e6,
        "small_batches_per_s": SMALL / took,
        "small_batches_per_sync": SMALL / syncs,
        "small_alone_ms_p50": percentile(alone, 0.5),
        "small_alone_ms_p99": percentile(alone, 0.99),
    }


def typical(number: int, chance: np.random.Generator, level: np.ndarray) -> Batch:
    """One row of each point a second: two decimals, quality good."""
    level += chance.normal(0, 0.05, POINTS)
    value = np.round(level + chance.normal(0, 0.1, POINTS), 2)
    time_ns = np.full(POINTS, T0 + number * 10**9)
    point = np.arange(POINTS, dtype=np.uint32)
    columns = np.full(POINTS, 192, np.uint8), np.zeros(POINTS, np.uint8)
    return Batch(SENDER, number, (Frame(point, time_ns, value, *columns),))


def fill_file(folder: Path) -> tuple[LogFile, int]:
    """A log of one file, and the sequence behind it."""

    async def write() -> int:
        log = await Log.open(
            folder, disk=SystemDisk(), clock=SystemClock(), origin=OWN, settings=LogSettings()
        )
        chance = np.random.default_rng(2)
        level = chance.uniform(0, 500, POINTS)
        futures = [log.append_batch_nowait(typical(n, chance, level)) for n in range(1, 1_000)]
        await asyncio.gather(*futures)
        await log.close()
        return log.durable + 1

    return LogFile(1, 1), asyncio.run(write())


async def alone_p99(log: Log, first: int) -> float:
    took = []
    for number in range(first, first + ALONE):
        begin = time.perf_counter()
        await log.append_batch(batch(number, SMALL_ROWS))
        took.append((time.perf_counter() - begin) * 1e3)
    return percentile(took, 0.99)


async def sealed(folder: Path) -> dict[str, float]:
    """Files that are full, compressed beside a log that goes on."""
    settings = LogSettings(cache_bytes_max=0, file_bytes_max=8 * 2**20, compress_after_s=0)
    log = await Log.open(
        folder / "1", disk=SystemDisk(), clock=SystemClock(), origin=OWN, settings=settings
    )
    chance = np.random.default_rng(1)
    level = chance.uniform(0, 500, POINTS)
    for number in range(1, SECONDS + 1, 200):
        span = range(number, number + 200)
        await asyncio.gather(*(log.append_batch_nowait(typical(n, chance, level)) for n in span))
    plain = log.statistics()["file_bytes"]
    cpu = time.process_time()
    while await log.upkeep.step(log.upkeep.in_thread):
        continue
    compressed = time.process_time()
    assert read_all(log, 0) == SECONDS * POINTS
    read = time.process_time()
    still_open = log._writer.sizes[log._writer.files[-1]]  # noqa: SLF001
    share = (log.statistics()["file_bytes"] - still_open) / (plain - still_open)
    quiet = await alone_p99(log, 10**6)
    command = [sys.executable, "-c", BUSY, str(folder / "2"), str(Path(__file__).parent)]
    busy = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert busy.stdout is not None
    await busy.stdout.readline()
    loud = await alone_p99(log, 2 * 10**6)
    busy.kill()
    await busy.wait()
    await log.close()
    rows = SECONDS * POINTS
    return {
        "sealed_plain_bytes_per_sample": plain / rows,
        "sealed_bytes_per_sample": share * plain / rows,
        "sealed_cpu_s_per_million": (compressed - cpu) / rows * 1e6,
        "sealed_read_rows_per_cpu_s": rows / (read - compressed),
        "ack_p99_ms": quiet,
        "ack_p99_while_compressing_ms": loud,
    }


async def one(folder: Path) -> dict[str, float]:
    settings = LogSettings(cache_bytes_max=0)
    log = await Log.open(
        folder / "0", disk=SystemDisk(), clock=SystemClock(), origin=OWN, settings=settings
    )
    figures = await large(log) | await small(log) | await sealed(folder)
    await log.close()
    begin = time.perf_counter()
    log = await Log.open(
        folder / "0", disk=SystemDisk(), clock=SystemClock(), origin=OWN, settings=settings
    )
    figures["open_ms"] = (time.perf_counter() - begin) * 1e3
    await log.close()
    return figures


def main() -> None:
    parent = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

    def run() -> dict[str, float]:
        with tempfile.TemporaryDirectory(dir=parent) as name:
            disk = fdatasync_ms(Path(name))
            figures = asyncio.run(one(Path(name)))
        figures["fdatasync_p50_ms"] = percentile(disk, 0.5)
        figures["fdatasync_p99_ms"] = percentile(disk, 0.99)
        return {key: round(value, 3) for key, value in figures.items()}

    emit("log", median_of(run))


if __name__ == "__main__":
    main()
