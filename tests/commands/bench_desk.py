"""A desk with a plant, a person and a wire that only notes what is put on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from memory_log import KillableState, Killed, Killer, MemoryLog

from penstock.commands.checks import LastValue
from penstock.commands.command import Command, CommandState
from penstock.commands.config import DeskSettings
from penstock.commands.desk import CommandDesk
from penstock.commands.envelope import Envelope, verify
from penstock.commands.ports import DeskPorts
from penstock.commands.projector import CommandProjector
from penstock.commands.recent import RecentCommands
from penstock.commands.store import metadata
from penstock.log import RecordKind
from penstock.model import NotConnected, Point, ValueKind
from penstock.model.time import SECOND_NS
from penstock.plugin import Resolution
from penstock.registry import Snapshot
from penstock.security.audit import Entry
from penstock.security.principal import Principal, RoleGrant, grants_of
from penstock.testing.clock import FakeClock

S = SECOND_NS
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
VALVE, COUNTER, SENSOR, LABEL = (str(UUID(int=number)) for number in (1, 2, 3, 4))
WRITABLE: dict[str, Any] = {"writable": True, "connector": "line", "device": "plc"}
POINTS = (
    Point(UUID(VALVE), 1, "plant/a/valve", "plant/a", "valve", ValueKind.FLOAT, unit="%",
          command_low=0.0, command_high=100.0, **WRITABLE),
    Point(UUID(COUNTER), 2, "plant/a/counter", "plant/a", "counter", ValueKind.INT, **WRITABLE),
    Point(UUID(SENSOR), 3, "plant/b/sensor", "plant/b", "sensor", ValueKind.FLOAT),
    Point(UUID(LABEL), 4, "plant/b/label", "plant/b", "label", ValueKind.TEXT, **WRITABLE),
)  # fmt: skip


def person(name: str, role: str, asset_path: str = "", session: str = "s1") -> Principal:
    grants = grants_of([RoleGrant(role, asset_path)])
    return Principal(f"user:{name}", name, name.title(), (role,), grants, session)


OLGA = person("olga", "operator")


class Bench:
    """Log, disk and wire stay; desk and projector live from `start` to `die`."""

    def __init__(self, folder: Path, killer: Killer | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.clock = FakeClock(1_000 * S)
        self.log = MemoryLog()
        self.log.killer = killer or Killer()
        self.log.now_ns = self.clock.now_ns
        self.snapshot = Snapshot.of(1, (), POINTS)
        self.wire: list[Envelope] = []
        self.states_at_the_wire: list[str] = []
        self.is_connected = True
        self.audited: list[Entry] = []
        self.told: list[Command] = []
        self.resolution = Resolution()
        self.last: dict[str, LastValue] = {VALVE: LastValue(10.0, 192)}

    async def start(self) -> None:
        self.state: Any = KillableState(self.folder / "state.db", metadata, self.log.killer)
        self.projector = CommandProjector(self.log, self.state, self.clock)
        self.recent = RecentCommands(self.state)
        ports = DeskPorts(
            registry=lambda: self.snapshot,
            last_value=lambda point: self.last.get(str(point.id)),
            send=self._send,
            audit=self._audit,
            signer=KEY,
            node="node",
            resolution=lambda _point: self.resolution,
        )
        self.desk = CommandDesk(
            self.log, self.clock, self.projector, self.recent, DeskSettings(), ports
        )
        self.desk.on_change(self.told.append)
        self._projecting = asyncio.create_task(self.projector.run())
        await self.drive(self.desk.start())

    async def drive(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of `work`; Killed if it or the projector dies."""
        task = asyncio.create_task(work)
        try:
            await asyncio.wait({task, self._projecting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done() and not self._projecting.done():
                task.cancel()
        if task.done():
            return task.result()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Killed):
            await task
        self._projecting.result()
        return None

    async def projected(self) -> None:
        await self.drive(self.projector.wait_projected(self.log.durable))

    async def die(self) -> None:
        self._projecting.cancel()
        with contextlib.suppress(asyncio.CancelledError, Killed):
            await self._projecting
        await self.desk.close()
        self.log.forget_waiters()
        self.state.close()

    async def restart(self) -> None:
        await self.die()
        await self.start()

    def stored(self, command: str) -> Command:
        with self.state.read() as connection:
            found: Command | None = self.projector.store.find(connection, command)
        assert found is not None
        return found

    def logged_states(self) -> list[str]:
        return [
            str(record.payload["command"]["state"])  # type: ignore[index,call-overload]
            for record in self.log.records
            if record.kind == RecordKind.COMMAND
        ]

    def _send(self, data: bytes) -> None:
        if not self.is_connected:
            raise NotConnected("The connector's process is away.")
        step = self.log.killer.before()
        envelope = verify(data, PUBLIC, self.clock.now_ns(), ()).envelope
        assert envelope is not None
        self.wire.append(envelope)
        self.states_at_the_wire.append(self.logged_states()[-1])
        self.log.killer.after(step)

    async def _audit(self, entry: Entry) -> None:
        step = self.log.killer.before()
        self.audited.append(entry)
        self.log.killer.after(step)


ENDS = {CommandState.CONFIRMED, CommandState.EXPIRED, CommandState.UNCONFIRMED}
