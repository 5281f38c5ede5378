"""A bare writer that is killed: log, historian, compaction and compressed log in one process.

`python bench/_crash_writer.py FOLDER SEED SEEN_TO FIRST FIRST FIRST`: opens, says `ready`, says
what history holds and which batch records lie in the log behind SEEN_TO (`history {...}`), then
sends, says each acknowledgement (`a SLOT NUMBER`), compaction and compressed file (`d COMPACTIONS
COMPRESSED`) until somebody ends it. What it sends follows from slot and number, so that every row
that is found can be judged by itself. The log is asked beside the history, because the history
shows equal rows once, however often they came.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import sys
from pathlib import Path
from uuid import UUID

import numpy as np
import structlog

from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.historian.compaction import compact_once, is_due
from penstock.historian.encode import DecimalHints
from penstock.historian.query import rows_between
from penstock.log import Log, LogSettings
from penstock.model import Batch, Frame, Origin, Refused, TextColumn
from penstock.world import SystemClock, SystemDisk

NODE = UUID("01890000-0000-7000-8000-0000000000c1")
OWN = Origin(NODE, 0, 1)
SLOTS = (1, 2, 3)
ROWS_MAX = 40
STEP_NS = 64 * 1_000_000_000
# In the past by any clock: a sample from ahead of its receipt is doubted.
START_NS = 1_600_000_000 * 1_000_000_000
DAYS_2_NS = 2 * 86_400 * 1_000_000_000
WINDOW = 12
LOG = LogSettings(
    linger_ms=0.5,
    file_bytes_max=512 * 1024,
    log_bytes_keep=2 * 1024 * 1024,
    ballast_bytes=65_536,
    compress_after_s=0,
)
HISTORY = HistorianSettings(head_rows_max=3_000, flush_age_s=2, compaction_segments_min=4)


def rows_of(number: int) -> int:
    return 1 + number * 7 % ROWS_MAX


def columns(slot: int, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, floats and integers of a batch."""
    row = np.arange(rows_of(number), dtype=np.int64)
    time_ns = START_NS + number * STEP_NS + row * 1_000_000_000 + slot
    return time_ns, np.round(number + row / 8, 3), number * 64 + row


def batch(slot: int, number: int) -> Batch:
    time_ns, value, count = columns(slot, number)
    rows = len(time_ns)
    quality, flags = np.full(rows, 192, np.uint8), np.zeros(rows, np.uint8)
    point = np.full(rows, 3 * slot, np.uint32)
    texts = TextColumn.of([f"n{number}"])
    frames = (
        Frame(point, time_ns, value, quality, flags),
        Frame(point + np.uint32(1), time_ns, count, quality, flags),
        Frame(point[:1] + np.uint32(2), time_ns[:1], texts, quality[:1], flags[:1]),
    )
    return Batch(Origin(NODE, slot, 1), number, frames)


def runs_of(numbers: list[int]) -> list[tuple[int, int]]:
    """(first, last) of each run without holes."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def judge(historian: Historian) -> dict[str, object]:
    """Numbers of whole batches by slot, rows that are there twice, rows that nobody sent."""
    whole: dict[str, list[tuple[int, int]]] = {}
    doubled = wrong = 0
    for slot in SLOTS:
        found = []
        for kind in range(3):
            pieces = list(
                rows_between(historian.pin([3 * slot + kind]), 3 * slot + kind, -(2**63), 2**63 - 1)
            )
            time_ns = np.concatenate([p.time_ns for p in pieces] or [np.zeros(0, np.int64)])
            doubled += len(time_ns) - len(np.unique(time_ns))
            number = (time_ns - START_NS - slot) // STEP_NS
            row = (time_ns - START_NS - slot) % STEP_NS // 1_000_000_000
            quality = np.concatenate([p.quality for p in pieces] or [np.zeros(0, np.uint8)])
            wrong += int((quality != 192).sum())
            if kind == 2:
                texts = [text for p in pieces for text in p.value.to_list()]  # type: ignore[union-attr]
                wrong += sum(t != f"n{n}" for t, n in zip(texts, number.tolist(), strict=True))
            elif pieces:
                value = np.concatenate([p.value for p in pieces])
                wanted = np.round(number + row / 8, 3) if kind == 0 else number * 64 + row
                wrong += int((value != wanted).sum())
            numbers, counts = np.unique(number, return_counts=True)
            sent = 1 + numbers * 7 % ROWS_MAX if kind < 2 else np.ones(len(numbers), np.int64)
            wrong += int((counts != sent).sum())
            found.append(set(numbers.tolist()))
        wrong += len(found[0] ^ found[1]) + len(found[0] ^ found[2])
        whole[str(slot)] = runs_of(sorted(found[0]))
    return {"whole": whole, "doubled": doubled, "wrong": wrong}


def logged(log: Log, seen_to: int) -> dict[str, object]:
    """Batch records behind `seen_to` as they lie: [slot, incarnation, number], and their end."""
    found: list[tuple[int, int, int]] = []
    after = max(seen_to, log.first_sequence - 1)
    passed_by = after - seen_to
    while records := log.read(after):
        for record in records:
            if isinstance(record.payload, Batch):
                origin = record.payload.origin
                found.append((origin.slot, origin.incarnation, record.payload.sequence))
        after = records[-1].sequence
    return {"records": found, "seen_to": after, "passed_by": passed_by}


async def upkeep(log: Log) -> None:
    """As the product's own, but ten times a second: a life is short."""
    while True:
        while await log.upkeep.step(log.upkeep.in_thread):
            continue
        await asyncio.sleep(0.1)


async def tell(worker: HistorianWorker, log: Log) -> None:
    """What was done beside the writing, whenever there is more of it."""
    told = (0, 0)
    while True:
        compactions = worker.historian.statistics()["compactions_total"]
        done = (int(compactions), log.upkeep.compressed_files)
        if done != told:
            os.write(1, b"d %d %d\n" % done)
            told = done
        await asyncio.sleep(0.02)


async def compact(worker: HistorianWorker, disk: SystemDisk, folder: Path) -> None:
    historian, hints, clock = worker.historian, DecimalHints(), SystemClock()
    while True:
        await asyncio.sleep(0.1)
        now_ns = max(clock.now_ns(), START_NS) + 400 * DAYS_2_NS
        manifest = historian.manifest
        if not is_due(manifest, HISTORY, now_ns):
            continue

        def work(manifest=manifest, now_ns=now_ns):  # type: ignore[no-untyped-def]
            return compact_once(
                disk, folder, manifest, HISTORY, hints, lambda _: None, lambda: False, now_ns=now_ns
            )

        with contextlib.suppress(Refused):
            proposal = await asyncio.to_thread(work)
            if proposal is not None:
                await worker.swap(proposal)


async def send(log: Log, slot: int, number: int) -> None:
    await log.append_batch(batch(slot, number))
    os.write(1, f"a {slot} {number}\n".encode())


async def write(log: Log, chance: random.Random, firsts: list[int]) -> None:
    """Windows whose numbers are not in order; some are sent twice."""
    step = 0
    while True:
        wanted = [
            (slot, first + step + n)
            for slot, first in zip(SLOTS, firsts, strict=True)
            for n in range(WINDOW)
        ]
        wanted += chance.sample(wanted, 3)
        chance.shuffle(wanted)
        await asyncio.gather(*(send(log, *item) for item in wanted))
        step += WINDOW


async def main() -> None:
    folder, chance = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
    disk, clock = SystemDisk(), SystemClock()
    log = await Log.open(folder / "log" / "0", disk=disk, clock=clock, origin=OWN, settings=LOG)
    segments = folder / "segments"
    worker = HistorianWorker(Historian.open(disk, segments, HISTORY), log, clock)
    tasks = [asyncio.create_task(worker.run())]
    await worker.wait_read(log.durable)
    os.write(1, b"ready\n")
    found = await asyncio.to_thread(judge, worker.historian)
    found |= logged(log, int(sys.argv[3]))
    tasks.append(asyncio.create_task(upkeep(log)))
    tasks.append(asyncio.create_task(tell(worker, log)))
    tasks.append(asyncio.create_task(compact(worker, disk, segments)))
    stats = worker.historian.statistics() | log.statistics()
    kept = ("segments", "segment_rows", "damaged_chunks", "gaps")
    found["statistics"] = {name: stats[name] for name in kept if name in stats}
    os.write(1, b"history " + json.dumps(found).encode() + b"\n")
    if len(sys.argv) > 4:
        tasks.append(asyncio.create_task(write(log, chance, [int(n) for n in sys.argv[4:7]])))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done():
                task.result()


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    asyncio.run(main())
