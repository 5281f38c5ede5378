"""The time in which the node was off: marked once, at its begin, and only where nobody measured."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from scripted import NODE, S, wait_for

from penstock.codec.dictionary import DictionaryEntry
from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.log import Log, LogSettings
from penstock.model import Batch, Block, Frame, Origin, Point, Quality, TextColumn, ValueKind
from penstock.node.core.outage import OutageMark
from penstock.registry import Snapshot
from penstock.testing import FakeClock
from penstock.testing.disk import FakeDisk

LOG, SEGMENTS = Path("/data/log/0"), Path("/data/segments")
FED = Point(UUID(int=1), 1, "w/a", "w", "a", ValueKind.FLOAT, connector="plc", device="d")
COUNT = replace(FED, id=UUID(int=2), handle=2, path="w/b", kind=ValueKind.INT)
TEXT = replace(FED, id=UUID(int=3), handle=3, path="w/c", kind=ValueKind.TEXT)
WAVE = replace(FED, id=UUID(int=4), handle=4, path="w/axis", kind=ValueKind.WAVEFORM)
LOOSE = replace(FED, id=UUID(int=5), handle=5, path="w/loose", connector=None)
SILENT = replace(FED, id=UUID(int=6), handle=6, path="w/silent")
OWN = replace(COUNT, id=UUID(int=7), handle=7, path="system/n/plc/d/connected")
POINTS = [FED, COUNT, TEXT, WAVE, LOOSE, SILENT, OWN]
FIELD = Origin(NODE, 1, 1)
BAD = int(Quality.BAD_NO_COMMUNICATION)


class Node:
    """Log, history and mark of a node that starts, and starts again."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.disk = FakeDisk()
        self.starts = itertools.count(1)
        self.sent = itertools.count(1)

    async def start(self) -> None:
        origin = Origin(NODE, 0, next(self.starts))
        settings = LogSettings(linger_ms=0, ballast_bytes=64 * 1024)
        self.log = await Log.open(
            LOG, disk=self.disk, clock=self.clock, origin=origin, settings=settings
        )
        span = self.log.first_sequence, self.log.durable
        historian = Historian.open(self.disk, SEGMENTS, HistorianSettings(), span)
        self.worker = HistorianWorker(historian, self.log, self.clock)
        self.mark = OutageMark(
            self.log,
            self.worker,
            lambda: Snapshot.of(1, (), POINTS),
            origin,
            self.clock,
            itertools.count(1),
        )
        self.running = asyncio.create_task(self.worker.run())

    async def stop(self, seconds: float = 0) -> None:
        """Off for a while; nothing is said at the end, as when the power goes."""
        self.mark.close()
        self.running.cancel()
        await asyncio.wait([self.running])
        await self.worker.close(flush=False)
        await self.log.close()
        self.clock.advance(int(seconds * S))

    async def put(self, *frames: Frame, blocks: tuple[Block, ...] = ()) -> None:
        sequence = await self.log.append_batch(Batch(FIELD, next(self.sent), frames, blocks))
        await self.worker.wait_read(sequence)

    async def put_all(self) -> None:
        """A good sample of each point but the silent one."""
        now_ns = self.clock.now_ns()
        texts = TextColumn.of(["open"])
        block = Block(WAVE.handle, now_ns, 10.0, np.ones(3, np.float32))
        await self.put(
            rows([FED.handle, LOOSE.handle], np.array([1.5, 2.5]), now_ns),
            rows([COUNT.handle, OWN.handle], np.array([3, 1]), now_ns),
            rows([TEXT.handle], texts, now_ns),
            blocks=(block,),
        )

    async def settled(self, field: Origin) -> None:
        await self.mark.on_greeting(field)
        if self.mark._writing is not None:
            await self.mark._writing
        await self.worker.wait_read(self.log.durable)

    def batches(self) -> list[Batch]:
        """What core itself has written."""
        found = [item.payload for item in self.log.read(0) if isinstance(item.payload, Batch)]
        return [item for item in found if item.origin.slot == 0]

    def newest(self, point: Point) -> tuple[int, int]:
        last = self.worker.historian.last.rows([point.handle])
        return int(last.time_ns[0]), int(last.quality[0])


def rows(handles: list[int], value: object, time_ns: int, quality: int = Quality.GOOD) -> Frame:
    count = len(handles)
    return Frame(
        np.array(handles, np.uint32),
        np.full(count, time_ns, np.int64),
        value,  # type: ignore[arg-type]
        np.full(count, quality, np.uint8),
        np.zeros(count, np.uint8),
    )


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    made = Node()
    await made.start()
    known = [DictionaryEntry(p.handle, p.id, p.kind, p.path) for p in POINTS]
    await made.log.append_dictionary(known)
    yield made
    await made.stop()


def again() -> Origin:
    """A field process that has just started."""
    return replace(FIELD, incarnation=FIELD.incarnation + 1)


async def test_each_fed_point_turns_bad_from_the_last_sign_of_life(node: Node) -> None:
    await node.put_all()
    node.clock.advance(2 * S)
    heard_ns = node.clock.now_ns()
    await node.put(rows([COUNT.handle], np.array([4]), heard_ns - S))
    await node.stop(seconds=3_600)
    await node.start()
    await node.settled(again())

    [batch] = node.batches()
    assert {1, 2, 3, 7} == {int(h) for frame in batch.frames for h in frame.point}
    assert {heard_ns} == {int(t) for frame in batch.frames for t in frame.time_ns}
    assert {BAD} == {int(q) for frame in batch.frames for q in frame.quality}
    assert {18} == {int(flags) for frame in batch.frames for flags in frame.flags}
    [block] = batch.blocks
    assert (WAVE.handle, heard_ns, BAD, 0) == (
        block.point, block.t0_ns, block.quality, len(block.samples),
    )  # fmt: skip
    assert (heard_ns, BAD) == node.newest(FED)
    assert Quality.GOOD == node.newest(LOOSE)[1], "nobody stopped measuring it"


async def test_a_start_that_dies_again_and_again_says_it_once(node: Node) -> None:
    await node.put_all()
    for _ in range(4):
        await node.stop(seconds=60)
        await node.start()
        await node.settled(again())

    assert 1 == len(node.batches())


async def test_starts_that_came_to_nothing_do_not_move_the_begin(node: Node) -> None:
    await node.put_all()
    heard_ns = node.clock.now_ns()
    for _ in range(3):  # each opens the log, and dies before a field process is there
        await node.stop(seconds=60)
        await node.start()
    await node.settled(again())

    assert (heard_ns + 1, BAD) == node.newest(FED)


async def test_each_outage_is_marked(node: Node) -> None:
    for number in (1, 2, 3):
        await node.put_all()
        await node.stop(seconds=60)
        await node.start()
        await node.settled(again())
        assert number == len(node.batches())
        node.clock.advance(S)


async def test_what_was_bad_before_keeps_its_reason(node: Node) -> None:
    now_ns = node.clock.now_ns()
    failed = rows([FED.handle], np.array([np.nan]), now_ns, Quality.BAD_SENSOR_FAILURE)
    await node.put(failed)
    await node.stop(seconds=60)
    await node.start()
    await node.settled(again())

    assert [] == node.batches()
    assert (now_ns, Quality.BAD_SENSOR_FAILURE) == node.newest(FED)


async def test_a_field_process_that_outlived_core_has_missed_nothing(node: Node) -> None:
    """It hands over what it has kept; a mark would be a gap that never was."""
    await node.put_all()
    await node.stop(seconds=5)
    await node.start()
    await node.settled(FIELD)
    await node.mark.settle()

    assert [] == node.batches()


async def test_the_mark_is_in_the_log_before_what_the_field_sends(node: Node) -> None:
    await node.put_all()
    await node.stop(seconds=60)
    await node.start()
    await node.mark.on_greeting(again())
    fresh = rows([FED.handle], np.array([9.0]), node.clock.now_ns())
    await node.log.append_batch(Batch(again(), 1, (fresh,)))

    found = [item.payload for item in node.log.read(0) if isinstance(item.payload, Batch)]
    assert [(1, 1), (0, 2), (1, 2)] == [(b.origin.slot, b.origin.incarnation) for b in found]


async def test_a_sample_of_a_clock_that_runs_ahead_is_not_overtaken(node: Node) -> None:
    ahead_ns = node.clock.now_ns() + 10 * S
    await node.put(rows([FED.handle], np.array([1.0]), ahead_ns))
    await node.stop(seconds=1)
    await node.start()
    await node.settled(again())

    assert (ahead_ns + 1, BAD) == node.newest(FED)


async def test_without_a_field_process_it_is_marked_all_the_same(node: Node) -> None:
    await node.put_all()
    await node.stop(seconds=60)
    await node.start()
    await node.mark.settle()
    await wait_for(lambda: len(node.batches()) == 1)


async def test_a_node_without_history_has_nothing_to_mark(node: Node) -> None:
    await node.settled(again())

    assert [] == node.batches()
