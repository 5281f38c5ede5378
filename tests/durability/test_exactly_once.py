"""What "exactly once" means for each input that exists, from the sender to the history.

docs/explanation/durability.md has the table. Receipts of pushed packets and idempotency
keys are in tests/log/test_receipts.py, commands and acknowledgements beside their desks.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from penstock.codec.dictionary import DictionaryEntry, encode_dictionary
from penstock.codec.link import LinkType, decode_acknowledge, decode_credit
from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.historian.query import raw
from penstock.link.downlink import Downlink
from penstock.link.session import Session
from penstock.link.uplink import Uplink
from penstock.log import Log, LogSettings
from penstock.model import Batch, Flag, Frame, Origin, ValueKind
from penstock.testing import FakeClock, frame
from penstock.testing.disk import FakeDisk

NODE, POINT, HANDLE = UUID(int=1), UUID(int=101), 1
FIELD = Origin(NODE, 1, 7)
T0 = 1_790_000_000_000_000_000
SETTINGS = LogSettings(linger_ms=0, ballast_bytes=65_536)


class Core:
    """A log and its historian on a disk that outlives them."""

    def __init__(self) -> None:
        self.disk = FakeDisk()
        self.clock = FakeClock()
        self.starts = 0

    async def start(self) -> None:
        self.starts += 1
        self.log = await Log.open(
            Path("/data/log/0"),
            disk=self.disk,
            clock=self.clock,
            origin=Origin(NODE, 0, self.starts),
            settings=SETTINGS,
        )
        historian = Historian.open(self.disk, Path("/data/segments"), HistorianSettings())
        self.worker = HistorianWorker(historian, self.log, self.clock)

    async def die(self) -> None:
        """What was synced is there; nothing is flushed, nobody is told."""
        await self.worker.close(flush=False)
        await self.log.close()

    async def batches(self) -> list[tuple[Origin, int]]:
        records = self.log.read(0, 10_000)
        found = [item.payload for item in records if isinstance(item.payload, Batch)]
        return [(item.origin, item.sequence) for item in found]

    async def history(self) -> list[float]:
        await self.worker.take_available()
        rows, _ = raw(self.worker.historian.pin([HANDLE]), HANDLE, T0 - 1, 2**62, 10_000)
        assert isinstance(rows.value, np.ndarray)
        found: list[float] = rows.value.tolist()
        return found


@pytest.fixture
async def core() -> AsyncIterator[Core]:
    made = Core()
    await made.start()
    yield made
    await made.die()


class Way:
    """One link from a sender to the core; without `is_told` no acknowledgement arrives."""

    def __init__(self, uplink: Uplink, *, is_told: bool = True) -> None:
        self.uplink = uplink
        self.is_told = is_told
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self, log: Log) -> None:
        ours, theirs = socket.socketpair()
        self.receiver, self.sender = await Session.over(theirs), await Session.over(ours)
        downlink = Downlink(self.receiver, log, lambda _id: HANDLE)
        self._tasks = [
            asyncio.create_task(self._receive(downlink)),
            asyncio.create_task(self._hear()),
        ]
        entry = DictionaryEntry(HANDLE, POINT, ValueKind.FLOAT, "w/p")
        self.sender.send(LinkType.DICTIONARY, [encode_dictionary([entry])])
        self.uplink.attach(self.sender, downlink.open())

    async def _receive(self, downlink: Downlink) -> None:
        async for header, payload in self.receiver.frames():
            if header.type == LinkType.BATCH:
                downlink.on_batch(payload)
            elif header.type == LinkType.DICTIONARY:
                downlink.on_dictionary(payload)

    async def _hear(self) -> None:
        async for header, payload in self.sender.frames():
            if header.type == LinkType.CREDIT:
                self.uplink.on_credit(decode_credit(payload))
            elif header.type == LinkType.ACKNOWLEDGE and self.is_told:
                self.uplink.on_acknowledge(decode_acknowledge(payload))

    async def cut(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        self.uplink.detach()
        await self.receiver.close()
        await self.sender.close()


def samples(numbers: Sequence[int], flags: int = 0) -> Frame:
    rows = len(numbers)
    return Frame(
        np.full(rows, HANDLE, np.uint32),
        np.array([T0 + number * 10**9 for number in numbers], np.int64),
        np.array(numbers, np.float64),
        np.full(rows, 192, np.uint8),
        np.full(rows, flags, np.uint8),
    )


async def wait_durable(core: Core, count: int) -> None:
    async with asyncio.timeout(10):
        while len(await core.batches()) < count:
            await core.log.wait_beyond(core.log.durable)


async def test_core_that_dies_between_sync_and_acknowledgement_gets_each_batch_once(
    core: Core,
) -> None:
    """The sender knows nothing and sends all of it again, with the same numbers."""
    uplink = Uplink(FIELD)
    deaf = Way(uplink, is_told=False)
    await deaf.connect(core.log)
    for number in range(20):
        uplink.put([samples([number])])
    await wait_durable(core, 20)
    await deaf.cut()
    await core.die()
    await core.start()
    assert 20 == uplink.statistics()["pending_batches"]

    path = Way(uplink)
    await path.connect(core.log)
    uplink.put([samples([20])])
    async with asyncio.timeout(10):
        await uplink.wait_acknowledged()

    assert [(FIELD, number) for number in range(1, 22)] == await core.batches()
    assert [float(number) for number in range(21)] == await core.history()
    await path.cut()


async def test_a_batch_that_comes_by_two_ways_is_there_once(core: Core) -> None:
    """Two relays that both kept it: the origin's number travels unchanged."""
    ways = [Uplink(FIELD), Uplink(FIELD)]
    paths = [Way(uplink) for uplink in ways]
    for path in paths:
        await path.connect(core.log)
    for number in range(20):
        for uplink in ways:
            uplink.put([samples([number])])
    async with asyncio.timeout(10):
        for uplink in ways:
            await uplink.wait_acknowledged()

    assert [(FIELD, number) for number in range(1, 21)] == sorted(
        await core.batches(), key=lambda item: item[1]
    )
    assert 20 == core.log.statistics()["duplicates"]
    for path in paths:
        await path.cut()


async def test_samples_with_a_time_of_their_source_collapse_in_the_history(core: Core) -> None:
    """Sent again in other batches, cut in another way, by a sender that has started anew."""
    again = Origin(NODE, 1, 8)
    await core.log.append_batch(Batch(FIELD, 1, (samples(range(10)),)))
    await core.log.append_batch(Batch(again, 1, (samples(range(3)),)))
    await core.log.append_batch(Batch(again, 2, (samples(range(3, 15)),)))

    assert [float(number) for number in range(15)] == await core.history()
    await core.worker.flush_now()
    await core.log.append_batch(Batch(again, 3, (samples(range(15)),)))
    assert [float(number) for number in range(15)] == await core.history()


async def test_different_values_of_one_time_are_both_kept_but_a_correction_replaces(
    core: Core,
) -> None:
    other = samples([3])
    other.value[0] = 99.0  # type: ignore[index]
    await core.log.append_batch(Batch(FIELD, 1, (samples(range(5)),)))
    await core.log.append_batch(Batch(FIELD, 2, (other,)))
    assert [0.0, 1.0, 2.0, 3.0, 99.0, 4.0] == await core.history()

    replaced = samples([3], flags=int(Flag.CORRECTION))
    replaced.value[0] = 7.0  # type: ignore[index]
    await core.log.append_batch(Batch(FIELD, 3, (replaced,)))
    assert [0.0, 1.0, 2.0, 7.0, 4.0] == await core.history()


async def test_a_poll_without_a_time_of_its_source_is_at_least_once(core: Core) -> None:
    """Read again it has another time, so it is another sample; nothing could tell."""
    for number, time_ns in enumerate((T0, T0 + 1), 1):
        columns = frame(HANDLE, [time_ns], [5.0])
        await core.log.append_batch(Batch(FIELD, number, (columns,)))

    assert [5.0, 5.0] == await core.history()
