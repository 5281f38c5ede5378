"""When the field process itself is away: its points turn bad, once, and after a while only."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from scripted import NODE, S, settle, wait_for

from penstock.log import Log, LogSettings
from penstock.model import Batch, Frame, Origin, Point, Quality, TextColumn, ValueKind
from penstock.node.core.absence import AbsenceWatch, absent_blocks, absent_frames
from penstock.registry import Snapshot
from penstock.testing import FakeClock
from penstock.testing.disk import FakeDisk

FED = Point(UUID(int=1), 1, "w/a", "w", "a", ValueKind.FLOAT, connector="plc", device="d")
OWN = Point(
    UUID(int=4), 4, "system/n/plc/d/connected", "system/n/plc/d", "connected", ValueKind.INT,
    connector="plc", device="d",
)  # fmt: skip
POINTS = [
    FED,
    replace(FED, id=UUID(int=2), handle=2, path="w/b", kind=ValueKind.INT),
    replace(FED, id=UUID(int=3), handle=3, path="w/c", kind=ValueKind.TEXT),
    OWN,
    replace(FED, id=UUID(int=5), handle=5, path="w/loose", connector=None),
]
ORIGIN = Origin(NODE, 0, 1)


class Bench:
    """The watch with its log and its clock."""

    def __init__(self, log: Log, clock: FakeClock) -> None:
        self.log = log
        self.clock = clock
        self.snapshot = Snapshot.of(1, (), POINTS)
        self.before: list[int] = []
        self.watch = AbsenceWatch(
            log, lambda: self.snapshot, ORIGIN, clock, itertools.count(1), self._note
        )

    async def _note(self) -> None:
        """What has to come first: how many batches there were when it was asked for."""
        self.before.append(len(self.batches()))

    async def after(self, seconds: float) -> None:
        await settle()
        self.clock.advance(int(seconds * S))
        await settle()

    def batches(self) -> list[Batch]:
        return [item.payload for item in self.log.read(0) if isinstance(item.payload, Batch)]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    clock = FakeClock()
    log = await Log.open(
        Path("/data/log/0"),
        disk=FakeDisk(),
        clock=clock,
        origin=ORIGIN,
        settings=LogSettings(linger_ms=0, ballast_bytes=64 * 1024),
    )
    made = Bench(log, clock)
    yield made
    made.watch.close()
    await log.close()


def marks(frames: tuple[Frame, ...]) -> dict[int, tuple[object, int, int]]:
    """(value, quality, flags) by handle."""
    found: dict[int, tuple[object, int, int]] = {}
    for frame in frames:
        is_text = isinstance(frame.value, TextColumn)
        values = frame.value.to_list() if is_text else frame.value.tolist()  # type: ignore[union-attr]
        for at, handle in enumerate(frame.point.tolist()):
            assert handle not in found, "one row a point"
            found[handle] = (values[at], int(frame.quality[at]), int(frame.flags[at]))
    return found


def test_a_point_is_bad_and_a_device_does_not_answer() -> None:
    found = marks(absent_frames(POINTS[:4], 77))

    bad = Quality.BAD_NO_COMMUNICATION
    assert {1: bad, 2: bad, 3: bad, 4: Quality.GOOD} == {h: row[1] for h, row in found.items()}
    assert (0, Quality.GOOD, 2) == found[4]
    assert {1: 18, 2: 18, 3: 18} == {h: row[2] for h, row in found.items() if h != 4}
    assert {77} == {int(t) for f in absent_frames(POINTS[:4], 77) for t in f.time_ns}


def test_a_waveform_gets_a_bad_block_without_samples_instead_of_a_row() -> None:
    axis = replace(FED, handle=6, path="w/axis", kind=ValueKind.WAVEFORM)

    [block] = absent_blocks([FED, axis], 77)

    assert () == absent_frames([axis], 77)
    assert (6, 77, Quality.BAD_NO_COMMUNICATION, 18, 0) == (
        block.point,
        block.t0_ns,
        block.quality,
        block.flags,
        len(block.samples),
    )


async def test_an_absence_that_lasts_is_one_bad_row_a_point(bench: Bench) -> None:
    bench.watch.on_change(False)
    await bench.after(4.9)
    assert [] == bench.batches()

    await bench.after(0.2)
    await wait_for(lambda: len(bench.batches()) == 1)
    await bench.after(60)

    assert [0] == bench.before, "an outage of the node is marked first"
    assert {1, 2, 3, 4} == set(marks(bench.batches()[0].frames))
    assert 1 == len(bench.batches())


async def test_a_restart_says_nothing(bench: Bench) -> None:
    for _ in range(5):
        bench.watch.on_change(False)
        await bench.after(4)
        bench.watch.on_change(True)
        await bench.after(60)

    assert [] == bench.batches()


async def test_each_absence_is_said(bench: Bench) -> None:
    for number in (1, 2, 3):
        bench.watch.on_change(False)
        await bench.after(6)
        await wait_for(lambda number=number: len(bench.batches()) == number)  # type: ignore[misc]
        bench.watch.on_change(True)

    assert [1, 2, 3] == [batch.sequence for batch in bench.batches()]


async def test_the_points_are_those_of_the_moment(bench: Bench) -> None:
    bench.watch.on_change(False)
    bench.snapshot = Snapshot.of(2, (), [FED])
    await bench.after(6)
    await wait_for(lambda: len(bench.batches()) == 1)

    assert {1} == set(marks(bench.batches()[0].frames))


async def test_a_stop_is_no_absence(bench: Bench) -> None:
    bench.watch.on_change(False)
    bench.watch.close()
    await bench.after(60)

    assert [] == bench.batches()


async def test_nothing_that_is_fed_is_nothing_to_say(bench: Bench) -> None:
    bench.snapshot = Snapshot.of(2, (), [POINTS[4]])
    bench.watch.on_change(False)
    await bench.after(60)

    assert [] == bench.batches()
