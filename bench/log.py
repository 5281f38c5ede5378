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
from penstock.model import Batch, Frame, Origin
from penstock.world import SystemClock, SystemDisk

SENDER, OWN = Origin(UUID(int=1), 1, 1), Origin(UUID(int=1), 0, 1)
LARGE, LARGE_ROWS = 60, 100_000
SMALL, SMALL_ROWS, WINDOW = 10_000, 10, 500
ALONE = 200


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


async def one(folder: Path) -> dict[str, float]:
    settings = LogSettings(cache_bytes_max=0)
    log = await Log.open(
        folder / "0", disk=SystemDisk(), clock=SystemClock(), origin=OWN, settings=settings
    )
    figures = await large(log) | await small(log)
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
