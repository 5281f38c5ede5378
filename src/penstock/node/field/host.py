"""The host of all connectors of this process: starts, restarts and stops their lines.

A new configuration restarts only the connectors whose document changed. A bug in
a connector ends its line alone: it is reported, counted and started again.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from penstock.model import ConfigProblem, ValueKind
from penstock.node.field.configuration import ConnectorPlan, plan_connectors
from penstock.node.field.line import LineRunner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.link.uplink import Uplink
    from penstock.model import Point
    from penstock.model.event import Json
    from penstock.node.field.collector import Collector
    from penstock.node.handles import HandleTable
    from penstock.world import Clock

    Document = dict[str, Json]

log = structlog.get_logger()

RESTART_S = 5.0
STOP_TIMEOUT_S = 2.0


class Host:
    """All lines of one field process."""

    def __init__(
        self, clock: Clock, collector: Collector, uplink: Uplink, handles: HandleTable
    ) -> None:
        self._clock = clock
        self._collector = collector
        self._uplink = uplink
        self._handles = handles
        self._plans: dict[str, ConnectorPlan] = {}
        self._runners: dict[str, list[LineRunner]] = {}
        self._tasks: dict[LineRunner, asyncio.Task[None]] = {}
        self._connected: dict[str, dict[str, int]] = {}
        self.crashes = 0

    def plan(self, document: Document) -> Document:
        """Check a configuration without running it; lines, points and all problems as JSON."""
        lines: list[Json] = []
        points: dict[str, Json] = {}
        plans, problems = plan_connectors(document)
        for plan in plans.values():
            lines += _lines(plan)
            points |= _point_facts(plan, self._clock)
        return {
            "lines": lines,
            "points": points,
            "problems": [
                {"place": item.place, "message": item.message, "is_warning": item.is_warning}
                for item in problems
            ],
        }

    async def apply(self, document: Document) -> list[ConfigProblem]:
        """Run a configuration; what did not change goes on undisturbed."""
        wanted, problems = plan_connectors(document, self._handles.handle_of)
        documents = {str(item["name"]): item for item in _list(document["connectors"])}
        await self._stop(
            [
                name
                for name, plan in self._plans.items()
                if name not in wanted or wanted[name].digest != plan.digest
            ]
        )
        for name, plan in wanted.items():
            if name not in self._plans:
                self._name_points(documents[name])
                self._plans[name] = plan
        return problems

    def start(self) -> None:
        """Start the lines of connectors that have none yet (after the dictionary was sent)."""
        for name, plan in self._plans.items():
            if name in self._runners:
                continue
            self._runners[name] = [self._runner(plan, number) for number in range(len(plan.lines))]
            for runner in self._runners[name]:
                self._start(runner)

    async def close(self) -> None:
        """Stop all lines; what they have read goes into a last Batch."""
        await self._stop([*self._plans])
        self._collector.flush()

    def say_connected(self) -> None:
        """Say again which devices answer: core writes them off when this process falls silent."""
        for runners in self._runners.values():
            for runner in runners:
                runner.say_connected()

    def writable_points(self) -> dict[UUID, Point]:
        """Points that the configuration releases for writing, with their limits."""
        return {point.id: point for plan in self._plans.values() for point in plan.writable}

    def runner_of_handle(self, handle: int) -> LineRunner | None:
        """The line that feeds a point."""
        for runners in self._runners.values():
            for runner in runners:
                if runner.has_point(handle):
                    return runner
        return None

    def statistics(self) -> list[Json]:
        """One row a device."""
        return [
            row
            for runners in self._runners.values()
            for runner in runners
            for row in _device_rows(runner)
        ]

    def _name_points(self, connector: Document) -> None:
        for item in _list(connector["points"]):
            kind = item["kind"]
            assert isinstance(kind, int)
            self._handles.name(UUID(str(item["id"])), ValueKind(kind), str(item["path"]))
        for item in _list(connector["devices"]):
            self._handles.name(UUID(str(item["id"])), ValueKind.INT, str(item["path"]))
            self._connected.setdefault(str(connector["name"]), {})[str(item["name"])] = (
                self._handles.handle_of(UUID(str(item["id"])))
            )

    def _runner(self, plan: ConnectorPlan, number: int) -> LineRunner:
        return LineRunner(
            plan,
            plan.lines[number],
            clock=self._clock,
            collector=self._collector,
            uplink=self._uplink,
            connected=self._connected[plan.name],
        )

    def _start(self, runner: LineRunner) -> None:
        task = asyncio.get_running_loop().create_task(runner.run(), name=runner.line.address)
        self._tasks[runner] = task
        task.add_done_callback(lambda done: self._on_end(runner, done))

    def _on_end(self, runner: LineRunner, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._tasks.get(runner) is not task:
            return
        self.crashes += 1
        log.error(
            "line_crashed",
            connector=runner.plan.name,
            line=runner.line.address,
            restart_in_s=RESTART_S,
            exc_info=task.exception(),
        )
        runner.on_crash(task.exception())
        asyncio.get_running_loop().call_later(RESTART_S, self._start_again, runner)

    def _start_again(self, runner: LineRunner) -> None:
        if runner in self._tasks:
            self._start(runner)

    async def _stop(self, names: Sequence[str]) -> None:
        """Stop the lines of these connectors together: one that hangs costs all of them 2 s."""
        tasks = []
        for name in names:
            self._plans.pop(name, None)
            for runner in self._runners.pop(name, ()):
                task = self._tasks.pop(runner, None)
                if task is not None:
                    task.cancel()
                    tasks.append(task)
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_TIMEOUT_S)


def _list(value: Json) -> list[Document]:
    assert isinstance(value, list)
    return [item for item in value if isinstance(item, dict)]


def _lines(plan: ConnectorPlan) -> list[Json]:
    return [
        {
            "connector": plan.name,
            "line": line.name,
            "address": line.address,
            "devices": list(line.devices),
            "is_protected": line.is_protected,
        }
        for line in plan.lines
    ]


def _point_facts(plan: ConnectorPlan, clock: Clock) -> dict[str, Json]:
    """By point id: period, and what the device can hold."""
    facts: dict[str, Json] = {}
    for line in plan.lines:
        periods = {
            handle: group.period_ns
            for group in plan.connector(line, clock).groups()
            for handle in group.points
        }
        for point in line.points:
            resolution: dict[str, Json] = asdict(plan.type.resolution(point))
            facts[str(plan.ids[point.handle])] = {
                "period_ns": periods.get(point.handle),
                "resolution": resolution,
            }
    return facts


def _device_rows(runner: LineRunner) -> list[Json]:
    return [
        {
            "connector": runner.plan.name,
            "plugin": runner.plan.type.title,
            "device": device.name,
            "address": runner.line.address,
            "is_protected": runner.line.is_protected,
            "is_connected": device.state.is_connected,
            "since_ns": device.since_ns,
            "answer_ms": device.answer_ms,
            "points": len(device.points),
            "rows": max(device.rows, runner.wanted_rows(device.name)),
            "good_rows": device.good_rows,
            "counters": dict(runner.statistics()),
        }
        for device in runner.devices.values()
    ]
