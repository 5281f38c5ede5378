"""CommandDesk: the only way to write to the physical world.

Each transition is in the log before anything comes of it; SENT is durable
before the wire. Whatever a restart finds on the wire is UNCONFIRMED and is never
sent again. One lock: commands come at the rate of people, and two of them must
not both find a point free.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import structlog

from penstock.commands.checks import check_value, refusal, typed_value
from penstock.commands.command import (
    ON_THE_WIRE,
    WIRE_KINDS,
    Action,
    Command,
    CommandEvent,
    CommandState,
    EventKind,
    Value,
    to_document,
)
from penstock.commands.engine import step
from penstock.commands.envelope import Envelope, seal
from penstock.commands.held import held_of, held_refusal, tolerance_of
from penstock.commands.recent import RecentCommands
from penstock.log import RecordKind
from penstock.model import NotConnected, Refused
from penstock.model.identity import new_id
from penstock.model.time import MILLISECOND_NS
from penstock.security.audit import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from penstock.commands.config import DeskSettings
    from penstock.commands.ports import DeskPorts
    from penstock.commands.projector import CommandProjector
    from penstock.log import DecisionLog
    from penstock.model import Point
    from penstock.model.event import Json
    from penstock.security.principal import Principal
    from penstock.world import Clock

    Listener = Callable[[Command], None]

TICK_NS = 250 * MILLISECOND_NS
LISTENERS_MAX = 64
TASKS_MAX = 256
T = TypeVar("T")

log = structlog.get_logger(__name__)


class CommandDesk:
    """One per node. Results of the field process come back by `on_result`."""

    def __init__(
        self,
        log: DecisionLog,
        clock: Clock,
        projector: CommandProjector,
        recent: RecentCommands,
        settings: DeskSettings,
        ports: DeskPorts,
    ) -> None:
        self._log = log
        self._clock = clock
        self._projector = projector
        self._recent = recent
        self._settings = settings
        self._ports = ports
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[object]] = set()
        self._sessions: dict[str, str] = {}
        self._listeners: list[Listener] = []
        self._started = asyncio.Event()

    def on_change(self, listener: Listener) -> None:
        """`listener(command)` after each durable transition; it must not wait."""
        assert len(self._listeners) < LISTENERS_MAX
        self._listeners.append(listener)

    async def start(self) -> None:
        """Learn what the last process had under way, and end it; nothing is sent before."""
        await self._projector.wait_projected(self._log.durable)
        self._recent.load(self._clock.now_ns())
        async with self._lock:
            for command in self._recent.open():
                await self._step(command, CommandEvent(EventKind.RESTART))
        self._started.set()

    async def run(self) -> None:
        """End what has passed its deadline, for ever."""
        while True:
            await self._clock.wait_until(self._clock.monotonic_ns() + TICK_NS)
            await self.tick()

    async def tick(self) -> None:
        """End what has passed its deadline by now."""
        now_ns = self._clock.now_ns()
        if any(now_ns >= command.expires_ns for command in self._recent.open()):
            async with self._lock:
                for command in self._recent.open():
                    await self._step(command, CommandEvent(EventKind.TIME))

    async def close(self) -> None:
        """Let what was begun come to its end."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- people

    async def select(
        self, who: Principal, point_id: str, value: object, reason: str, key: str
    ) -> Command:
        """A selected command, or the refusal, which is audited with what was tried."""
        digest = _digest("select", point_id, value, reason)
        return await self._whole(self._select(who, point_id, value, reason, (key, digest)))

    async def send(self, who: Principal, command_id: str, reason: str, key: str) -> Command:
        """ARMED, SENT and on the wire; only who selected it, in the same session."""
        digest = _digest("send", command_id, reason)
        return await self._whole(self._arm_and_send(who, command_id, reason, (key, digest)))

    async def cancel(self, who: Principal, command_id: str) -> Command:
        """End a command that was not sent."""
        event = CommandEvent(EventKind.CANCEL, who.id, f"cancelled by {who.id}")
        return await self._whole(self._by_person(who, command_id, "command.cancel", event))

    async def resolve(self, who: Principal, command_id: str, note: str) -> Command:
        """A person has looked at the machine: an UNCONFIRMED command frees its point."""
        event = CommandEvent(EventKind.RESOLVE, who.id, note)
        return await self._whole(self._by_person(who, command_id, "command.resolve", event))

    # --- the wire

    async def on_result(
        self,
        command_id: str,
        kind: str,
        value: Value | None = None,
        quality: int = 0,
        detail: str = "",
    ) -> None:
        """What the field process says: accepted, refused, not_sent, unknown, read_back, away."""
        event = CommandEvent(EventKind(kind), text=detail, value=value, quality=quality)
        assert event.kind in WIRE_KINDS, kind
        await self._started.wait()
        await self._whole(self._result(command_id, event))

    async def on_away(self, connector: str, detail: str = "") -> None:
        """The connector's process is gone: what it had on the wire is uncertain."""
        points = self._ports.registry()
        for command in self._recent.open():
            point = points.by_id(UUID(command.point))
            if command.state in ON_THE_WIRE and point is not None and point.connector == connector:
                await self.on_result(command.id, EventKind.AWAY.value, detail=detail)

    # --- under the lock

    async def _select(
        self, who: Principal, point_id: str, value: object, reason: str, request: tuple[str, str]
    ) -> Command:
        repeated = self._repeated(who, request)
        if repeated is not None:
            return repeated
        point = self._ports.registry().by_id(UUID(point_id))
        if point is None or not who.may("view", point.asset):
            raise Refused("not_found", f"There is no point {point_id}.")
        try:
            command = self._proposed(who, point, value, reason)
        except Refused as error:
            tried: dict[str, Json] = {
                "value": value if isinstance(value, (int, float, str)) else None
            }
            await self._note(who.id, "command.select", f"point:{point.id}", tried, error.code)
            raise
        deadline_ns = self._clock.now_ns() + self._settings.select_ns
        event = CommandEvent(EventKind.SELECT, who.id, deadline_ns=deadline_ns)
        command, _, _ = await self._recorded(command, event, (who.id, *request))
        self._sessions[command.id] = who.session_id
        await self._note(who.id, "command.select", f"command:{command.id}", _told(command))
        return command

    def _proposed(self, who: Principal, point: Point, value: object, reason: str) -> Command:
        now_ns = self._clock.now_ns()
        wanted, last = typed_value(value, point.kind), self._ports.last_value(point)
        checks = check_value(
            point,
            wanted,
            last,
            self._recent.sent_ns(str(point.id)),
            now_ns,
            is_permitted=who.may("command", point.asset),
            rate_per_minute_max=self._settings.rate_per_minute_max,
        )
        error = refusal(checks)
        if error is not None:
            raise error
        busy = self._recent.busy(str(point.id))
        if busy is not None:
            raise Refused("point_busy", command=busy.id, state=busy.state.value)
        assert wanted is not None
        resolution = self._ports.resolution(point)
        held = held_of(wanted, point.kind, resolution)
        error = held_refusal(point, wanted, held, resolution)
        if error is not None:
            raise error
        return Command(
            id=str(new_id(now_ns)),
            point=str(point.id),
            point_path=point.path,
            asset_path=point.asset,
            unit=point.unit,
            kind=point.kind,
            value=wanted,
            held=held,
            tolerance=tolerance_of(held, point.kind, resolution),
            author=who.id,
            created_ns=now_ns,
            expires_ns=now_ns + self._settings.select_ns,
            reason=reason,
            old_value=last.value if last is not None else None,
            old_quality=last.quality if last is not None else 0,
            checks=checks,
        )

    async def _arm_and_send(
        self, who: Principal, command_id: str, reason: str, request: tuple[str, str]
    ) -> Command:
        repeated = self._repeated(who, request)
        if repeated is not None:
            return repeated
        command = await self._permitted(who, command_id, "command.send")
        is_owner = (command.author, self._sessions.get(command.id)) == (who.id, who.session_id)
        problem = self._why_not_send(command, reason, is_owner=is_owner)
        if problem:
            await self._note(who.id, "command.send", f"command:{command.id}", reason, problem)
            await self._step(command, CommandEvent(EventKind.TIME))
            raise Refused(problem)
        armed, _, _ = await self._recorded(
            command, CommandEvent(EventKind.ARM, who.id, reason), None
        )
        await self._note(who.id, "command.send", f"command:{command.id}", _told(armed))
        deadline_ns = self._clock.now_ns() + self._settings.sent_timeout_ns
        event = CommandEvent(EventKind.SEND, who.id, deadline_ns=deadline_ns)
        sent, actions, sequence = await self._recorded(armed, event, (who.id, *request))
        if Action.PUT_ON_WIRE in actions:
            sent = await self._put_on_wire(sent, sequence)
        return sent

    def _why_not_send(self, command: Command, reason: str, *, is_owner: bool) -> str:
        if len(reason.strip()) < self._settings.reason_characters_min:
            return "reason_needed"
        if not is_owner:
            return "not_permitted"
        if command.state is CommandState.EXPIRED:
            return "expired"
        if command.state not in (CommandState.SELECTED, CommandState.ARMED):
            return "wrong_state"
        return "expired" if self._clock.now_ns() >= command.expires_ns else self._moved(command)

    def _moved(self, command: Command) -> str:
        """The point may have lost its release, its range or its scale since it was selected."""
        point = self._ports.registry().by_id(UUID(command.point))
        if point is None or not point.writable:
            return "not_writable"
        if not point.allows(command.value):
            return "out_of_range"
        held = held_of(command.value, point.kind, self._ports.resolution(point))
        return "" if held == command.held else "expired"

    async def _put_on_wire(self, command: Command, sequence: int) -> Command:
        envelope = Envelope(
            id=command.id,
            point=command.point,
            kind=command.kind,
            value=command.value,
            held=command.held,
            tolerance=command.tolerance,
            author=command.author,
            reason=command.reason,
            node=self._ports.node,
            sequence=sequence,
            expires_ns=self._clock.now_ns() + self._settings.lease_ns,
        )
        try:
            self._ports.send(seal(envelope, self._ports.signer))
        except NotConnected as error:
            return await self._step(command, CommandEvent(EventKind.NOT_SENT, text=str(error)))
        return command

    async def _by_person(
        self, who: Principal, command_id: str, action: str, event: CommandEvent
    ) -> Command:
        command = await self._permitted(who, command_id, action)
        after, _ = step(command, event, self._clock.now_ns())
        if after is command:
            await self._note(who.id, action, f"command:{command.id}", event.text, "wrong_state")
            raise Refused("wrong_state", state=command.state.value)
        after = await self._step(command, event)
        await self._note(who.id, action, f"command:{command.id}", event.text)
        return after

    async def _result(self, command_id: str, event: CommandEvent) -> None:
        command = self._recent.find(command_id)
        if command is None:
            log.warning("command_result_of_unknown_command", command=command_id)
            return
        await self._step(command, event)

    async def _permitted(self, who: Principal, command_id: str, action: str) -> Command:
        command = self._recent.find(command_id)
        if command is None or not who.may("view", command.asset_path):
            raise Refused("not_found", f"There is no command {command_id}.")
        if not who.may("command", command.asset_path):
            await self._note(who.id, action, f"command:{command_id}", None, "not_permitted")
            raise Refused("not_permitted", permission="command")
        return command

    def _repeated(self, who: Principal, request: tuple[str, str]) -> Command | None:
        key, digest = request
        used = self._recent.request(who.id, key)
        if used is None:
            return None
        if used[0] != digest:
            raise Refused("idempotency_key_reused")
        return self._recent.find(used[1])

    async def _step(self, command: Command, event: CommandEvent) -> Command:
        """One transition without a request behind it; also says how it ended to the audit."""
        after, _, _ = await self._recorded(command, event, None)
        if after is not command and after.state is not command.state and not after.is_open:
            told = _told(after) | {"read_back": after.read_back, "detail": after.detail}
            await self._note(
                after.author, f"command.{after.state.value}", f"command:{after.id}", told
            )
        return after

    async def _recorded(
        self, command: Command, event: CommandEvent, request: tuple[str, str, str] | None
    ) -> tuple[Command, tuple[Action, ...], int]:
        """Durable first, then known, then told; the caller acts on what comes back."""
        after, actions = step(command, event, self._clock.now_ns())
        if after is command:
            return command, (), 0
        payload: dict[str, Json] = {"type": "command", "command": to_document(after)}
        if request is not None:
            principal, key, digest = request
            payload["request"] = {"principal": principal, "key": key, "digest": digest}
        sequence = await self._log.append_json(RecordKind.COMMAND, payload)
        self._recent.put(after, request)
        if not after.is_open:
            self._sessions.pop(after.id, None)
        for listener in self._listeners:
            listener(after)
        return after, actions, sequence

    async def _note(
        self, principal: str, action: str, target: str, new: Json, problem: str = ""
    ) -> None:
        outcome = f"refused: {problem}" if problem else "ok"
        await self._ports.audit(Entry(principal, action, target, None, new, outcome))

    async def _whole(self, work: Coroutine[object, object, T]) -> T:
        """Run to the end under the lock, even if who asked has gone: half a command is none."""
        if not self._started.is_set() or len(self._tasks) >= TASKS_MAX:
            work.close()
            raise Refused("busy", retry_after_s=1)

        async def locked() -> T:
            async with self._lock:
                return await work

        task = asyncio.create_task(locked())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)


def _told(command: Command) -> dict[str, Json]:
    names = ("point", "value", "held", "reason")
    return {name: getattr(command, name) for name in names}


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()
