"""One way to follow the log: where it resumes, what it passes by, and when files may go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from partition import SENDER, OpenLog, batch, event
from sqlalchemy import Connection

from penstock.log import Follower, Log, LogRecord, LogSettings, ReaderHandle
from penstock.log.projection import Projection
from penstock.model import Refused
from penstock.model.time import SECOND_NS
from penstock.state import ReaderPosition, ReaderStore, State
from penstock.state.migrate import migrate
from penstock.testing import FakeClock


class Taken:
    """Sequences in the order in which they were taken."""

    def __init__(self) -> None:
        self.sequences: list[int] = []

    async def __call__(self, records: Sequence[LogRecord]) -> None:
        self.sequences += [record.sequence for record in records]


@contextlib.asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class HollowLog:
    """A log whose records are gone, all or up to `first_sequence`."""

    incarnation = 1
    durable = 9

    def __init__(self, first_sequence: int) -> None:
        self.first_sequence = first_sequence
        self.asked: list[int] = []

    def resume_after(self, incarnation: int, sequence: int) -> int:
        return sequence

    def declare_reader(self, name: str, *, blocks: bool) -> ReaderHandle:
        return ReaderHandle(name, blocks, None, lambda _handle: None)

    def read(self, after: int, records_max: int = 256) -> list[LogRecord]:
        self.asked.append(after)
        return []

    async def wait_beyond(self, sequence: int) -> int:
        return self.durable


async def test_everything_is_taken_once_and_in_order(open_log: OpenLog) -> None:
    log, taken = await open_log(), Taken()
    follower = Follower(log, "test", taken, records_max=2)
    await log.append_events([event(number) for number in range(5)])
    end = log.durable

    async with running(follower.run()):
        await follower.wait_taken(end)
        later = await log.append_batch(batch(1))
        await follower.wait_taken(later)

    assert list(range(1, later + 1)) == taken.sequences
    assert {"behind_records": 0} == follower.statistics()


async def test_it_goes_on_behind_the_committed_position(open_log: OpenLog) -> None:
    log, taken = await open_log(), Taken()
    last = await log.append_events([event(number) for number in range(5)])
    follower = Follower(log, "test", taken)

    resumed = follower.resume(log.incarnation, last - 2)
    await follower.catch_up()

    assert last - 2 == resumed
    assert [last - 1, last] == taken.sequences


@pytest.mark.parametrize(
    ("first_sequence", "asked"), [(6, [0, 5]), (1, [0])], ids=["deleted", "damaged to the end"]
)
async def test_what_is_gone_is_passed_by(first_sequence: int, asked: list[int]) -> None:
    """Never back, never for ever at one place: waiters hear that there is nothing to wait for."""
    log, taken = HollowLog(first_sequence), Taken()
    follower = Follower(log, "test", taken)

    await follower.catch_up()
    await follower.wait_taken(log.durable)

    assert asked == log.asked
    assert [] == taken.sequences


async def test_files_stay_until_the_effects_are_durable(open_log: OpenLog) -> None:
    small = LogSettings(linger_ms=0, ballast_bytes=0, file_bytes_max=64 * 1024, log_bytes_keep=0)
    log, taken = await open_log(settings=small), Taken()
    follower = Follower(log, "test", taken)
    await _fill(log, 1)
    await follower.catch_up()
    held = log.first_sequence

    follower.advance(follower.position)
    await _fill(log, 1_000)

    assert 1 == held < log.first_sequence


async def test_one_who_stops_waiting_disturbs_nobody(open_log: OpenLog) -> None:
    log = await open_log()
    follower = Follower(log, "test", Taken())
    gone, stays = (asyncio.create_task(follower.wait_taken(log.durable + 1)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await log.append_event(event(1))

    await follower.catch_up()

    await stays


# --- projections


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    url = f"sqlite:///{tmp_path}/state.db"
    migrate(url)
    made = State.open(url)
    yield made
    made.close()


def stored(state: State) -> ReaderPosition:
    with state.read() as connection:
        return ReaderStore().position(connection, "test")


class Project:
    """Commits each part with `effects`."""

    def __init__(self, log: Log, state: State, clock: FakeClock) -> None:
        self.effects: Callable[[Connection], object] = lambda _: None
        self.projection = Projection(log, state, clock, "test", self._take)

    async def _take(self, records: Sequence[LogRecord]) -> None:
        await self.projection.commit(records[-1].sequence, self.effects)


async def test_effects_and_position_commit_together_or_not_at_all(
    open_log: OpenLog, state: State, clock: FakeClock
) -> None:
    log = await open_log()
    last = await log.append_event(event(1))
    project = Project(log, state, clock)

    def fail(connection: Connection) -> None:
        ReaderStore("other").set_position(connection, "effect", ReaderPosition(1, 1))
        raise ZeroDivisionError

    project.effects = fail
    with pytest.raises(ZeroDivisionError):
        await project.projection.catch_up()
    with state.read() as connection:
        effect = ReaderStore("other").position(connection, "effect")

    assert ReaderPosition() == stored(state) == effect
    assert 0 == project.projection.position

    project.effects = lambda _: None
    await project.projection.catch_up()

    assert ReaderPosition(log.incarnation, last) == stored(state)
    assert "" == project.projection.load()
    assert last == project.projection.position


async def test_a_full_disk_is_waited_out(open_log: OpenLog, state: State, clock: FakeClock) -> None:
    log = await open_log()
    last = await log.append_event(event(1))
    project, attempts = Project(log, state, clock), []

    def full_twice(_connection: Connection) -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise Refused("disk_full")

    project.effects = full_twice
    async with running(project.projection.run()):
        while project.projection.position < last:
            clock.advance(SECOND_NS)
            await asyncio.sleep(0)

    assert 3 == len(attempts)
    assert last == stored(state).sequence


async def test_a_snapshot_lies_with_its_position(
    open_log: OpenLog, state: State, clock: FakeClock
) -> None:
    log = await open_log()
    last = await log.append_event(event(1))
    projection = Project(log, state, clock).projection

    await projection.store(last, lambda _: None, "remembered")

    assert "remembered" == projection.load()
    assert not projection.is_due
    clock.advance(5 * SECOND_NS)
    assert projection.is_due


async def _fill(log: Log, begin: int) -> None:
    for number in range(begin, begin + 40):
        await log.append_batch(batch(number, SENDER, rows=500))
