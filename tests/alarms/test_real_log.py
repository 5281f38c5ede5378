"""The same on the real log: files, fsync, and a second start on what lies on the disk."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from memory_log import NODE
from plant import SNAPSHOT, rule
from sqlalchemy import create_engine

from penstock.alarms.projector import AlarmProjector
from penstock.alarms.store import metadata
from penstock.alarms.worker import RuleWorker
from penstock.log import Log, LogSettings
from penstock.model import Batch, Origin
from penstock.state import State, readers
from penstock.testing.frames import frame
from penstock.world import SystemClock, SystemDisk

RULES = (rule(2, 50),)


class Live:
    """Log, projector and rules on real files."""

    def __init__(self, log: Log, projector: AlarmProjector, state: State) -> None:
        self.log = log
        self.projector = projector
        self.state = state
        self.changed = asyncio.Event()
        self.sequence = 0
        projector.on_change(lambda _alarms, _removed: self.changed.set())

    async def see(self, value: float) -> float:
        """Seconds from the door to the listener."""
        self.sequence += 1
        self.changed.clear()
        batch = Batch(Origin(NODE, 1, time.time_ns()), 1, (frame(2, time.time_ns(), [value]),))
        begin = time.perf_counter()
        await self.log.append_batch(batch)
        async with asyncio.timeout(10):
            await self.changed.wait()
        return time.perf_counter() - begin


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[Live]:
    clock, disk = SystemClock(), SystemDisk()
    origin = Origin(NODE, 0, time.time_ns())
    log = await Log.open(
        folder / "log", disk=disk, clock=clock, origin=origin, settings=LogSettings()
    )
    url = f"sqlite:///{folder}/state.db"
    if not Path(f"{folder}/state.db").exists():  # noqa: ASYNC240
        engine = create_engine(url)
        metadata.create_all(engine)
        readers.metadata.create_all(engine)
        engine.dispose()
    state = State.open(url)
    projector = AlarmProjector(log, state, clock)
    worker = RuleWorker(log, state, clock, projector, lambda: SNAPSHOT, str(NODE))
    live = Live(log, projector, state)
    tasks = [asyncio.create_task(projector.run()), asyncio.create_task(worker.run(RULES))]
    try:
        yield live
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await log.close()
        state.close()


@pytest.mark.slow
async def test_from_door_to_listener_and_over_a_restart(tmp_path: Path) -> None:
    async with started(tmp_path) as live:
        times = [await live.see(60.0 if n % 2 == 0 else 20.0) for n in range(21)]
        before = list(live.projector.listed.values())
    print(f"median {sorted(times)[10] * 1e3:.1f} ms, worst {max(times) * 1e3:.1f} ms")

    async with started(tmp_path) as live:
        await live.see(20.0)
        after = list(live.projector.listed.values())
        with live.state.read() as connection:
            journal = live.projector.store.journal(connection)

    assert [(11, True)] == [(alarm.episode, alarm.active) for alarm in before]
    assert [(11, False)] == [(alarm.episode, alarm.active) for alarm in after]
    assert 22 == len({row.id for row in journal}) == len(journal)
