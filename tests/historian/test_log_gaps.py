"""Gaps: what the log has lost becomes an object with times, and says whether samples are lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import create_engine

from penstock.codec.log_file import FILE_HEADER_BYTES
from penstock.codec.record import decode_header
from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.historian.log_gaps.gap import Gap
from penstock.historian.log_gaps.store import metadata
from penstock.historian.log_gaps.worker import TIME_MAX, TIME_MIN, GapProjector
from penstock.log import Log, LogSettings
from penstock.model import Batch, Origin
from penstock.state import State, readers
from penstock.testing import FakeClock, frame
from penstock.testing.disk import FakeDisk

LOG, SEGMENTS = Path("/data/log/0"), Path("/data/segments")
S = 1_000_000_000


class Node:
    """Log, historian and gaps of one start."""

    def __init__(self, log: Log, worker: HistorianWorker, gaps: GapProjector) -> None:
        self.log, self.worker, self.gaps = log, worker, gaps

    def found(self) -> list[Gap]:
        return self.gaps.between(TIME_MIN, TIME_MAX)

    def rows(self) -> int:
        return self.worker.historian.statistics()["rows_total"]


class Plant:
    """A disk and a database that outlive starts."""

    def __init__(self, folder: Path) -> None:
        self.disk = FakeDisk()
        self.url = f"sqlite:///{folder}/state.db"
        self.clock = FakeClock()
        self.incarnations = 0
        engine = create_engine(self.url)
        for tables in (metadata, readers.metadata):
            tables.create_all(engine)
        engine.dispose()

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Node]:
        self.incarnations += 1
        origin = Origin(UUID(int=7), 0, self.incarnations)
        settings = LogSettings(linger_ms=0, ballast_bytes=64 * 1024, cache_bytes_max=0)
        log = await Log.open(
            LOG, disk=self.disk, clock=self.clock, origin=origin, settings=settings
        )
        state = State.open(self.url)
        historian = Historian.open(self.disk, SEGMENTS, HistorianSettings())
        worker = HistorianWorker(historian, log, self.clock)
        gaps = GapProjector(log, state, self.clock, worker)
        tasks = [asyncio.ensure_future(part.run()) for part in (worker, gaps)]
        try:
            yield Node(log, worker, gaps)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await worker.close(flush=False)
            await log.close()
            state.close()

    async def fill(self, node: Node, batches: int = 6) -> None:
        """One batch a second."""
        for number in range(1, batches + 1):
            self.clock.advance(S)
            samples = frame(1, [number], [float(number)])
            await node.log.append_batch(
                Batch(Origin(UUID(int=8), 1, self.incarnations), number, (samples,))
            )
        await node.worker.wait_read(node.log.durable)

    def damage(self, sequence: int) -> None:
        """Flip a bit in a record's payload, at rest."""
        for name in self.disk.list(LOG):
            if not name.endswith(".log"):
                continue
            data, at = self.disk.read(LOG / name), FILE_HEADER_BYTES
            while at < len(data):
                header = decode_header(data, at)
                if header.sequence == sequence:
                    self.disk.flip_bit(LOG / name, at + 90, 2)
                    return
                at += header.record_bytes
        raise AssertionError(sequence)


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def batch_sequences(node: Node) -> dict[int, int]:
    """Receive time by sequence of the batches."""
    return {
        record.sequence: record.receive_ns
        for record in node.log.read(0, 1_000)
        if isinstance(record.payload, Batch)
    }


async def projected(node: Node, count: int) -> list[Gap]:
    async with asyncio.timeout(10):
        while len(node.found()) < count:
            await node.log.wait_beyond(0)
            await asyncio.sleep(0.005)
    return node.found()


async def test_records_that_history_had_to_read_again_and_could_not_are_lost(
    plant: Plant,
) -> None:
    async with plant.started() as node:
        await plant.fill(node)
        times = batch_sequences(node)
    third, fourth = sorted(times)[2:4]
    plant.damage(third)
    plant.damage(fourth)

    async with plant.started() as node:
        (gap,) = await projected(node, 1)
        assert 4 == node.rows()
        assert ("log_damaged", third, fourth, True) == (gap.cause, gap.first, gap.last, gap.is_lost)
        assert (times[third - 1], times[fourth + 1]) == (gap.from_ns, gap.to_ns)
        assert [(gap.from_ns, gap.to_ns)] == node.gaps.lost_spans(0, TIME_MAX)
        assert [] == node.gaps.lost_spans(gap.to_ns + 1, TIME_MAX)
        assert "quarantine" in gap.detail
    async with plant.started() as node:
        await node.gaps.wait_projected(node.log.durable)
        assert [gap] == node.found(), "the same after the next start"
        assert [(gap.from_ns, gap.to_ns)] == node.gaps.lost_spans(0, TIME_MAX)


async def test_records_that_history_had_taken_before_are_a_gap_of_the_log_alone(
    plant: Plant,
) -> None:
    async with plant.started() as node:
        await plant.fill(node)
        await node.worker.flush_now()
        third = sorted(batch_sequences(node))[2]
        plant.damage(third)
        node.log.read(third - 1, 10)
        (gap,) = await projected(node, 1)

        assert (third, third, False) == (gap.first, gap.last, gap.is_lost)
        assert [] == node.gaps.lost_spans(0, TIME_MAX)


async def test_a_gap_at_the_begin_of_the_log_has_the_time_of_what_follows(plant: Plant) -> None:
    async with plant.started() as node:
        await plant.fill(node, 3)
        times = batch_sequences(node)
        first = min(times)
    plant.damage(first)
    async with plant.started() as node:
        (gap,) = await projected(node, 1)

        assert times[first + 1] == gap.to_ns
        assert gap.from_ns <= gap.to_ns


async def test_an_idle_reader_costs_one_commit_a_minute(plant: Plant) -> None:
    async with plant.started() as node:
        await plant.fill(node)
        await node.gaps.wait_projected(node.log.durable)

        assert [] == node.found()
        assert {"behind_records": 0, "lost": 0} == node.gaps.statistics()
