"""The host of all lines: what a new configuration restarts, and what a bug may take along."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from scripted import ORIGIN, document, point, rows, settle, wire

from penstock.codec.dictionary import DictionaryEntry
from penstock.codec.link import decode_batch_payload
from penstock.link.uplink import Uplink
from penstock.model import Block, ValueKind
from penstock.node.field import collector as collector_module
from penstock.node.field import host as host_module
from penstock.node.field.collector import Collector
from penstock.node.field.host import Host
from penstock.node.handles import HandleTable
from penstock.plugin import WriteRequest
from penstock.testing import FakeClock, frame


class Bench:
    """A host with its clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.uplink = Uplink(ORIGIN)
        self.collector = Collector(self.uplink, linger_s=3600)
        self.handles = HandleTable()
        self.host = Host(self.clock, self.collector, self.uplink, self.handles)

    async def run(self, *connectors: Any) -> list[str]:
        problems = await self.host.apply({"connectors": list(connectors)})
        self.host.start()
        await self.after(0.3)
        return [str(problem) for problem in problems]

    async def after(self, seconds: float) -> None:
        await settle()
        for _ in range(round(seconds / 0.1)):
            self.clock.advance(100_000_000)
            await settle()

    def rows(self) -> list[tuple[int, float | None, int]]:
        return rows(self.uplink, self.collector)

    def row(self, name: str) -> dict[str, Any]:
        found = [item for item in self.host.statistics() if item["connector"] == name]  # type: ignore[index,call-overload]
        return found[0]  # type: ignore[return-value]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.host.close()


ONE = document(point(1), name="one", address="a")
TWO = document(point(2), name="two", address="b")


async def test_every_line_of_a_configuration_runs(bench: Bench) -> None:
    assert [] == await bench.run(ONE, TWO)

    assert (1, 1) == (wire("a").count("open"), wire("b").count("open"))
    assert {"one", "two"} == {row["connector"] for row in bench.host.statistics()}  # type: ignore[index,call-overload]
    assert bench.row("one")["is_connected"]


async def test_the_same_configuration_again_disturbs_nobody(bench: Bench) -> None:
    await bench.run(ONE, TWO)
    await bench.run(ONE, TWO)

    assert (1, 1) == (wire("a").count("open"), wire("b").count("open"))


async def test_only_what_changed_is_started_again(bench: Bench) -> None:
    await bench.run(ONE, TWO)
    await bench.run(ONE, document(point(2), name="two", address="b", note="changed"))

    assert (1, 2) == (wire("a").count("open"), wire("b").count("open"))
    assert 1 == wire("b").count("close")


async def test_what_is_gone_is_stopped(bench: Bench) -> None:
    await bench.run(ONE, TWO)
    await bench.run(TWO)
    reads = wire("a").count("read")
    await bench.after(3)

    assert (1, reads) == (wire("a").count("close"), wire("a").count("read"))
    assert None is bench.host.runner_of_handle(bench.handles.handle_of(UUID(int=1)))


async def test_a_handle_stays_when_its_connector_comes_back(bench: Bench) -> None:
    await bench.run(ONE, TWO)
    before = bench.handles.handle_of(UUID(int=1))
    await bench.run(TWO)
    await bench.run(document(point(5), point(1), name="one", address="a"), TWO)

    assert before == bench.handles.handle_of(UUID(int=1))
    handles = [entry.handle for entry in bench.handles.all()]
    assert len(handles) == len(set(handles))


async def test_a_bug_in_a_connector_restarts_its_line_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "RESTART_S", 0.0)
    await bench.run(ONE, TWO)
    wire("a").crash = "read"
    await bench.after(1)
    wire("a").crash = ""
    await bench.after(1)

    assert 1 <= bench.host.crashes
    assert 1 < wire("a").count("open")
    assert 1 == wire("b").count("open")
    assert bench.row("one")["is_connected"]


async def test_a_bug_that_stays_makes_its_points_bad(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crashing protocol must not leave the last good value on the screen."""
    monkeypatch.setattr(host_module, "RESTART_S", 0.0)
    await bench.run(ONE)
    wire("a").crash = "open"
    bench.host._tasks[bench.host._runners["one"][0]].cancel()
    runner = bench.host._runners["one"][0]
    bench.host._start(runner)
    for _ in range(60):
        await bench.after(0.1)
        await asyncio.sleep(0)

    handle = bench.handles.handle_of(UUID(int=1))
    assert 1 == bench.rows().count((handle, None, 2))
    assert not bench.row("one")["is_connected"]


async def test_a_crash_after_the_stop_starts_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "RESTART_S", 0.0)
    await bench.run(ONE)
    wire("a").crash = "read"
    bench.clock.advance(1_000_000_000)
    await bench.run()
    opened = wire("a").count("open")
    await bench.after(1)

    assert opened == wire("a").count("open")


def test_a_plan_gives_lines_points_and_all_problems() -> None:
    """Core asks this before it commits anything; nothing is opened."""
    host = Host(FakeClock(), None, None, HandleTable())  # type: ignore[arg-type]
    bad_row = document(point(3, colour="red"), point(4, rate_s="fast"), name="three")
    unknown = {**document(point(5), name="four"), "plugin": "telepathy"}

    answer = host.plan(
        {"connectors": [ONE, bad_row, unknown, document(point(6), name="five", address="wrong")]}
    )

    assert [{
        "connector": "one", "line": "one", "address": "a", "devices": ["d1"], "is_protected": False,
    }] == answer["lines"]  # fmt: skip
    facts = answer["points"][str(UUID(int=1))]  # type: ignore[index,call-overload]
    assert {"period_ns", "resolution"} == facts.keys()  # type: ignore[union-attr]
    assert 1_000_000_000 == facts["period_ns"]  # type: ignore[index,call-overload]
    places = [problem["place"] for problem in answer["problems"]]  # type: ignore[index,union-attr,call-overload]
    assert [
        "plc.csv:3: colour",
        "plc.csv:4: rate_s",
        "plant/connectors/four.toml: plugin",
        "five.toml: address",
    ] == places
    assert 0 == wire("a").count("open")


async def test_writable_points_carry_their_limits(bench: Bench) -> None:
    await bench.run(document(point(1, writable="true"), point(2), name="one"))

    found = bench.host.writable_points()

    assert [UUID(int=1)] == list(found)
    assert (0.0, 50.0) == (found[UUID(int=1)].command_low, found[UUID(int=1)].command_high)
    runner = bench.host.runner_of_handle(found[UUID(int=1)].handle)
    assert runner is not None
    assert runner.submit(runner.write_job(WriteRequest(1, 1.0)))


def test_new_handles_are_told_once_and_all_of_them_to_a_new_session() -> None:
    table = HandleTable()
    entry = DictionaryEntry(1, UUID(int=1), ValueKind.INT, "w/a")
    table.name(entry.id, entry.kind, entry.path)

    assert [entry] == table.take_fresh()
    table.name(entry.id, entry.kind, entry.path)
    assert [] == table.take_fresh()

    table.name(entry.id, entry.kind, "w/renamed")
    assert [DictionaryEntry(1, entry.id, entry.kind, "w/renamed")] == table.take_fresh()
    assert 1 == len(table.all())


async def test_what_is_read_together_travels_together() -> None:
    uplink = Uplink(ORIGIN)
    collector = Collector(uplink, linger_s=0)
    collector.add([frame(1, 1, [1.0]), frame(2, 1, [7])])
    collector.add([frame(3, 2, [2.0])])
    await asyncio.sleep(0.01)

    batch = decode_batch_payload(b"".join(map(bytes, uplink._pending[0].payload)))
    assert 1 == uplink.statistics()["pending_batches"]
    assert [[1, 3], [2]] == [item.point.tolist() for item in batch.frames]


async def test_a_batch_stays_within_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector_module, "ROWS_MAX", 4)
    uplink = Uplink(ORIGIN)
    collector = Collector(uplink, linger_s=3600)
    for number in range(6):
        collector.add([frame(1, number, [1.0, 2.0, 3.0])])
    for _ in range(5):
        collector.add([], [Block(1, 0, 1.0, np.zeros(1_000_000, np.float32))])
    collector.add([frame(1, 1, ["x" * 60_000]) for _ in range(4)])
    collector.flush()

    assert 10 <= uplink.statistics()["pending_batches"]
    assert 5 * 2**20 > max(item.size for item in uplink._pending)
    assert 18 + 4 == uplink.counters["rows"]
