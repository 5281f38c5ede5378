"""The state table of commands as one pure function.

    PROPOSED → SELECTED → ARMED → SENT → ACCEPTED → CONFIRMED
       └─────────┴─────────┴→ EXPIRED    (nothing was sent: cancelled, too late, restart)
    SENT → REJECTED                      the device said no
    SENT → FAILED                        nothing went over the wire
    ACCEPTED → FAILED                    the device said yes and holds another value
    SENT, ACCEPTED → UNCONFIRMED         nobody knows: no answer, no read-back, a restart

An event that does not belong to a state changes nothing; what has ended stays
ended. What was sent is never sent again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.commands.command import (
    BEFORE_THE_WIRE,
    ON_THE_WIRE,
    Action,
    Command,
    CommandEvent,
    CommandState,
    EventKind,
    Step,
    Value,
)
from penstock.model import Quality

if TYPE_CHECKING:
    from collections.abc import Callable

    Rule = Callable[[Command, CommandEvent, int], Command]

Result = tuple[Command, tuple[Action, ...]]

DETAIL_CHARACTERS_MAX = 500
STEPS_MAX = 64


def step(command: Command, event: CommandEvent, now_ns: int) -> Result:
    """The command after one event, and what is to be done once that is durable."""
    if command.state in BEFORE_THE_WIRE:
        return _before_the_wire(command, event, now_ns)
    if command.state in ON_THE_WIRE:
        return _ON_THE_WIRE.get(event.kind, _nothing)(command, event, now_ns), ()
    if command.state is CommandState.UNCONFIRMED and command.resolved_ns is None:
        return _unconfirmed(command, event, now_ns), ()
    return command, ()


def is_equal(value: Value | None, wanted: Value, tolerance: float) -> bool:
    """Whether a read-back is what the device should hold: exactly for whole numbers and texts."""
    if value is None or isinstance(value, str) or isinstance(wanted, str):
        return value is not None and value == wanted
    if isinstance(wanted, int):
        return value == wanted
    return abs(value - wanted) <= tolerance


# --- before anything was sent


def _before_the_wire(command: Command, event: CommandEvent, now_ns: int) -> Result:
    kind, state = event.kind, command.state
    if kind is EventKind.CANCEL:
        return _to(command, CommandState.EXPIRED, now_ns, event.text, "cancelled"), ()
    if kind is EventKind.RESTART:
        return _to(command, CommandState.EXPIRED, now_ns, "restart", "restarted"), ()
    if kind is EventKind.SELECT and state is CommandState.PROPOSED:
        selected = replace(command, expires_ns=event.deadline_ns)
        return _to(selected, CommandState.SELECTED, now_ns), ()
    is_late = now_ns >= command.expires_ns
    if is_late and kind in (EventKind.TIME, EventKind.ARM, EventKind.SEND):
        return _to(command, CommandState.EXPIRED, now_ns, "", "expired"), ()
    if kind is EventKind.ARM and state is CommandState.SELECTED:
        armed = replace(command, reason=event.text)
        return _to(armed, CommandState.ARMED, now_ns, event.text), ()
    if kind is EventKind.SEND and state is CommandState.ARMED:
        sent = replace(command, expires_ns=event.deadline_ns)
        return _to(sent, CommandState.SENT, now_ns), (Action.PUT_ON_WIRE,)
    return command, ()


# --- after it was sent


def _nothing(command: Command, _event: CommandEvent, _now_ns: int) -> Command:
    return command


def _accepted(command: Command, event: CommandEvent, now_ns: int) -> Command:
    if command.state is not CommandState.SENT:
        return command
    known = replace(command, is_answer_lost=False)
    return _to(known, CommandState.ACCEPTED, now_ns, event.text)


def _refused(command: Command, event: CommandEvent, now_ns: int) -> Command:
    if command.state is not CommandState.SENT:
        return command
    return _to(command, CommandState.REJECTED, now_ns, event.text, "refused")


def _not_sent(command: Command, event: CommandEvent, now_ns: int) -> Command:
    if command.state is not CommandState.SENT or command.is_answer_lost:
        return command
    return _to(command, CommandState.FAILED, now_ns, event.text, "not_sent")


def _unknown(command: Command, event: CommandEvent, now_ns: int) -> Command:
    """No answer: a read-back may still tell, so it waits for its deadline."""
    if command.state is not CommandState.SENT or command.is_answer_lost:
        return command
    lost = replace(command, is_answer_lost=True)
    return _to(lost, CommandState.SENT, now_ns, event.text, "no_answer")


def _read_back(command: Command, event: CommandEvent, now_ns: int) -> Command:
    """Counts only behind the device's answer; one from before may be older than the write."""
    seen = _held(command, event)
    is_behind = command.state is CommandState.ACCEPTED or command.is_answer_lost
    if is_behind and _is_usable(event) and is_equal(event.value, command.held, command.tolerance):
        return _to(replace(seen, problem=""), CommandState.CONFIRMED, now_ns, event.text)
    if not is_behind or seen == command or command.revision >= STEPS_MAX:
        return command
    return _to(seen, command.state, now_ns, event.text, "read_back_differs")


def _away(command: Command, event: CommandEvent, now_ns: int) -> Command:
    return _to(command, CommandState.UNCONFIRMED, now_ns, event.text, "connector_away")


def _restart(command: Command, _event: CommandEvent, now_ns: int) -> Command:
    return _to(command, CommandState.UNCONFIRMED, now_ns, "restart", "restarted")


def _time(command: Command, _event: CommandEvent, now_ns: int) -> Command:
    if now_ns < command.expires_ns:
        return command
    holds_another = command.read_back is not None and command.read_back_quality >= Quality.UNCERTAIN
    if command.state is CommandState.ACCEPTED and holds_another:
        return _to(command, CommandState.FAILED, now_ns, command.detail, "ignored")
    if command.state is CommandState.ACCEPTED or command.is_answer_lost:
        return _to(command, CommandState.UNCONFIRMED, now_ns, command.detail, "no_read_back")
    return _to(command, CommandState.UNCONFIRMED, now_ns, command.detail, "no_answer")


_ON_THE_WIRE: dict[EventKind, Rule] = {
    EventKind.ACCEPTED: _accepted,
    EventKind.REFUSED: _refused,
    EventKind.NOT_SENT: _not_sent,
    EventKind.UNKNOWN: _unknown,
    EventKind.READ_BACK: _read_back,
    EventKind.AWAY: _away,
    EventKind.RESTART: _restart,
    EventKind.TIME: _time,
}


def _unconfirmed(command: Command, event: CommandEvent, now_ns: int) -> Command:
    """A late read-back is shown to the person who decides; it decides nothing itself."""
    if event.kind is EventKind.RESOLVE:
        resolved = replace(command, resolved_by=event.principal, resolved_ns=now_ns)
        return _to(resolved, CommandState.UNCONFIRMED, now_ns, event.text, command.problem)
    if event.kind is EventKind.READ_BACK:
        seen = _held(command, event)
        if seen != command and command.revision < STEPS_MAX:
            return _to(seen, CommandState.UNCONFIRMED, now_ns, event.text, command.problem)
    return command


def _held(command: Command, event: CommandEvent) -> Command:
    return replace(command, read_back=event.value, read_back_quality=event.quality)


def _is_usable(event: CommandEvent) -> bool:
    return event.value is not None and event.quality >= Quality.UNCERTAIN


def _to(
    command: Command, state: CommandState, now_ns: int, detail: str = "", problem: str = ""
) -> Command:
    detail = detail[:DETAIL_CHARACTERS_MAX]
    history = (*command.history, Step(state, now_ns, detail or problem))
    return replace(command, state=state, history=history, detail=detail, problem=problem)
