"""The command desk in its place: what it is given, and who hears of a command."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import structlog

from penstock.commands.checks import LastValue
from penstock.commands.desk import CommandDesk
from penstock.commands.ports import DeskPorts
from penstock.commands.projector import CommandProjector
from penstock.commands.recent import RecentCommands
from penstock.commands.views import command_view
from penstock.model import NotConnected, Refused
from penstock.plugin import Resolution
from penstock.state import patiently

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.commands.command import Command
    from penstock.historian import LastTable
    from penstock.model import Point
    from penstock.model.event import Json
    from penstock.node.core.field_link import FieldLink
    from penstock.node.core.parts import Parts
    from penstock.server.live import LiveHub
    from penstock.world import Clock

log = structlog.get_logger()


@dataclass(slots=True)
class Commands:
    """Desk, projection and recent commands of one node."""

    projector: CommandProjector
    recent: RecentCommands
    desk: CommandDesk
    clock: Clock
    resolutions: Mapping[str, Resolution] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        """Begin when the projection is there, then watch the deadlines."""
        await patiently(self.desk.start, self.clock, "commands")
        await patiently(self.desk.run, self.clock, "commands")

    def on_state(self, document: dict[str, Json]) -> None:
        """What the field process says of a command."""
        self._spawn(patiently(lambda: self._on_state(document), self.clock, "command_state"))

    def on_field_lost(self, connectors: set[str]) -> None:
        """The field process is gone: what was on the wire is uncertain."""
        for connector in connectors:
            self._spawn(self.desk.on_away(connector, "the field process ended"))

    async def _on_state(self, document: dict[str, Json]) -> None:
        value = document["value"]
        if document["is_int"]:
            value = int(str(value))
        assert value is None or isinstance(value, int | float | str)
        quality = document["quality"]
        assert isinstance(quality, int)
        await self.desk.on_result(
            str(document["command"]),
            str(document["kind"]),
            value,
            quality,
            str(document["detail"]),
        )

    def _spawn(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def build_commands(parts: Parts, link: FieldLink, hub: LiveHub) -> Commands:
    """Join the desk to log, registry, history, field and live socket."""
    projector = CommandProjector(parts.log, parts.state, parts.clock)
    recent = RecentCommands(parts.state)
    last = parts.historian.historian.last

    def send(envelope: bytes) -> None:
        try:
            link.send_command(envelope)
        except Refused as refusal:
            raise NotConnected(refusal.detail) from refusal

    ports = DeskPorts(
        registry=lambda: parts.registry.snapshot,
        last_value=lambda point: last_value(last, point),
        send=send,
        audit=parts.security.audit.record,
        signer=parts.keys,
        node=str(parts.keys.node),
        resolution=lambda point: commands.resolutions.get(point.path, Resolution()),
    )
    desk = CommandDesk(parts.log, parts.clock, projector, recent, parts.settings.commands, ports)
    commands = Commands(projector, recent, desk, parts.clock)
    desk.on_change(lambda command: _publish(hub, parts, command))
    return commands


def last_value(last: LastTable, point: Point) -> LastValue | None:
    """What the point holds as far as history knows."""
    rows = last.rows(np.array([point.handle], np.uint32))
    if not rows.kind[0]:
        return None
    return LastValue(rows.value(0), int(rows.quality[0]))


def _publish(hub: LiveHub, parts: Parts, command: Command) -> None:
    view = command_view(command, parts.security.principal_names()).model_dump(mode="json")
    hub.publish_event("command", {"command": view}, command.asset_path)
