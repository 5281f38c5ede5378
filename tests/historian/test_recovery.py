"""A damaged manifest loses nothing that is elsewhere, and says precisely what is nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
import structlog

from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.historian.compaction import compact_once
from penstock.historian.encode import DecimalHints
from penstock.historian.manifest import manifest_names
from penstock.historian.query import raw
from penstock.log import Log, LogSettings
from penstock.model import Batch, ConfigError, Origin
from penstock.testing import FakeClock, frame
from penstock.testing.disk import FakeDisk

LOG, FOLDER = Path("/data/log/0"), Path("/data/segments")
BASE_NS = 1_790_000_000_000_000_000
S = 1_000_000_000


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


class Plant:
    """A log and a historian; sample n of a point has the value n, its state the text of n."""

    def __init__(self) -> None:
        self.disk = FakeDisk()
        self.clock = FakeClock()
        self.starts = self.count = 0

    @asynccontextmanager
    async def running(self, log: Path = LOG) -> AsyncIterator[HistorianWorker]:
        self.starts += 1
        self.origin = Origin(UUID(int=7), 0, self.starts)
        settings = LogSettings(linger_ms=0)
        self.log = await Log.open(
            log, disk=self.disk, clock=self.clock, origin=self.origin, settings=settings
        )
        task = None
        try:
            span = self.log.first_sequence, self.log.durable
            historian = Historian.open(self.disk, FOLDER, HistorianSettings(), span)
            worker = HistorianWorker(historian, self.log, self.clock)
            task = asyncio.create_task(worker.run())
            await worker.wait_read(self.log.durable)
            yield worker
        finally:
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await worker.close(flush=False)
            await self.log.close()

    async def send(self, worker: HistorianWorker) -> None:
        number = self.count = self.count + 1
        time_ns = BASE_NS + number * S
        frames = frame(1, [time_ns], [float(number)]), frame(2, [time_ns], [str(number)])
        await worker.wait_read(await self.log.append_batch(Batch(self.origin, number, frames)))

    async def flushed(self, worker: HistorianWorker, times: int) -> None:
        for _ in range(times):
            await self.send(worker)
            await worker.flush_now()

    def damage(self, *, newest: int = 1) -> list[str]:
        """Flip a bit in the newest manifests; their names."""
        names = manifest_names(self.disk, FOLDER)[-newest:]
        for name in names:
            self.disk.flip_bit(FOLDER / name, 70)
        return names


def values(worker: HistorianWorker) -> list[float]:
    rows, _ = raw(worker.historian.pin([1]), 1, BASE_NS, 2**62, 1_000)
    assert isinstance(rows.value, np.ndarray)
    return [float(value) for value in rows.value]


def newest(worker: HistorianWorker) -> tuple[object, object]:
    last = worker.historian.last.rows([1, 2])
    return last.value(0), last.value(1)


@pytest.mark.parametrize("damaged", [1, 2])
async def test_the_log_gives_back_what_a_damaged_manifest_had(damaged: int) -> None:
    """Also when both are damaged, as long as the log goes back to its first record."""
    plant = Plant()
    async with plant.running() as worker:
        await plant.flushed(worker, 3)
    names = plant.damage(newest=damaged)

    async with plant.running() as worker:
        assert [1.0, 2.0, 3.0] == values(worker)
        assert (3.0, "3") == newest(worker)
        assert not set(names) & set(manifest_names(plant.disk, FOLDER))
        await plant.flushed(worker, 1)

    async with plant.running() as worker:
        assert [1.0, 2.0, 3.0, 4.0] == values(worker)
        assert 0 == worker.historian.statistics()["head_rows"]


async def test_a_damaged_manifest_of_a_compaction_is_taken_back() -> None:
    """The files that it replaced are still there; the compaction is done again."""
    plant = Plant()
    async with plant.running() as worker:
        await plant.flushed(worker, 3)
        proposal = compact_once(
            plant.disk,
            FOLDER,
            worker.historian.manifest,
            HistorianSettings(compaction_segments_min=2),
            DecimalHints(),
            lambda _: None,
            lambda: False,
            now_ns=BASE_NS + 10**15,
        )
        assert proposal is not None
        await worker.swap(proposal)
        assert 1 == worker.historian.statistics()["segments"]
    plant.damage()

    async with plant.running() as worker:
        assert [1.0, 2.0, 3.0] == values(worker)
        assert 3 == worker.historian.statistics()["segments"]


async def test_the_log_keeps_what_the_manifest_before_would_replay() -> None:
    plant = Plant()
    async with plant.running() as worker:
        await plant.flushed(worker, 3)
        before, now = worker.historian.needed_sequence, worker.historian.position[1]
        assert before == now - 1 == worker._follower._handle.position

    async with plant.running() as worker:
        assert before == worker._follower._handle.position


async def test_a_segment_is_listed_by_its_own_header_where_the_log_is_gone() -> None:
    plant = Plant()
    async with plant.running() as worker:
        await plant.flushed(worker, 3)
        files = [n for n in plant.disk.list(FOLDER) if n.endswith(".seg")]
    plant.damage()

    async with plant.running(log=Path("/data/log/new")) as worker:
        assert [1.0, 2.0, 3.0] == values(worker)
        assert (3.0, "3") == newest(worker)
        assert files == [n for n in plant.disk.list(FOLDER) if n.endswith(".seg")]


async def test_records_that_are_nowhere_are_named() -> None:
    plant = Plant()
    async with plant.running() as worker:
        await plant.flushed(worker, 3)
        [*_, segment] = [n for n in plant.disk.list(FOLDER) if n.endswith(".seg")]
        stored = worker.historian.needed_sequence
    plant.damage()
    plant.disk.remove(FOLDER / segment)
    lost = f"log records {stored + 1} to {stored + 5} are in no segment"

    with pytest.raises(ConfigError, match=lost):
        Historian.open(plant.disk, FOLDER, HistorianSettings(), (stored + 6, stored + 9))
    with pytest.raises(ConfigError, match="without the log"):
        Historian.open(plant.disk, FOLDER, HistorianSettings())


async def test_a_single_record_that_is_nowhere_is_a_loss_and_none_is_not() -> None:
    """The border: the log begins with the next record, or one behind it."""
    plant = Plant()
    async with plant.running() as worker:
        await plant.flushed(worker, 3)
        [*_, segment] = [n for n in plant.disk.list(FOLDER) if n.endswith(".seg")]
        stored = worker.historian.needed_sequence
    plant.damage()
    plant.disk.remove(FOLDER / segment)

    with pytest.raises(ConfigError, match=f"log records {stored + 1} to {stored + 1} are in no"):
        Historian.open(plant.disk, FOLDER, HistorianSettings(), (stored + 2, stored + 9))
    historian = Historian.open(plant.disk, FOLDER, HistorianSettings(), (stored + 1, stored + 9))
    assert stored == historian.position[1]


async def test_a_file_that_the_manifest_before_lists_and_that_is_gone_is_named() -> None:
    plant = Plant()
    async with plant.running() as worker:
        await plant.flushed(worker, 3)
        [segment, *_] = [n for n in plant.disk.list(FOLDER) if n.endswith(".seg")]
    plant.damage()
    plant.disk.remove(FOLDER / segment)

    with pytest.raises(ConfigError, match=f"lists {segment}, which is not there"):
        Historian.open(plant.disk, FOLDER, HistorianSettings(), (1, 3))
