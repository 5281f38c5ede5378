"""Work for which nobody waits any more hears it while it waits, and commits nothing at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from scripted import NODE

from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.log import Log, LogSettings
from penstock.model import Batch, Origin, Refused
from penstock.model.event import Json
from penstock.node.compute import jobs
from penstock.node.compute.jobs import Doors, Job
from penstock.node.compute.upkeep import compact
from penstock.node.core.compaction import Compaction
from penstock.node.core.compute_link import ComputeLink
from penstock.node.core.pins import Pins
from penstock.node.question import answered
from penstock.node.spool import Spool
from penstock.testing import FakeClock, frame
from penstock.testing.disk import FakeCalls, FakeDisk
from penstock.world import Disk, SystemAppendFile, SystemDisk

Document = dict[str, Json]
DATA = Path("/data")
S = 1_000_000_000
SETTINGS = HistorianSettings(compaction_segments_min=2)


class WatchedDisk(SystemDisk):
    """Says when a new segment is being made durable, which is the last thing done to it."""

    def __init__(self, medium: FakeCalls, on_whole: Callable[[], None]) -> None:
        super().__init__(medium)
        self._on_whole = on_whole

    def append_to(self, path: Path) -> SystemAppendFile:
        file = super().append_to(path)
        return WatchedFile(file, self._on_whole) if path.suffix == ".seg" else file


class WatchedFile(SystemAppendFile):
    def __init__(self, file: SystemAppendFile, on_whole: Callable[[], None]) -> None:
        super().__init__(file._calls, file._file)
        self._on_whole = on_whole

    def sync(self) -> None:
        super().sync()
        self._on_whole()


class Core:
    """A log, a history of three segments, and what core answers to compute."""

    def __init__(self, disk: FakeDisk, log: Log) -> None:
        self.disk = disk
        self.log = log
        self.clock = FakeClock()
        historian = Historian.open(disk, DATA / "segments", SETTINGS)
        self.worker = HistorianWorker(historian, log, self.clock)
        self.link = ComputeLink(log, lambda _id: None, node=NODE, settings={})
        spool = Spool(disk, DATA)
        spool.clear()
        self.pins = Pins(self.worker, self.link, disk, spool, self.clock)
        self.compaction = Compaction(self.worker, self.link, self.clock)
        self.asked: list[str] = []

    async def fill(self) -> None:
        for number in range(1, 4):
            samples = frame(7, [number * S, number * S + 1], [1.0, 2.0])
            await self.log.append_batch(Batch(Origin(NODE, 1, 1), number, (samples,)))
            await self.worker.take_available()
            await self.worker.flush_now()
        self.clock.advance(3 * 86_400 * S)

    def job(self, on_whole: Callable[[Job], None]) -> Job:
        """A compaction; `on_whole` is called with it when a new file is durable."""
        disk = WatchedDisk(self.disk.medium, lambda: on_whole(made))
        made = job_on(disk, self.answer)
        return made

    def answer(self, question: Document) -> Awaitable[Document]:
        op, fields = question["op"], question["fields"]
        assert isinstance(op, str)
        assert isinstance(fields, dict)
        self.asked.append(op)
        return answered(self.link.answers[op](fields))


def job_on(disk: Disk, ask: Callable[[Document], Awaitable[Document]]) -> Job:
    """A job that reaches core by `ask` alone."""

    async def nothing(*_: object) -> int:
        raise AssertionError("it sends no samples")

    doors = Doors(asyncio.get_running_loop(), ask, nothing, nothing, nothing, nothing)  # type: ignore[arg-type]
    settings: Document = {"spool_bytes_max": 10**6}
    return Job("1", "compact", DATA, disk, FakeClock(5 * 86_400 * S), NODE, settings, doors)


async def test_a_job_that_waits_for_core_hears_that_nobody_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Core may never answer; the thread is free for the next job all the same."""
    monkeypatch.setattr(jobs, "PUT_WAIT_S", 0.01)
    asked, withdrawn = asyncio.Event(), asyncio.Event()

    async def never(_question: Document) -> Document:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            withdrawn.set()
        return {}

    job = job_on(FakeDisk(), never)
    working = asyncio.ensure_future(asyncio.to_thread(job.ask, "never", {}, 5.0))
    await asked.wait()
    job.cancel()
    with pytest.raises(Refused) as refused:
        await working
    await withdrawn.wait()

    assert "cancelled" == refused.value.code, "not too_slow, five seconds later"


@pytest.mark.parametrize("is_left", [False, True])
async def test_a_compaction_that_is_cancelled_when_its_files_are_whole_is_not_committed(
    is_left: bool,
) -> None:
    """Core has given it up, and may have told somebody that it did not happen."""
    disk = FakeDisk()
    log = await Log.open(
        DATA / "log" / "0",
        disk=disk,
        clock=FakeClock(),
        origin=Origin(NODE, 0, 1),
        settings=LogSettings(linger_ms=0, ballast_bytes=64 * 1024),
    )
    core = Core(disk, log)
    await core.fill()
    before = core.worker.historian.manifest
    job = core.job(Job.cancel if is_left else lambda _: None)
    fields: Document = {"settings": SETTINGS.model_dump(mode="json")}

    [outcome] = await asyncio.gather(
        asyncio.to_thread(compact, job, fields), return_exceptions=True
    )
    await core.worker.close(flush=False)
    await log.close()

    assert is_left == (before == core.worker.historian.manifest)
    assert is_left == ("commit" not in core.asked)
    assert "release" == core.asked[-1], "its pin is given back"
    if is_left:
        assert isinstance(outcome, Refused)
        assert "cancelled" == outcome.code
        core.worker.historian.remove_abandoned()
        names = {name for name in disk.list(DATA / "segments") if name.endswith(".seg")}
        assert {info.name for info in before.segments} == names
    else:
        assert {"removed": 3, "added": 1} == outcome
