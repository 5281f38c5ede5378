"""A protocol for tests: its wire is an object that the test holds in its hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID

import numpy as np

from penstock.codec.link import decode_batch_payload
from penstock.link.uplink import Uplink
from penstock.model import ConfigProblem, Frame, NotConnected, Origin, Quality, ValueKind
from penstock.node.field.collector import Collector
from penstock.node.field.configuration import ConnectorPlan, plan_connector
from penstock.node.field.line import LineRunner
from penstock.plugin import (
    Connector,
    Line,
    Plan,
    PluginConfig,
    PointBinding,
    PollGroup,
    ReadBack,
    Reading,
    WriteOutcome,
    WriteRequest,
    WriteResult,
)
from penstock.testing import FakeClock

S = 1_000_000_000
NODE = UUID(int=1)
ORIGIN = Origin(NODE, 1, 7)


@dataclass
class Wire:
    """What the other end does, and what it has seen."""

    is_up: bool = True
    silent: set[str] = field(default_factory=set)
    crash: str = ""  # the method that has a bug
    quality: int = Quality.GOOD
    seen: list[tuple[str, str]] = field(default_factory=list)
    values: dict[int, float | int | str] = field(default_factory=dict)
    outcome: WriteOutcome = WriteOutcome.ACCEPTED
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def count(self, what: str, of: str | None = None) -> int:
        return sum(item[0] == what and of in (None, item[1]) for item in self.seen)


WIRES: dict[str, Wire] = {}


def wire(address: str = "a") -> Wire:
    return WIRES.setdefault(address, Wire())


class ScriptedConfig(PluginConfig):
    address: str = "a"
    note: str = ""


class ScriptedPoint(PluginConfig):
    device: str
    rate_s: float = 1.0
    writable: bool = False


class Scripted(Connector[ScriptedConfig]):
    """One line; a device's points of one rate are one group."""

    name: ClassVar[str] = "scripted"
    title: ClassVar[str] = "Scripted"
    Config: ClassVar[type[PluginConfig]] = ScriptedConfig
    PointConfig: ClassVar[type[PluginConfig]] = ScriptedPoint

    @classmethod
    def plan(cls, name: str, config: ScriptedConfig, points: Sequence[PointBinding]) -> Plan:
        if config.address == "wrong":
            return Plan((), (ConfigProblem(f"{name}.toml: address", "is wrong"),))
        devices = dict.fromkeys(point.settings.device for point in points)  # type: ignore[attr-defined]
        return Plan((Line(name, config.address, tuple(devices), tuple(points)),))

    @property
    def wire(self) -> Wire:
        return wire(self.line.address)

    def groups(self) -> tuple[PollGroup, ...]:
        found: dict[tuple[str, float], list[int]] = {}
        for point in self.line.points:
            key = point.settings.device, point.settings.rate_s  # type: ignore[attr-defined]
            found.setdefault(key, []).append(point.handle)
        return tuple(
            PollGroup(f"{device}-{rate}", device, int(rate * S), tuple(handles), 1)
            for (device, rate), handles in found.items()
        )

    def _on_wire(self, what: str, of: str) -> None:
        self.wire.seen.append((what, of))
        if self.wire.crash == what:
            raise RuntimeError(f"a bug in {what}")
        if not self.wire.is_up:
            raise NotConnected("cable cut")

    async def open(self) -> None:
        self._on_wire("open", "")

    async def read(self, group: PollGroup) -> Reading:
        self._on_wire("read", group.device)
        await self.wire.gate.wait()
        if group.device in self.wire.silent:
            return Reading(is_silent=True)
        kinds = {point.handle: point.kind for point in self.line.points}
        now_ns = self.context.clock.now_ns()
        frames = [self._frame(kind, kinds, group, now_ns) for kind in ValueKind]
        return Reading(tuple(item for item in frames if len(item)))

    def _frame(
        self, kind: ValueKind, kinds: dict[int, ValueKind], group: PollGroup, now_ns: int
    ) -> Frame:
        assert kind is not ValueKind.TEXT or kind not in kinds.values()
        handles = [handle for handle in group.points if kinds[handle] is kind]
        dtype = np.float64 if kind is ValueKind.FLOAT else np.int64
        return Frame(
            np.array(handles, np.uint32),
            np.full(len(handles), now_ns),
            np.array([self.wire.values.get(handle, 1) for handle in handles], dtype),
            np.full(len(handles), self.wire.quality, np.uint8),
            np.zeros(len(handles), np.uint8),
        )

    async def probe(self, device: str) -> bool:
        self._on_wire("probe", device)
        return device not in self.wire.silent

    async def write(self, request: WriteRequest) -> WriteResult:
        self._on_wire("write", str(request.value))
        await self.wire.gate.wait()
        if self.wire.outcome is WriteOutcome.ACCEPTED:
            self.wire.values[request.handle] = request.value
        return WriteResult(self.wire.outcome, "as the test wants")

    async def read_back(self, handle: int) -> ReadBack:
        self._on_wire("read_back", str(handle))
        now_ns = self.context.clock.now_ns()
        return ReadBack(self.wire.values.get(handle), Quality.GOOD, now_ns)

    async def close(self) -> None:
        self.wire.seen.append(("close", ""))


def point(number: int, device: str = "d1", kind: int = ValueKind.FLOAT, **columns: str) -> Any:
    """One point of a connector's document; `number` makes its id and its name."""
    return {
        "id": str(UUID(int=number)),
        "path": f"w/p{number}",
        "kind": int(kind),
        "place": f"plc.csv:{number}",
        "low": None,
        "high": None,
        "writable": columns.get("writable") == "true",
        "command_low": 0.0,
        "command_high": 50.0,
        "columns": {"device": device, **columns},
    }


def document(*points: Any, name: str = "plc", **settings: Any) -> Any:
    """A connector's document; its devices are those of the points."""
    devices = dict.fromkeys(item["columns"]["device"] for item in points)
    return {
        "name": name,
        "plugin": "scripted",
        "place": f"plant/connectors/{name}.toml",
        "settings": settings,
        "points": list(points),
        "devices": [
            {"name": device, "id": str(system_id(name, device)), "path": f"system/{name}/{device}"}
            for device in devices
        ],
    }


def system_id(name: str, device: str) -> UUID:
    return UUID(bytes=f"{name:>8}{device:>8}".encode())


def handle_of(id_: UUID) -> int:
    return id_.int


def planned(connector: Any) -> ConnectorPlan:
    plan, problems = plan_connector(connector, handle_of)
    assert plan is not None, problems
    return plan


async def settle() -> None:
    """Let everything run that does not wait for the clock."""
    for _ in range(50):
        await asyncio.sleep(0)


async def wait_for(condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    """Return as soon as it holds; for what another thread or process does."""
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - any condition, no event for each
            await asyncio.sleep(0.002)


def rows(uplink: Uplink, collector: Collector) -> list[tuple[int, float | None, int]]:
    """(handle, value, quality) of all that was read, in order; None is "no value"."""
    collector.flush()
    found: list[tuple[int, float | None, int]] = []
    for item in uplink._pending:
        batch = decode_batch_payload(b"".join(bytes(part) for part in item.payload))
        for frame in batch.frames:
            values = frame.value.tolist()  # type: ignore[union-attr]
            for at in range(len(frame)):
                value = None if frame.flags[at] & 16 else values[at]
                found.append((int(frame.point[at]), value, int(frame.quality[at])))
    return found


class BenchLine:
    """A LineRunner with its clock, and the rows that it has written."""

    def __init__(self, *points: Any, start: bool = True, window: int = 1 << 20, **settings: Any):
        settings.setdefault("address", "a")
        self.clock = FakeClock()
        self.uplink = Uplink(ORIGIN, window)
        self.collector = Collector(self.uplink, linger_s=3600)
        self.wire = wire(settings["address"])
        connector = document(*(points or settings.pop("points", (point(1), point(2)))), **settings)
        plan = planned(connector)
        self.connected = {
            device: 900 + number for number, device in enumerate(plan.lines[0].devices)
        }
        self.runner = LineRunner(
            plan,
            plan.lines[0],
            clock=self.clock,
            collector=self.collector,
            uplink=self.uplink,
            connected=self.connected,
        )
        self.task = asyncio.get_running_loop().create_task(self.runner.run()) if start else None

    async def after(self, seconds: float, step_s: float = 0.1) -> None:
        """Let time pass in small steps, as it does."""
        await settle()
        for _ in range(round(seconds / step_s)):
            self.clock.advance(int(step_s * S))
            await settle()

    def rows(self) -> list[tuple[int, float | None, int]]:
        return rows(self.uplink, self.collector)

    def take(self) -> list[tuple[int, float | None, int]]:
        """Rows since the last call."""
        found = self.rows()
        self.uplink._pending.clear()
        return found

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])
        self.collector.flush()
