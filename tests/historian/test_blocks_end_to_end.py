"""Blocks through log, head, flush, restart, compaction: against an oracle, across power cuts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from block_kit import FOLDER, T0, WIDE, S, Store, burst, vibration
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.historian.block_query import blocks, one_block, visible_blocks
from penstock.historian.compaction import compact_once
from penstock.historian.encode import DecimalHints
from penstock.historian.query import Snapshot
from penstock.log import Log, LogSettings
from penstock.model import Batch, Block, Flag, NotConnected, Origin, Refused
from penstock.testing import FakeClock
from penstock.testing.disk import FakeDisk, PowerCut

CORRECTION = int(Flag.CORRECTION)
LATER_NS = T0 + 30 * 86_400 * S
Key = tuple[int, float, bytes, str, int, int]


def key_of(block: Block) -> Key:
    """All that makes a Block."""
    content = block.samples.tobytes(), block.samples.dtype.str
    return block.t0_ns, block.dt_ns, *content, block.quality, block.flags


def oracle(log: list[tuple[Block, ...]], sequence: int) -> list[Key]:
    """Visible Blocks of a point as of a log record, in ten lines.

    A Block that comes again after a correction has replaced it does not come back.
    """
    moments: dict[int, list[Key]] = {}
    seen: set[object] = set()
    for record in log[:sequence]:
        for key in map(key_of, record):
            moment = moments.setdefault(key[0], [])
            if key[5] & CORRECTION:
                moment.clear()
            elif key[:5] in seen:
                continue
            seen.add(key[:5])
            moment.append(key)
    return [key for t0_ns in sorted(moments) for key in moments[t0_ns]]


def found(snapshot: Snapshot, point: int = 1) -> list[Key]:
    seen = visible_blocks(snapshot, point, *WIDE)
    read = [seen.read(row) for row in range(len(seen))]
    assert None not in read
    return [key_of(block) for block in read if block is not None]


SAMPLES = [
    np.array([1, 2, 3], "<i2"),
    np.array([1, 3, 2], "<i2"),
    np.array([1, 2, 3], "<f4"),
    np.array([np.inf], "<f4"),
    np.array([np.nan, 1], "<f4"),
    np.arange(200, dtype="<i4"),
]
one = st.builds(
    Block,
    st.just(1),
    st.sampled_from([T0, T0 + S, T0 + 86_400 * S, T0 - S]),
    st.sampled_from([39_062.5, 1e9]),
    st.sampled_from(SAMPLES),
    quality=st.sampled_from([192, 192, 4]),
    flags=st.sampled_from([0, 0, 0, 2, CORRECTION]),
)
scripts = st.lists(
    st.one_of(
        st.lists(one, min_size=1, max_size=3).map(tuple),
        st.sampled_from(["flush", "restart", "compact"]),
    ),
    max_size=14,
)


def play(store: Store, step: tuple[Block, ...] | str) -> None:
    if isinstance(step, tuple):
        store.take(*step)
    elif step == "restart":
        store.restart()
    elif step == "flush" and store.historian.has_unwritten:
        store.flush()
    elif step == "compact":
        compact(store.historian, store.disk, FOLDER)


def compact(historian: Historian, disk: FakeDisk, folder: Path) -> bool:
    few = HistorianSettings(compaction_segments_min=2)
    proposal = compact_once(
        disk,
        folder,
        historian.manifest,
        few,
        DecimalHints(),
        lambda _: None,
        lambda: False,
        now_ns=LATER_NS,
    )
    if proposal is not None:
        historian.swap(proposal)
    return proposal is not None


@given(script=scripts)
@settings(max_examples=100, deadline=None)
def test_what_is_visible_is_what_the_oracle_says_as_of_every_record(
    script: list[tuple[Block, ...] | str],
) -> None:
    store = Store()
    for step in script:
        play(store, step)

    for sequence in range(1, len(store.log) + 1):
        assert oracle(store.log, sequence) == found(store.pin().at_sequence(sequence))


def test_a_compaction_copies_each_block_to_the_byte() -> None:
    store = Store()
    given_ = [burst(vibration(2_000, n), T0 + n * S) for n in range(6)]
    for block in given_:
        store.take(block)
        store.flush()
    before = found(store.pin())

    assert compact(store.historian, store.disk, FOLDER)

    assert [key_of(block) for block in given_] == before == found(store.pin())
    [info] = store.historian.manifest.segments
    assert 6 * 2_000 == info.rows


# --- power cuts


class Plant:
    """A log and a historian on a disk that can be cut off, and a sensor with three axes."""

    def __init__(self) -> None:
        self.disk = FakeDisk()
        self.clock = FakeClock()
        self.starts = 0
        self.accepted: list[tuple[Block, ...]] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[HistorianWorker]:
        self.starts += 1
        self.origin = Origin(UUID(int=7), 0, self.starts)
        self.log = await Log.open(
            Path("/data/log/0"),
            disk=self.disk,
            clock=self.clock,
            origin=self.origin,
            settings=LogSettings(linger_ms=0),
        )
        settings_ = HistorianSettings(head_block_bytes_max=4 * 1024 * 1024)
        historian = Historian.open(self.disk, FOLDER, settings_)
        worker = HistorianWorker(historian, self.log, self.clock)
        try:
            yield worker
        finally:
            await worker.close(flush=False)
            await asyncio.gather(self.log.close(), return_exceptions=True)

    def next_blocks(self) -> tuple[Block, ...]:
        """A second of 25.6 kHz on each axis."""
        number = len(self.accepted)
        t0_ns = T0 + number * S
        return tuple(
            burst(vibration(25_600, 3 * number + axis, number * 25_600), t0_ns, point=axis)
            for axis in (1, 2, 3)
        )

    async def send(self) -> None:
        """One batch; accepted only when the log has said so."""
        given_ = self.next_blocks()
        batch = Batch(self.origin, len(self.accepted) + 1, (), given_)
        await self.log.append_batch(batch)
        self.accepted.append(given_)


async def work(plant: Plant, worker: HistorianWorker, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 6)):
        await plant.send()
        await worker.take_available()
        if chance.random() < 0.4:
            worker.historian.seal(plant.log.incarnation)
            worker.historian.adopt(worker.historian.write())
        if chance.random() < 0.3:
            compact(worker.historian, plant.disk, FOLDER)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(4, 60))]
)
async def test_a_power_cut_anywhere_loses_doubles_and_changes_no_block(seed: int) -> None:
    """Cuts in log, flush, manifest and compaction; what was not acknowledged is sent again."""
    plant, chance = Plant(), random.Random(seed)
    cuts = 0
    for _ in range(4):
        async with plant.running() as worker:
            await worker.take_available()
            plant.disk.fail_at(chance.randint(1, 30), PowerCut())
            try:
                await work(plant, worker, chance)
            except (PowerCut, OSError, Refused, NotConnected):
                cuts += 1
        plant.disk.power_cut(seed=chance.randint(0, 10**6))
    async with plant.running() as worker:
        await plant.send()
        await worker.take_available()
        snapshot = worker.historian.pin([1, 2, 3])
        for axis in (1, 2, 3):
            expected = [key_of(record[axis - 1]) for record in plant.accepted]
            assert expected == found(snapshot, axis)
            heads, _ = blocks(snapshot, axis, *WIDE, limit=10_000)
            assert len(expected) == len(heads)
        assert 0 == worker.historian.statistics()["damaged_chunks"]
        newest = plant.accepted[-1][0]
        assert key_of(newest) == key_of(one_block(snapshot, 1, newest.t0_ns))
    assert cuts
