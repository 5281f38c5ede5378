"""Pins: a snapshot in another process answers what core answers, whatever core does meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_compute import RealCompute
from scripted import NODE, wait_for

from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.historian.block_query import blocks, one_block
from penstock.historian.manifest import Proposal
from penstock.historian.query import Snapshot, raw
from penstock.log import Log, LogSettings
from penstock.model import Batch, Block, Flag, Frame, Origin, Quality, Refused, TextColumn
from penstock.model.event import Json
from penstock.node.compute.pins import bitmap_of
from penstock.node.core import pins as module
from penstock.node.core.compute_link import ComputeLink
from penstock.node.core.pins import LEASE_S, Pins
from penstock.node.spool import Spool
from penstock.testing import FakeClock
from penstock.world import SystemDisk

Document = dict[str, Json]
T0 = 1_790_000_000_000_000_000
S = 1_000_000_000
WAVE = 7
POINTS = range(1, WAVE + 1)
READ_ALL = """
import json
import numpy as np
from penstock.node.compute import jobs
from penstock.node.compute.pins import pinned
def read_all(job, fields):
    from test_pins import answers
    handles = fields["handles"]
    wanted = None if handles is None else np.array(handles, np.uint32)
    with pinned(job, wanted, fields.get("to_ns")) as snapshot:
        job.ask("pinned", {})
        found = answers(snapshot, fields["asked"], fields.get("to_ns"))
        return {"answers": json.dumps(found), "damage": list(snapshot.store.damage)}
def hold(job, fields):
    with pinned(job) as snapshot:
        job.ask("pinned", {})
        while True:
            job.sleep(0.05)
jobs.HANDLERS |= {"read_all": read_all, "hold": hold}
"""


def answers(snapshot: Snapshot, handles: Any, to_ns: int | None = None) -> list[Any]:
    """Everything that a query may see of these points, to the bit."""
    found = []
    for handle in handles:
        end_ns = to_ns or 2**62
        if handle == WAVE:
            found.append(waves(snapshot, end_ns))
            continue
        rows, _ = raw(snapshot, handle, -(2**62), end_ns, 100_000)
        before = [snapshot.newest_before(handle, T0 + k * S // 2) for k in range(0, 200, 7)]
        found.append(
            [
                rows.time_ns.tolist(),
                bits(rows.value),
                rows.quality.tolist(),
                rows.flags.tolist(),
                rows.sequence.tolist(),
                [[row.time_ns.tolist(), bits(row.value)] for row in before]
                if to_ns is None
                else [],
                snapshot.kind(handle),
            ]
        )
    return [snapshot.sequence, found]


def waves(snapshot: Snapshot, end_ns: int) -> list[Any]:
    """Every Block whole."""
    heads, _ = blocks(snapshot, WAVE, 0, min(end_ns, 2**62), 1_000)
    return [
        [t0_ns, one_block(snapshot, WAVE, t0_ns, sequence).samples.tolist()]
        for t0_ns, sequence in zip(heads.t0_ns.tolist(), heads.sequence.tolist(), strict=True)
    ]


def bits(value: Any) -> Any:
    return value.to_list() if isinstance(value, TextColumn) else value.view(np.uint64).tolist()


class Bench:
    """Core's historian with a real log on a real disk, and a real compute process."""

    def __init__(self, home: Path, log: Log) -> None:
        self.home = home
        self.disk = SystemDisk()
        self.log = log
        self.chance = np.random.default_rng(4)
        folder = home / "data" / "segments"
        self.worker = HistorianWorker(
            Historian.open(self.disk, folder, HistorianSettings()), log, FakeClock()
        )
        self.folder = folder
        self.clock = FakeClock()
        settings: Document = {"spool_bytes_max": 10**8}
        self.link = ComputeLink(log, lambda _id: None, node=NODE, settings=settings)
        self.spool = Spool(self.disk, home / "data")
        self.pins = Pins(self.worker, self.link, self.disk, self.spool, self.clock)
        self.link.answers["pinned"] = self._pinned
        self.meanwhile: Callable[[], Awaitable[None]] = self.nothing
        self.pinned = 0
        self.sequence = 0
        path = str(Path(__file__).parent)
        self.compute = RealCompute(
            home, str(NODE), f"import sys; sys.path.append({path!r})" + READ_ALL
        )

    async def nothing(self) -> None:
        return

    async def _pinned(self, fields: Document) -> Document:
        self.pinned += 1
        await self.meanwhile()
        return {}

    async def write(self, batches: int = 4) -> None:
        """Rows in disorder, with repetitions and corrections, of all kinds."""
        for _ in range(batches):
            self.sequence += 1
            frames = (self.numbers(1, float), self.numbers(3, int), self.texts(5))
            samples = self.chance.integers(-999, 999, 300).astype(np.int16)
            t0_ns = T0 + self.sequence * 20 * S
            block = Block(WAVE, t0_ns, 1e6, samples, int(Quality.GOOD), 0)
            await self.log.append_batch(Batch(Origin(NODE, 1, 1), self.sequence, frames, (block,)))
        await self.worker.take_available()

    def columns(self, first: int) -> dict[str, Any]:
        rows = 40
        flags = self.chance.choice([0, 0, 0, int(Flag.CORRECTION)], rows)
        return {
            "point": self.chance.integers(first, first + 2, rows).astype(np.uint32),
            "time_ns": T0 + self.chance.integers(0, 100, rows) * S,
            "quality": self.chance.choice([Quality.GOOD, Quality.UNCERTAIN], rows).astype(np.uint8),
            "flags": flags.astype(np.uint8),
        }

    def numbers(self, first: int, kind: type) -> Frame:
        value = self.chance.integers(0, 4, 40).astype(np.int64 if kind is int else np.float64)
        return Frame(value=value, **self.columns(first))

    def texts(self, first: int) -> Frame:
        words = self.chance.choice(["", "run", "stop", "ä"], 40).tolist()
        return Frame(value=TextColumn.of(words), **self.columns(first))

    def swap_all(self) -> None:
        """As a compaction: every segment is replaced by a copy, the old files may go."""
        historian = self.worker.historian
        manifest = historian.manifest
        new = [replace(info, generation=info.generation + 1) for info in manifest.segments]
        for old, info in zip(manifest.segments, new, strict=True):
            data = self.disk.read(self.folder / old.name)
            self.disk.write_whole(self.folder / info.name, [data])
        names = tuple(info.name for info in manifest.segments)
        historian.swap(Proposal(manifest.version, names, tuple(new)))
        historian.forget_replaced()

    def expected(self, handles: Any = POINTS, to_ns: int | None = None) -> Any:
        """Core's own answer, as of now."""
        snapshot = self.worker.historian.pin([*handles])
        return json.loads(json.dumps(answers(snapshot, handles, to_ns)))

    async def ask(self, **fields: Json) -> Any:
        asked: Document = {"handles": None, "asked": [*POINTS], **fields}
        answer = await self.link.ask("read_all", asked)
        assert [] == answer["damage"]
        return json.loads(str(answer["answers"]))

    def files(self) -> set[str]:
        return {name for name in self.disk.list(self.folder) if name.endswith(".seg")}

    def left_in_spool(self) -> list[str]:
        return self.disk.list(self.spool.folder)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    log = await Log.open(
        tmp_path / "data" / "log" / "0",
        disk=SystemDisk(),
        clock=FakeClock(),
        origin=Origin(NODE, 0, 1),
        settings=LogSettings(linger_ms=0, ballast_bytes=64 * 1024),
    )
    made = Bench(tmp_path, log)
    try:
        await made.compute.link(made.link)
        yield made
    finally:
        await made.link.close()
        made.compute.close()
        await made.worker.close(flush=False)
        await log.close()


@pytest.mark.slow
async def test_another_process_sees_what_core_sees_while_core_flushes_compacts_and_deletes(
    bench: Bench,
) -> None:
    await bench.write()
    await bench.worker.flush_now()
    await bench.write()
    bench.worker.historian.seal(1)  # a flush is under way: rows lie in two heads
    await bench.write()
    expected, before = bench.expected(), bench.files()
    kept: list[set[str]] = []

    async def meanwhile() -> None:
        historian = bench.worker.historian
        historian.adopt(await asyncio.to_thread(historian.write))
        await bench.write()
        await bench.worker.flush_now()
        bench.swap_all()
        kept.append(bench.files())

    bench.meanwhile = meanwhile
    found = await bench.ask()

    assert expected == found
    assert bench.expected() != expected, "core has gone on"
    assert before < kept[0], "the replaced files stayed"
    await wait_for(lambda: not before & bench.files() and not bench.left_in_spool())


@pytest.mark.slow
@pytest.mark.parametrize("handles", [[2], [1, 4, 5], [6, 999]])
async def test_a_pin_of_some_points_has_them_whole(bench: Bench, handles: list[int]) -> None:
    await bench.write()
    await bench.worker.flush_now()
    await bench.write()

    assert bench.expected(handles) == await bench.ask(handles=handles, asked=handles)  # type: ignore[arg-type]


@pytest.mark.slow
async def test_a_pin_up_to_a_moment_has_all_rows_before_it(bench: Bench) -> None:
    await bench.write()
    to_ns = T0 + 50 * S
    expected = bench.expected(to_ns=to_ns)

    assert expected == await bench.ask(to_ns=to_ns)


@pytest.mark.slow
async def test_a_history_without_a_row_can_be_pinned(bench: Bench) -> None:
    found = await bench.ask(handles=[1], asked=[1])

    assert [0, [[[], [], [], [], []]]] == [found[0], [item[:5] for item in found[1]]]


@pytest.mark.slow
async def test_when_compute_dies_its_leases_end(bench: Bench) -> None:
    await bench.write()
    await bench.worker.flush_now()
    await bench.write()
    old = bench.files()
    asked = asyncio.ensure_future(bench.link.ask("hold", {}))
    await wait_for(lambda: bench.pinned == 1)
    bench.swap_all()
    assert old < bench.files()
    assert bench.left_in_spool()

    bench.compute.kill()
    with pytest.raises(Refused) as refused:
        await asked
    assert "compute_away" == refused.value.code
    await wait_for(lambda: not old & bench.files() and not bench.left_in_spool())


@pytest.mark.slow
async def test_who_is_no_longer_waited_for_lets_go(bench: Bench) -> None:
    await bench.write()
    asked = asyncio.ensure_future(bench.link.ask("hold", {}))
    await wait_for(lambda: bench.pinned == 1)
    asked.cancel()

    await wait_for(lambda: not bench.left_in_spool())
    assert 0 == bench.pins.statistics()["pins"]


@pytest.mark.slow
async def test_a_lease_that_nobody_names_ends_and_one_that_is_in_use_does_not(
    bench: Bench,
) -> None:
    await bench.write()
    forgotten = await bench.pins.pin({"handles": None})
    asked = asyncio.ensure_future(bench.link.ask("hold", {}))
    await wait_for(lambda: any(job.get("pins") for job in bench.link.jobs.values()))

    bench.clock.advance(LEASE_S * S - 1)
    bench.pins.look()
    assert 2 == bench.pins.statistics()["pins"]
    bench.clock.advance(1)
    bench.pins.look()

    assert 1 == bench.pins.statistics()["pins"]
    await wait_for(lambda: str(forgotten["manifest"]) not in bench.left_in_spool())
    asked.cancel()


@pytest.mark.slow
async def test_pins_are_bounded_and_wrong_questions_are_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PINS_MAX", 1)
    await bench.write(1)
    for fields in ({"handles": "no base64!"}, {"handles": None, "to_ns": "soon"}):
        with pytest.raises(Refused) as refused:
            await bench.pins.pin(fields)  # type: ignore[arg-type]
        assert "bad_request" == refused.value.code
    pin = (await bench.pins.pin({"handles": bitmap_of(np.array([1, 5], np.uint32))}))["pin"]
    with pytest.raises(Refused) as refused:
        await bench.pins.pin({"handles": None})

    assert "busy" == refused.value.code
    await bench.pins.release({"pin": pin})
    await bench.pins.release({"pin": pin})
    assert [] == bench.left_in_spool()
