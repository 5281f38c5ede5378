"""Ten times more than the disk takes: memory is bounded by the credit, decisions go on."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from partition import NODE, SMALL, OpenLog, event
from slow_disk import HeldDisk

from penstock.log import Log, RecordKind
from penstock.log.entry import CommitQueue, Entry
from penstock.model import Batch, Frame, Origin, Refused

ROWS = 10_000
BATCH_BYTES = ROWS * 22
CREDIT = 1024 * 1024
SETTINGS = SMALL.model_copy(
    update={
        "credit_bytes_max": CREDIT,
        "small_credit_bytes_max": 64 * 1024,
        "cache_bytes_max": 0,
        "ballast_bytes": 0,
    }
)


def large(sender: int, number: int) -> Batch:
    """Fresh columns, as a door that has just read them."""
    columns = np.zeros(ROWS, np.uint32), np.zeros(ROWS, np.int64), np.zeros(ROWS)
    flags = np.zeros(ROWS, np.uint8)
    return Batch(Origin(NODE, sender, 1), number, (Frame(*columns, flags, flags.copy()),))


async def push(log: Log, sender: int, count: int, done: list[int]) -> None:
    """A sender that is not read while it waits."""
    for number in range(1, count + 1):
        await log.append_batch(large(sender, number))
        done.append(sender)


async def test_memory_is_the_credit_and_one_batch_a_sender(
    tmp_path: Path, open_log: OpenLog
) -> None:
    """Forty times the credit is offered while the disk holds its sync back."""
    disk, senders, count = HeldDisk(), 8, 24
    log = await open_log(tmp_path / "log" / "0", disk, SETTINGS)
    offered = senders * count * BATCH_BYTES
    assert offered > 40 * CREDIT
    done: list[int] = []
    tracemalloc.start()
    with disk.held():
        tasks = [asyncio.create_task(push(log, sender, count, done)) for sender in range(1, 9)]
        for _ in range(200):
            await asyncio.sleep(0)
        _, held = tracemalloc.get_traced_memory()
        assert [] == done
        assert held < CREDIT + (senders + 2) * BATCH_BYTES + 1024 * 1024
        with pytest.raises(Refused, match="busy"):
            log.append_batch_nowait(large(99, 1))

    await asyncio.gather(*tasks)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * CREDIT + (senders + 2) * BATCH_BYTES + 1024 * 1024
    assert CREDIT == log.credit.free_bytes
    assert senders * count == log.statistics()["batches"] == len(done)


async def test_events_and_commands_do_not_wait_for_the_samples_before_them(
    tmp_path: Path, open_log: OpenLog
) -> None:
    disk = HeldDisk()
    log = await open_log(tmp_path / "log" / "0", disk, SETTINGS)
    done: list[int] = []
    with disk.held():
        tasks = [asyncio.create_task(push(log, sender, 20, done)) for sender in range(1, 9)]
        for _ in range(20):
            await asyncio.sleep(0)
        waiting = log.credit.waiting
        alarm = asyncio.create_task(log.append_event(event(1)))
        command = asyncio.create_task(log.append_json(RecordKind.COMMAND, {"state": "SENT"}))
        await asyncio.sleep(0)
    assert waiting > 0
    await asyncio.gather(alarm, command)

    assert len(done) < 100, "most samples still wait"
    await asyncio.gather(*tasks)


async def test_small_records_are_bounded_too(tmp_path: Path, open_log: OpenLog) -> None:
    disk = HeldDisk()
    log = await open_log(tmp_path / "log" / "0", disk, SETTINGS)
    with disk.held():
        tasks = [asyncio.create_task(log.append_event(event(number))) for number in range(2_000)]
        for _ in range(5):
            await asyncio.sleep(0)
        pending, waiting = log.statistics()["pending"], log.small_credit.waiting
    assert pending < 1_000
    assert waiting > 1_000
    await asyncio.gather(*tasks)
    assert 64 * 1024 == log.small_credit.free_bytes


def test_small_records_overtake_batches_and_each_keeps_its_order() -> None:
    queue = CommitQueue(0, 10**9, 1_000)
    own = Origin(NODE, 0, 1)
    sizes = [(RecordKind.BATCH, 400), (RecordKind.BATCH, 400), (RecordKind.BATCH, 4_000)]
    entries = [Entry(kind, {}, [bytes(size)], own) for kind, size in sizes]
    small = [Entry(RecordKind.EVENT, {}, [bytes(100)], own) for _ in range(2)]
    for entry in (*entries, *small):
        queue.put(entry)

    groups = [queue.take_nowait() for _ in range(4)]

    assert [[*small, entries[0]], [entries[1]], [entries[2]], []] == groups
    assert 0 == len(queue)
