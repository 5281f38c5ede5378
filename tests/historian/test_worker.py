"""The historian on a real log: restart, crash at any call of the disk, a disk that is full."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.historian.query import Snapshot, raw
from penstock.historian.worker import QUERIES_MAX
from penstock.log import Log, LogSettings
from penstock.model import Batch, Event, Frame, Origin, Refused
from penstock.model.time import TIME_NS_MAX
from penstock.testing import FakeClock, frame
from penstock.testing.disk import FakeDisk, PowerCut

NODE = UUID(int=7)
BASE_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000


class Plant:
    """A log and a historian on a disk that can be cut off."""

    def __init__(self, **settings: int) -> None:
        self.disk = FakeDisk()
        self.clock = FakeClock()
        self.settings = HistorianSettings(**settings)
        self.starts = 0
        self.accepted = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[HistorianWorker]:
        self.starts += 1
        self.origin = Origin(NODE, 0, self.starts)
        self.log = await Log.open(
            Path("/data/log/0"),
            disk=self.disk,
            clock=self.clock,
            origin=self.origin,
            settings=LogSettings(linger_ms=0),
        )
        historian = Historian.open(self.disk, Path("/data/segments"), self.settings)
        worker = HistorianWorker(historian, self.log, self.clock)
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await worker.close(flush=False)
            await self.log.close()

    async def send(self, rows: int = 10, point: int = 1) -> int:
        """Append one batch of new samples; the number of the last sample is its value."""
        numbers = range(self.accepted, self.accepted + rows)
        times = [BASE_NS + number * SECOND_NS for number in numbers]
        samples = frame(point, times, [float(n) for n in numbers])
        batch = Batch(self.origin, self.accepted + 1, (samples,))
        sequence = await self.log.append_batch(batch)
        self.accepted += rows
        return sequence


def values(worker: HistorianWorker, point: int = 1) -> list[float]:
    rows, _ = raw(worker.historian.pin([point]), point, BASE_NS, 2**62, 100_000)
    assert isinstance(rows.value, np.ndarray)
    found: list[float] = rows.value.tolist()
    return found


async def test_yesterday_is_still_there_after_a_restart() -> None:
    """Samples that were flushed, and samples that only the log has."""
    plant = Plant()
    async with plant.running() as worker:
        await worker.wait_read(await plant.send())
        await worker.flush_now()
        await worker.wait_read(await plant.send())
        assert 1 == worker.historian.statistics()["segments"]

    async with plant.running() as worker:
        await worker.wait_read(plant.log.durable)

        assert [float(n) for n in range(20)] == values(worker)
        assert 19.0 == worker.historian.last.rows([1]).value(0)


async def test_a_full_head_is_flushed_and_the_log_may_forget() -> None:
    plant = Plant(head_rows_max=1_000)
    async with plant.running() as worker:
        for _ in range(7):
            sequence = await plant.send(400)
            await worker.wait_read(sequence)

        assert 2 == worker.historian.statistics()["segments"] + worker.historian.is_flushing
        assert [float(n) for n in range(2_800)] == values(worker)


async def test_an_old_head_is_flushed() -> None:
    """Age is counted in received time, so that a stopped clock or a quiet plant flushes nothing."""
    plant = Plant(flush_age_s=60)
    async with plant.running() as worker:
        await worker.wait_read(await plant.send())
        plant.clock.advance(59 * SECOND_NS)
        await worker.wait_read(await plant.send())
        assert not worker.historian.is_flushing
        plant.clock.advance(2 * SECOND_NS)
        await worker.wait_read(await plant.send())
        await asyncio.sleep(0)

        assert worker.historian.is_flushing or worker.historian.statistics()["segments"]


async def test_records_without_samples_move_the_position() -> None:
    plant = Plant()
    async with plant.running() as worker:
        for number in range(3):
            await plant.log.append_event(Event(str(number), "test.done", BASE_NS))
        await worker.wait_read(plant.log.durable)
        await worker.flush_now()

        assert plant.log.durable == worker.historian.position[1]
        assert 0 == worker.historian.statistics()["segments"]


@pytest.mark.parametrize("call", range(1, 16))
async def test_a_power_cut_at_any_call_of_a_flush_loses_and_doubles_nothing(call: int) -> None:
    plant = Plant()
    async with plant.running() as worker:
        await worker.wait_read(await plant.send())
        await worker.flush_now()
        await worker.wait_read(await plant.send())
        worker.historian.seal(plant.log.incarnation)
        plant.disk.fail_at(call, PowerCut())
        with suppress(PowerCut):
            worker.historian.write()
    plant.disk.power_cut(seed=call)

    async with plant.running() as worker:
        await worker.wait_read(plant.log.durable)
        assert [float(n) for n in range(20)] == values(worker)
        await worker.wait_read(await plant.send())
        await worker.flush_now()
        assert [float(n) for n in range(30)] == values(worker)


async def test_a_full_disk_is_waited_for_and_reading_goes_on() -> None:
    plant = Plant()
    async with plant.running() as worker:
        await worker.wait_read(await plant.send())
        plant.disk.fail_at(1, OSError(errno.ENOSPC, "No space left on device"))
        flush = asyncio.create_task(worker.flush_now())
        while not plant.clock._waiters:  # noqa: ASYNC110 (a thread is waited for)
            await asyncio.sleep(0.001)

        assert [float(n) for n in range(10)] == values(worker)
        assert worker.historian.is_flushing
        plant.clock.advance(5 * SECOND_NS)
        await flush
        assert [float(n) for n in range(10)] == values(worker)
        assert 1 == worker.historian.statistics()["segments"]


async def test_so_many_queries_may_wait_and_no_more() -> None:
    """The next one is refused at once, and taken again when one of them has its answer."""
    plant = Plant()
    async with plant.running() as worker:
        await worker.wait_read(await plant.send())
        gate = threading.Event()

        def held(_snapshot: Snapshot) -> bool:
            return gate.wait(30)

        waiting = [asyncio.create_task(worker.query(held, [1])) for _ in range(QUERIES_MAX)]
        await asyncio.sleep(0)
        try:
            with pytest.raises(Refused) as refused:
                await asyncio.wait_for(worker.query(len_of, [1]), 5)
        finally:
            gate.set()
        assert [True] * QUERIES_MAX == await asyncio.gather(*waiting)

        assert "busy" == refused.value.code
        assert 10 == await worker.query(len_of, [1])


def len_of(snapshot: Snapshot) -> int:
    return len(raw(snapshot, 1, BASE_NS, 2**62, 100)[0])


async def test_stop_flushes_and_the_next_start_replays_nothing() -> None:
    plant = Plant()
    async with plant.running() as worker:
        await worker.wait_read(await plant.send())
        await worker.close()
        stopped_at = plant.log.durable

    async with plant.running() as worker:
        assert stopped_at == worker.historian.position[1]
        assert [float(n) for n in range(10)] == values(worker)


async def test_live_sees_each_change_once() -> None:
    plant = Plant()
    async with plant.running() as worker:
        await worker.wait_read(await plant.send(point=3))
        last = worker.historian.last
        cursor = last.cursor
        assert [3] == np.flatnonzero(last.change > 0).tolist()
        assert [] == np.flatnonzero(last.change > cursor).tolist()

        await worker.wait_read(await plant.send(point=5))

        assert [5] == np.flatnonzero(last.change > cursor).tolist()
        handles = np.array([9, 5, 3, 70_000], np.uint32)
        assert [1] == last.changed(handles, cursor).tolist()
        [(found, place)] = last.frames(handles)
        assert [1, 2] == place.tolist()
        assert isinstance(found, Frame)
        assert [19.0, 9.0] == list(found.value)  # type: ignore[arg-type]


async def test_a_log_that_lost_its_end_is_followed_from_there() -> None:
    """Sequences that a lying disk lost are used again; listed segments stay as they are."""
    plant = Plant()
    async with plant.running() as worker:
        await worker.wait_read(await plant.send())
        await worker.flush_now()
        historian = Historian.open(plant.disk, Path("/data/segments"), plant.settings)
        [before] = historian.pin([1]).segments
        historian.resume(before.until - 1)
        again = Batch(plant.origin, 1, (frame(1, BASE_NS, [0.0]), frame(2, BASE_NS, [7])))
        historian.append(again, before.first_sequence, TIME_NS_MAX)
        historian.seal(incarnation=plant.log.incarnation + 1)
        historian.adopt(historian.write())

        names = [info.name for info in historian.pin([1]).segments]
        assert 2 == len(set(names))
        rows, _ = raw(historian.pin([1]), 1, BASE_NS, 2**62, 100)
        assert 10 == len(rows)
