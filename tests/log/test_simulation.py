"""Seeded simulation: power cuts and disk faults at any call, resends, restarts.

The log runs without its thread, so that a seed is a schedule. The oracle is a list:
what was acknowledged must be read back, once, in its order, after whatever happened.
"""

from __future__ import annotations

import asyncio
import errno
import random
from dataclasses import dataclass, field

import pytest
import structlog
from partition import FOLDER, NODE, OWN, batch, event

from penstock.log import Log, LogRecord, LogSettings, RecordKind
from penstock.log.log import open_writer
from penstock.model import Batch, Event, Origin, Refused
from penstock.testing import FakeClock
from penstock.testing.disk import FakeDisk, PowerCut

SENDERS = [Origin(NODE, slot, 1) for slot in (1, 2, 3)]
SETTINGS = LogSettings(
    linger_ms=0,
    file_bytes_max=4096,
    cache_bytes_max=1000,
    ballast_bytes=4096,
    group_bytes_max=2048,
)
Key = tuple[Origin, int]


@dataclass
class World:
    """Disk, senders and the oracle of one schedule."""

    chance: random.Random
    disk: FakeDisk = field(default_factory=FakeDisk)
    clock: FakeClock = field(default_factory=FakeClock)
    log: Log | None = None
    next_number: dict[Origin, int] = field(default_factory=lambda: dict.fromkeys(SENDERS, 1))
    pending: dict[Key, asyncio.Future[int]] = field(default_factory=dict)
    unacknowledged: set[Key] = field(default_factory=set)
    acknowledged: set[Key] = field(default_factory=set)
    events: list[tuple[int, asyncio.Future[int]]] = field(default_factory=list)
    acknowledged_events: set[int] = field(default_factory=set)
    seen: list[LogRecord] = field(default_factory=list)
    event_count: int = 0
    cuts: int = 0

    def boot(self) -> None:
        """Open as Log.open does, without the thread."""
        page, writer, recovered = open_writer(
            FOLDER, disk=self.disk, clock=self.clock, origin=OWN, settings=SETTINGS
        )
        log = Log(
            FOLDER,
            disk=self.disk,
            origin=OWN,
            settings=SETTINGS,
            page=page,
            writer=writer,
            recovered=recovered,
        )
        log._note_recovery(recovered)
        log._resolve(writer.commit(log._damage.take()))
        self.log = log

    def commit(self) -> None:
        """One turn of the writer's thread."""
        assert self.log is not None
        if group := self.log._queue.take_nowait():
            self.log._resolve(self.log._writer.commit(group))
        self._collect()

    def _collect(self) -> None:
        for key, future in list(self.pending.items()):
            if future.done():
                del self.pending[key]
                if future.exception() is None:
                    self.acknowledged.add(key)
                    self.unacknowledged.discard(key)
        for number, future in self.events:
            if future.done() and future.exception() is None:
                self.acknowledged_events.add(number)
        self.events = [item for item in self.events if not item[1].done()]

    def send(self) -> None:
        """A new batch, or one again of which the sender does not know."""
        assert self.log is not None
        again = sorted(self.unacknowledged, key=lambda key: (key[0].slot, key[1]))
        known = sorted(self.acknowledged, key=lambda key: (key[0].slot, key[1]))
        roll = self.chance.random()
        if again and roll < 0.3:
            key = self.chance.choice(again)
        elif known and roll < 0.4:
            key = self.chance.choice(known)
        else:
            origin = self.chance.choice(SENDERS)
            key = (origin, self.next_number[origin])
            self.next_number[origin] += 1
        self.offer(key)

    def offer(self, key: Key) -> None:
        assert self.log is not None
        if key not in self.acknowledged:
            self.unacknowledged.add(key)
        try:
            future = self.log.append_batch_nowait(batch(key[1], key[0], 1 + key[1] % 5))
        except Refused:
            return
        self.pending[key] = future

    def send_event(self) -> None:
        assert self.log is not None
        self.event_count += 1
        entry = self.log._event_entry(event(self.event_count))
        if self.log.small_credit.acquire_nowait(entry.size):
            self.events.append((self.event_count, self.log._put(entry)))

    def crash(self) -> None:
        """The power is gone: forget all that was in memory."""
        self.cuts += 1
        self.disk.power_cut(self.chance.getrandbits(32))
        self.kill()

    def kill(self) -> None:
        """The process is gone; what it had written is still in the kernel."""
        self.log = None
        self.pending.clear()
        self.events.clear()

    def check(self) -> None:
        """Read everything from the start and compare with the oracle and what readers saw."""
        assert self.log is not None
        found: list[LogRecord] = []
        while records := self.log.read(found[-1].sequence if found else 0, records_max=5):
            found += records
        keys = [
            (item.payload.origin, item.payload.sequence)
            for item in found
            if isinstance(item.payload, Batch)
        ]
        events = [int(item.payload.id) for item in found if isinstance(item.payload, Event)]
        assert len(keys) == len(set(keys)), "doubled"
        assert self.acknowledged <= set(keys), "lost"
        assert self.acknowledged_events <= set(events), "event lost"
        assert sorted(events) == events
        now = {item.sequence: item for item in found}
        assert sorted(now) == [item.sequence for item in found]
        missing = set(range(1, self.log.durable + 1)) - set(now)
        assert missing == torn(found), "missing and not said, or said and not missing"
        for old in self.seen:
            assert old.kind == now[old.sequence].kind
            assert old.receive_ns == now[old.sequence].receive_ns
        times = [item.receive_ns for item in found]
        assert sorted(times) == times
        assert all(self.log.received.has(*key) for key in keys)
        self.seen = found


def torn(found: list[LogRecord]) -> set[int]:
    """Sequences that gap records name: a group of which a power cut left the end alone."""
    gaps = [item.payload for item in found if item.kind == RecordKind.GAP]
    spans = [(int(gap["first_sequence"]), int(gap["last_sequence"])) for gap in gaps]
    return {number for first, last in spans for number in range(first, last + 1)}


def act(world: World) -> None:
    """One random step."""
    roll = world.chance.random()
    if roll < 0.45:
        world.send()
    elif roll < 0.55:
        world.send_event()
    elif roll < 0.9:
        world.commit()
    elif roll < 0.93:
        world.clock.advance(world.chance.randint(0, 10**9))
    elif roll < 0.94:
        world.clock.jump(-(10**9))
    elif roll < 0.95:
        world.check()
    elif roll < 0.96:
        world.kill()
    else:
        inject(world)


def inject(world: World) -> None:
    """A fault at a random call in the near future, or less space, or more."""
    call = world.chance.randint(1, 8)
    kind = world.chance.random()
    if kind < 0.5:
        world.disk.fail_at(call, PowerCut())
    elif kind < 0.75:
        for following in range(world.chance.randint(1, 4)):
            world.disk.fail_at(call + following, OSError(errno.EIO, "simulated"))
    elif kind < 0.85:
        world.disk.fail_at(call, OSError(errno.ENOSPC, "simulated"))
    elif kind < 0.93:
        world.disk.capacity_bytes = world.disk.used_bytes() + world.chance.randint(0, 3000)
    else:
        world.disk.capacity_bytes = None


async def run(seed: int, steps: int) -> World:
    """A whole schedule: random steps, then heal, resend everything, and count."""
    world = World(random.Random(seed))
    for _ in range(steps):
        try:
            if world.log is None:
                world.boot()
                world.check()
            act(world)
        except PowerCut:
            world.crash()
        except OSError:
            world.kill()
    world.crash()
    world.disk.capacity_bytes = None
    world.boot()
    for key in sorted(world.unacknowledged, key=lambda key: (key[0].slot, key[1])):
        world.offer(key)
        world.commit()
    world.check()
    sent = {(origin, n) for origin in SENDERS for n in range(1, world.next_number[origin])}
    assert sent == world.acknowledged
    return world


async def run_all(seeds: range) -> tuple[int, int]:
    """Power cuts and acknowledged batches; the failing seed is in the message."""
    cuts = acknowledged = 0
    with structlog.testing.capture_logs() as logs:
        for seed in seeds:
            try:
                world = await run(seed, steps=60)
            except AssertionError as error:
                raise AssertionError(f"seed {seed}: {error}") from error
            logs.clear()
            cuts += world.cuts
            acknowledged += len(world.acknowledged)
    return cuts, acknowledged


@pytest.mark.slow
async def test_random_schedules_lose_nothing_and_double_nothing() -> None:
    cuts, acknowledged = await run_all(range(900))

    assert cuts > 1_200
    assert acknowledged > 10_000


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_many_more_schedules() -> None:
    await run_all(range(100_000, 150_000))


async def test_pages_that_a_failed_sync_left_behind_are_written_again_at_the_next_start() -> None:
    """Neither the sync nor the cut succeeds, the process dies, and its successor reads the tail.

    It looks whole, but it is in the kernel's memory alone, and no sync would change that.
    """
    world = World(random.Random(0))
    world.boot()
    world.offer((SENDERS[0], 1))
    for call in range(2, 8):
        world.disk.fail_at(call, OSError(errno.EIO, "simulated"))
    world.commit()
    world.kill()
    world.disk.medium.faults.clear()
    world.boot()
    world.offer((SENDERS[0], 1))
    world.commit()
    assert {(SENDERS[0], 1)} == world.acknowledged

    world.crash()
    world.boot()

    world.check()


@pytest.mark.parametrize("seed", range(3))
async def test_the_oracle_notices_a_disk_that_lies(seed: int) -> None:
    """A sync that does nothing must fail the check, or the check is worth nothing."""
    world = World(random.Random(seed))
    world.boot()
    for content in world.disk.medium.files.values():
        content.is_stuck = True
    for _ in range(20):
        world.send()
        world.commit()
    for content in world.disk.medium.files.values():
        del content.data[content.durable :]
    world.log = None
    world.boot()

    with pytest.raises(AssertionError):
        world.check()
