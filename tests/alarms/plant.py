"""A small plant for the tests of this folder: points, rules, and a node that can die."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from memory_log import KillableState, Killed, Killer, MemoryLog

from penstock.alarms.alarm import Alarm
from penstock.alarms.desk import AlarmDesk
from penstock.alarms.projector import AlarmProjector
from penstock.alarms.store import JournalRow, metadata
from penstock.alarms.worker import RuleWorker
from penstock.model import Asset, Point, ValueKind
from penstock.model.time import SECOND_NS
from penstock.registry import Snapshot
from penstock.rules.rule import LimitRule, Rule, RuleTexts, Side
from penstock.security.audit import Entry
from penstock.security.principal import Principal, RoleGrant, grants_of
from penstock.testing.clock import FakeClock

S = SECOND_NS
TEXTS = RuleTexts({"en": "cause", "de": "Ursache"}, {"en": "consequence"}, {"en": "response"})
ASSETS = (Asset(UUID(int=100), "plant", "enterprise"), Asset(UUID(int=101), "plant/a", "area"))
POINTS = (
    Point(UUID(int=1), 1, "plant/a/t1", "plant/a", "t1", ValueKind.FLOAT, unit="Cel"),
    Point(UUID(int=2), 2, "plant/b/t2", "plant/b", "t2", ValueKind.FLOAT),
    Point(UUID(int=3), 3, "plant/b/n3", "plant/b", "n3", ValueKind.INT),
)
SNAPSHOT = Snapshot.of(1, ASSETS, POINTS)


def rule(point: int = 1, level: float = 80, **more: Any) -> LimitRule:
    return LimitRule(
        id=UUID(int=1_000 + point),
        name=f"limit {point}",
        point=UUID(int=point),
        side=Side.HIGH,
        level=level,
        texts=TEXTS,
        time_to_respond_s=60.0,
        **more,
    )


def person(name: str, role: str, asset_path: str = "") -> Principal:
    return Principal(
        f"user:{name}", name, name.title(), (role,), grants_of([RoleGrant(role, asset_path)])
    )


OPERATOR = person("olga", "operator")


class Node:
    """Log and disk stay; everything else lives from `start` to `die`."""

    def __init__(self, folder: Path, killer: Killer | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.clock = FakeClock(1_000 * S)
        self.log = MemoryLog()
        self.log.killer = killer or Killer()
        self.log.now_ns = self.clock.now_ns
        self.audited: list[Entry] = []
        self.told: list[tuple[list[Alarm], list[str]]] = []
        self.early: Sequence[Rule] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, rules: Sequence[Rule]) -> None:
        self.rules = rules
        self.state: Any = KillableState(self.folder / "state.db", metadata, self.log.killer)
        self.projector = AlarmProjector(self.log, self.state, self.clock)
        self.projector.on_change(
            lambda alarms, removed: self.told.append((list(alarms), list(removed)))
        )
        self.worker = RuleWorker(
            self.log, self.state, self.clock, self.projector, lambda: SNAPSHOT, "node"
        )
        self.desk = AlarmDesk(
            self.log, self.state, self.clock, self.projector, lambda: SNAPSHOT, self._audit
        )
        self._tasks = [asyncio.create_task(self.projector.run())]
        if self.early is not None:
            self.applying = asyncio.create_task(self.worker.apply(self.early))
            await asyncio.sleep(0)
        await self.drive(self.worker.resume(rules))

    async def drive(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of `work`; Killed if it or the projector dies."""
        task = asyncio.create_task(work)
        projector = self._tasks[0]
        await asyncio.wait({task, projector}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Killed):
            await task
        projector.result()
        return None

    async def settle(self) -> None:
        await self.drive(self.worker.catch_up())
        await self.drive(self.projector.wait_projected(self.log.durable))

    async def die(self) -> None:
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Killed):
                await task
        self.log.forget_waiters()
        self.state.close()

    async def restart(self, rules: Sequence[Rule] | None = None) -> None:
        await self.die()
        await self.start(self.rules if rules is None else rules)

    def journal(self) -> list[JournalRow]:
        with self.state.read() as connection:
            return self.projector.store.journal(connection)[::-1]

    def listed(self) -> list[Alarm]:
        return list(self.projector.listed.values())

    async def _audit(self, entry: Entry) -> None:
        self.audited.append(entry)
