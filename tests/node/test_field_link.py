"""Core and field over a real link: configuration, values, a process that goes and comes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from scripted import NODE, ORIGIN, document, point, system_id, wait_for, wire

from penstock.codec.link import LinkType
from penstock.link.uplink import Uplink
from penstock.log import Log, LogSettings
from penstock.model import Batch, ConfigError, Origin, Refused
from penstock.node import child
from penstock.node.core import field_link
from penstock.node.core.field_link import FieldLink
from penstock.node.field.service import FieldService
from penstock.testing import FakeClock
from penstock.testing.disk import FakeDisk
from penstock.world import SystemClock

HANDLES = {UUID(int=1): 501, UUID(int=2): 502, system_id("plc", "d1"): 600}
CONFIGURATION: dict[str, Any] = {"connectors": [document(point(1, rate_s="0.02"))]}


class Bench:
    """Both ends; `connect` is what the supervisor does."""

    def __init__(self, log: Log, folder: Path) -> None:
        self.log = log
        self.folder = folder
        self.changes: list[bool] = []
        self.lost = 0
        self.core = FieldLink(
            log, HANDLES.get, node=NODE, public_key=b"k" * 32, on_change=self.changes.append
        )
        self.core.on_lost = self._on_lost
        self.fields: list[FieldService] = []
        self.uplinks: list[Uplink] = []

    def _on_lost(self) -> None:
        self.lost += 1

    def new_field(self) -> FieldService:
        """A field process that has just started."""
        self.uplinks.append(Uplink(Origin(NODE, 1, ORIGIN.incarnation + len(self.uplinks))))
        self.fields.append(FieldService(SystemClock(), self.uplinks[-1], self.folder))
        return self.fields[-1]

    async def connect(self) -> None:
        one, two = socket.socketpair()
        await self.core.connect(one)
        await self.fields[-1].connect(two)
        await wait_for(lambda: self.core.is_connected)

    def batches(self) -> list[Batch]:
        records = self.log.read(0, records_max=10_000)
        return [item.payload for item in records if isinstance(item.payload, Batch)]

    def values(self, handle: int) -> int:
        """Rows of a point in the log."""
        return sum(
            int((frame.point == handle).sum()) for batch in self.batches() for frame in batch.frames
        )

    async def kill_field(self) -> None:
        """As kill -9: the socket closes, nothing is drained."""
        field = self.fields[-1]
        assert field._serving is not None
        field._serving.cancel()
        await asyncio.wait([field._serving])
        await field._host.close()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    log = await Log.open(
        Path("/data/log/0"),
        disk=FakeDisk(),
        clock=FakeClock(),
        origin=Origin(NODE, 0, 1),
        settings=LogSettings(linger_ms=0, ballast_bytes=64 * 1024),
    )
    made = Bench(log, tmp_path)
    made.new_field()
    yield made
    await made.core.close()
    for field in made.fields:
        if field._serving is not None:
            field._serving.cancel()
            await asyncio.wait([field._serving])
        await field._host.close()
    await log.close()


async def test_what_a_connector_reads_is_in_the_log_under_cores_handles(bench: Bench) -> None:
    await bench.connect()
    bench.core.configure(CONFIGURATION)
    await wait_for(lambda: bench.values(501) >= 5)

    assert 1 == bench.values(600), "the device answers"
    assert 0 == bench.core.counters["unknown_rows"]


async def test_a_field_can_be_asked_before_it_is_told(bench: Bench) -> None:
    await bench.connect()
    answer = await bench.core.plan(CONFIGURATION)

    assert [str(UUID(int=1))] == list(answer["points"])  # type: ignore[arg-type]
    assert 0 == wire().count("open")


async def test_a_connector_that_crashes_over_a_plan_is_a_problem_and_no_silence(
    bench: Bench,
) -> None:
    await bench.connect()
    with pytest.raises(ConfigError) as refused:
        await bench.core.plan({"connectors": [{"name": "one"}]})

    assert "KeyError" in str(refused.value.problems[0])
    assert str(UUID(int=1)) in (await bench.core.plan(CONFIGURATION))["points"]  # type: ignore[operator]


async def test_a_core_that_reads_nothing_gets_no_heap_of_heartbeats(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "HEARTBEAT_S", 0)
    ours, theirs = socket.socketpair()
    await bench.fields[0].connect(theirs)
    await wait_for(lambda: bench.fields[0]._session is not None)
    session = bench.fields[0]._session
    assert session is not None
    session.send(LinkType.BATCH, [bytes(2 * child.WAITING_BYTES_MAX)])
    before = session.waiting_bytes
    for _ in range(50):
        await asyncio.sleep(0)

    assert before > child.WAITING_BYTES_MAX
    assert before == session.waiting_bytes
    ours.close()


async def test_without_a_field_a_plan_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(field_link, "PLAN_TIMEOUT_S", 0.01)

    with pytest.raises(Refused) as refused:
        await bench.core.plan(CONFIGURATION)
    assert "connector_away" == refused.value.code
    with pytest.raises(Refused):
        bench.core.send_command(b"envelope")


async def test_a_new_field_process_gets_the_configuration_again(bench: Bench) -> None:
    await bench.connect()
    bench.core.configure(CONFIGURATION)
    await wait_for(lambda: bench.values(501) > 0)
    await bench.kill_field()
    await wait_for(lambda: not bench.core.is_connected)
    before = bench.values(501)

    bench.new_field()
    await bench.connect()
    await wait_for(lambda: bench.values(501) > before)

    assert [True, False, True] == bench.changes
    assert 1 == bench.lost


async def test_a_link_lost_between_two_that_live_loses_no_value(bench: Bench) -> None:
    await bench.connect()
    bench.core.configure(CONFIGURATION)
    for _ in range(5):
        count = bench.values(501)
        await wait_for(lambda count=count: bench.values(501) > count)  # type: ignore[misc]
        session = bench.fields[0]._session
        assert session is not None
        session._writer.write(b"damage " * 10)
        lost = bench.lost
        await wait_for(lambda lost=lost: bench.lost > lost)  # type: ignore[misc]
        await bench.connect()
    await wait_for(lambda: bench.uplinks[0].counters["acknowledged"] > 5)
    await bench.fields[0].drain()

    sequences = [batch.sequence for batch in bench.batches()]
    assert list(range(1, len(sequences) + 1)) == sequences
    assert bench.uplinks[0].counters["batches"] == len(sequences)
    assert 5 <= bench.lost
    assert 1 == wire().count("open"), "no line was disturbed"


async def test_a_link_that_is_replaced_is_not_lost(bench: Bench) -> None:
    """Otherwise the supervisor would replace it again, for ever."""
    await bench.connect()
    await bench.connect()

    assert 0 == bench.lost


async def test_of_two_links_at_once_one_is_used_at_both_ends(bench: Bench) -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    await asyncio.gather(
        *(bench.core.connect(one) for one, _ in pairs),
        *(bench.fields[0].connect(two) for _, two in pairs),
    )
    bench.core.configure(CONFIGURATION)
    await wait_for(lambda: bench.values(501) > 3)

    tasks = [task for task in asyncio.all_tasks() if "_serve" in repr(task.get_coro())]
    assert 2 == len(tasks)


async def test_a_drained_stop_leaves_nothing_behind(bench: Bench) -> None:
    await bench.connect()
    bench.core.configure(CONFIGURATION)
    await wait_for(lambda: bench.values(501) > 0)
    await bench.fields[0].drain()

    assert 0 == bench.uplinks[0].statistics()["pending_batches"]
    assert bench.uplinks[0].counters["rows"] == bench.values(501) + bench.values(600)


@pytest.mark.slow
async def test_the_heartbeat_says_how_devices_are(bench: Bench) -> None:
    await bench.connect()
    bench.core.configure(CONFIGURATION)
    await wait_for(lambda: bool(bench.core.heartbeat.get("devices")))

    device = bench.core.heartbeat["devices"][0]  # type: ignore[index,call-overload]
    assert ("plc", "d1", True) == (device["connector"], device["device"], device["is_connected"])  # type: ignore[index,call-overload]
