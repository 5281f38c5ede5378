"""Core and compute over a real link: questions both ways, refusals, cancelling, ends that die."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from scripted import NODE, wait_for

from penstock.link.uplink import Uplink
from penstock.log import Log, LogSettings
from penstock.model import Batch, Flag, Frame, Origin, Quality, Refused, ValueKind
from penstock.model.event import Json
from penstock.node.compute import jobs
from penstock.node.compute.jobs import Job
from penstock.node.compute.service import ComputeService
from penstock.node.core import compute_link
from penstock.node.core.compute_link import ComputeLink
from penstock.testing import FakeClock
from penstock.testing.disk import FakeDisk
from penstock.world import SystemClock

Document = dict[str, Json]
POINT = UUID(int=42)
DATA = Path("/data")
SETTINGS: Document = {"spool_bytes_max": 1000}


class Bench:
    """Both ends; `connect` is what the supervisor does."""

    def __init__(self, log: Log, disk: FakeDisk) -> None:
        self.log = log
        self.disk = disk
        self.lost = 0
        self.core = ComputeLink(log, {POINT: 501}.get, node=NODE, settings=SETTINGS)
        self.core.on_lost = self._on_lost
        self.computes: list[ComputeService] = []

    def _on_lost(self) -> None:
        self.lost += 1

    def new_compute(self) -> ComputeService:
        """A compute process that has just started."""
        uplink = Uplink(Origin(NODE, 2, 1 + len(self.computes)))
        self.computes.append(ComputeService(SystemClock(), self.disk, uplink, DATA))
        return self.computes[-1]

    async def connect(self) -> None:
        one, two = socket.socketpair()
        await self.core.connect(one)
        await self.computes[-1].connect(two)
        await wait_for(lambda: self.core.is_connected)

    async def kill_compute(self) -> None:
        """As kill -9: the socket closes, nothing is drained."""
        serving = self.computes[-1]._serving
        assert serving is not None
        serving.cancel()
        await asyncio.wait([serving])


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    disk = FakeDisk()
    log = await Log.open(
        Path("/data/log/0"),
        disk=disk,
        clock=FakeClock(),
        origin=Origin(NODE, 0, 1),
        settings=LogSettings(linger_ms=0, ballast_bytes=64 * 1024),
    )
    made = Bench(log, disk)
    made.new_compute()
    yield made
    await made.core.close()
    for compute in made.computes:
        await compute._board.stop()
        if compute._serving is not None:
            compute._serving.cancel()
            await asyncio.wait([compute._serving])
    await log.close()


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Gives compute an operation of this test."""

    def add(op: str, work: Callable[[Job, Document], Document], class_: str = "question") -> None:
        monkeypatch.setitem(jobs.HANDLERS, op, work)
        monkeypatch.setitem(jobs.CLASS_OF, op, class_)

    return add


class Held:
    """Work that goes on until the test lets it, or until it hears that nobody waits."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun: list[str] = []
        self.ended: list[str] = []

    def __call__(self, job: Job, fields: Document) -> Document:
        self.begun.append(job.id)
        try:
            while not self.gate.wait(0.005):
                job.check_cancelled()
        finally:
            self.ended.append(job.id)
        return {"n": fields.get("n")}


async def test_core_asks_and_compute_answers(bench: Bench) -> None:
    await bench.connect()
    answer = await bench.core.ask("ping", {"text": "ä", "n": [1, None]})

    assert {"text": "ä", "n": [1, None]} == answer["fields"]


async def test_what_compute_refuses_is_refused_with_its_words(
    bench: Bench, handler: Callable[..., None]
) -> None:
    def refuse(job: Job, fields: Document) -> Document:
        raise Refused("out_of_range", "4711 is too much", low=1, high=5)

    handler("refuse", refuse)
    await bench.connect()
    with pytest.raises(Refused) as refused:
        await bench.core.ask("refuse", {})

    expected = ("out_of_range", "4711 is too much", {"low": 1, "high": 5})
    assert expected == (refused.value.code, refused.value.detail, refused.value.params)


async def test_a_bug_in_compute_is_no_silence(bench: Bench, handler: Callable[..., None]) -> None:
    def bug(job: Job, fields: Document) -> Document:
        return {"x": fields["missing"]}

    handler("bug", bug)
    await bench.connect()
    with pytest.raises(Refused) as refused:
        await bench.core.ask("bug", {})

    assert ("internal", True) == (refused.value.code, "missing" in refused.value.detail)
    assert 1 == bench.computes[0]._board.counters["crashed"]
    assert {} == (await bench.core.ask("ping", {}))["fields"], "the next one is answered"


async def test_a_full_disk_is_said_as_such(bench: Bench, handler: Callable[..., None]) -> None:
    def fill(job: Job, fields: Document) -> Document:
        raise OSError(28, "No space left on device")

    handler("fill", fill)
    await bench.connect()
    with pytest.raises(Refused, match="No space") as refused:
        await bench.core.ask("fill", {})

    assert "disk_full" == refused.value.code


async def test_without_compute_a_question_is_refused_at_once(bench: Bench) -> None:
    with pytest.raises(Refused) as refused:
        await bench.core.ask("ping", {})

    assert "compute_away" == refused.value.code


async def test_a_question_under_way_fails_when_compute_dies_and_its_work_ends(
    bench: Bench, handler: Callable[..., None]
) -> None:
    held = Held()
    handler("held", held)
    await bench.connect()
    asked = asyncio.ensure_future(bench.core.ask("held", {}))
    await wait_for(lambda: bool(held.begun))

    await bench.kill_compute()
    with pytest.raises(Refused) as refused:
        await asked
    await wait_for(lambda: held.ended == held.begun)

    assert "compute_away" == refused.value.code
    assert 1 == bench.lost, "the supervisor is asked for a fresh link"


async def test_a_new_compute_is_asked_over_a_fresh_link(bench: Bench) -> None:
    await bench.connect()
    await bench.kill_compute()
    await wait_for(lambda: not bench.core.is_connected)
    bench.new_compute()
    await bench.connect()

    assert {"n": 2} == (await bench.core.ask("ping", {"n": 2}))["fields"]


async def test_a_new_link_between_two_that_live_ends_the_questions_of_the_old_one(
    bench: Bench, handler: Callable[..., None]
) -> None:
    held = Held()
    handler("held", held)
    await bench.connect()
    asked = asyncio.ensure_future(bench.core.ask("held", {}))
    await wait_for(lambda: bool(held.begun))

    await bench.connect()
    with pytest.raises(Refused, match="link"):
        await asked
    await wait_for(lambda: held.ended == held.begun)

    assert {} == (await bench.core.ask("ping", {}))["fields"]
    assert 0 == bench.lost


@pytest.mark.parametrize("how", ["timeout", "gone", "cancel"])
async def test_work_for_which_nobody_waits_ends(
    bench: Bench, handler: Callable[..., None], how: str
) -> None:
    held, job = Held(), str(uuid4())
    handler("held", held)
    await bench.connect()
    timeout_s = 0.05 if how == "timeout" else 30.0
    asked = asyncio.ensure_future(bench.core.ask("held", {}, timeout_s, job))
    await wait_for(lambda: held.begun == [job])
    if how == "gone":
        asked.cancel()
    elif how == "cancel":
        bench.core.cancel(job)
    outcome = (await asyncio.gather(asked, return_exceptions=True))[0]
    await wait_for(lambda: held.ended == [job])

    codes = {"timeout": "too_slow", "cancel": "cancelled"}
    assert codes.get(how) == (outcome.code if isinstance(outcome, Refused) else None)
    await wait_for(lambda: not bench.computes[0].is_busy)


async def test_a_class_has_its_threads_and_a_bounded_queue(
    bench: Bench, handler: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held()
    handler("held", held, "upkeep")
    monkeypatch.setattr("penstock.node.compute.board.WAITING_MAX", 2)
    await bench.connect()
    asked = [asyncio.ensure_future(bench.core.ask("held", {"n": n})) for n in range(4)]
    first = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    assert {} == (await bench.core.ask("ping", {}))["fields"], "another class is not held up"

    assert ["busy"] == [task.exception().code for task in first[0]]  # type: ignore[union-attr]
    assert 1 == len(held.begun), "one at a time"
    held.gate.set()
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [0, 1, 2] == [item["n"] for item in found if isinstance(item, dict)]


async def test_core_holds_only_so_many_questions(
    bench: Bench, handler: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held()
    handler("held", held)
    monkeypatch.setattr(compute_link, "ASKED_MAX", 1)
    await bench.connect()
    asked = asyncio.ensure_future(bench.core.ask("held", {}))
    await wait_for(lambda: bool(held.begun))

    with pytest.raises(Refused) as refused:
        await bench.core.ask("ping", {})
    held.gate.set()
    assert "busy" == refused.value.code
    assert {"n": None} == await asked


async def test_a_job_asks_core(bench: Bench, handler: Callable[..., None]) -> None:
    async def double(fields: Document) -> Document:
        number = fields["n"]
        assert isinstance(number, int)
        if number < 0:
            raise Refused("out_of_range", low=0, high=9)
        return {"n": 2 * number}

    bench.core.answers["double"] = double
    handler("twice", lambda job, fields: job.ask("double", job.ask("double", fields)))
    handler("unknown", lambda job, fields: job.ask("triple", fields))
    await bench.connect()

    assert {"n": 12} == await bench.core.ask("twice", {"n": 3})
    for op, fields, code in (("twice", {"n": -1}, "out_of_range"), ("unknown", {}, "bad_request")):
        with pytest.raises(Refused) as refused:
            await bench.core.ask(op, fields)  # type: ignore[arg-type]
        assert code == refused.value.code


async def test_a_jobs_batches_are_in_the_log_under_cores_handles(
    bench: Bench, handler: Callable[..., None]
) -> None:
    def send(job: Job, fields: Document) -> Document:
        handle = job.point(POINT, ValueKind.FLOAT, "area/flow")
        for n in range(3):
            rows = np.full(2, handle, np.uint32), np.array([n, n + 10], np.int64)
            columns = np.array([1.5, 2.5]), np.full(2, Quality.GOOD, np.uint8)
            job.put([Frame(*rows, *columns, np.full(2, Flag.HISTORICAL, np.uint8))])
        job.wait_acknowledged()
        return {"durable": True}

    handler("send", send)
    await bench.connect()
    await bench.core.ask("send", {})

    batches = [record.payload for record in bench.log.read(0) if isinstance(record.payload, Batch)]
    assert [(2, 1), (2, 2), (2, 3)] == [(item.origin.slot, item.sequence) for item in batches]
    assert {501} == {int(handle) for item in batches for handle in item.frames[0].point}


@pytest.mark.slow
async def test_the_heartbeat_tells_what_runs_and_how_far_it_is(
    bench: Bench, handler: Callable[..., None]
) -> None:
    held = Held()

    def work(job: Job, fields: Document) -> Document:
        job.report(done=3, total=10)
        return held(job, fields)

    handler("work", work, "upkeep")
    await bench.connect()
    asked = [asyncio.ensure_future(bench.core.ask("work", {}, job=f"job-{n}")) for n in range(2)]
    await wait_for(lambda: len(bench.core.jobs) == 2)
    running, waiting = bench.core.jobs["job-0"], bench.core.jobs["job-1"]
    held.gate.set()
    await asyncio.gather(*asked)

    assert ("work", "running", {"done": 3, "total": 10}) == (
        running["op"], running["state"], running["progress"]
    )  # fmt: skip
    assert ("waiting", {}) == (waiting["state"], waiting["progress"])


async def test_the_spool_is_empty_after_a_start_and_has_a_limit(
    bench: Bench, handler: Callable[..., None]
) -> None:
    bench.disk.write_whole(DATA / "spool" / "left-over", [b"x"])
    bench.new_compute()
    found: list[Any] = []

    def fill(job: Job, fields: Document) -> Document:
        found.append(job.disk.list(job.spool.folder))
        path = job.spool.new_path(".arrow")
        job.disk.write_whole(path, [bytes(1000)])
        found.append(path.name.endswith(".arrow"))
        job.spool.new_path(".arrow")
        return {}

    handler("fill", fill)
    await bench.connect()
    with pytest.raises(Refused) as refused:
        await bench.core.ask("fill", {})

    assert ([[], True], "busy") == (found, refused.value.code)


async def test_a_stop_leaves_work_behind_that_does_not_hear(
    bench: Bench, handler: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, begun = threading.Event(), threading.Event()

    def deaf(job: Job, fields: Document) -> Document:
        begun.set()
        gate.wait(30)
        return {}

    handler("deaf", deaf)
    monkeypatch.setattr("penstock.node.compute.board.STOP_S", 0.02)
    await bench.connect()
    asked = asyncio.ensure_future(bench.core.ask("deaf", {}))
    await wait_for(begun.is_set)
    await bench.computes[0].drain()

    assert bench.computes[0].is_busy, "its process ends all the same"
    gate.set()
    with pytest.raises(Refused):
        await asked
