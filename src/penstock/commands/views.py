"""What commands look like in JSON: exactly the contract with the web app."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from pydantic import JsonValue

from penstock.model.units import unit_label
from penstock.registry.views import View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.commands.command import Command, Value

    Names: TypeAlias = Mapping[str, str]


class CheckView(View):
    """One check of the desk."""

    key: str
    ok: bool
    params: dict[str, JsonValue]


class ResultView(View):
    """What came back; `problem` is a key of the screen's catalogue."""

    read_back: float | str | None
    detail: str | None
    problem: str | None


class StepView(View):
    """A line of the history."""

    state: str
    time_ns: str
    detail: str | None


class ResolvedView(View):
    """Who looked at the machine after an unconfirmed command."""

    principal: str
    time_ns: str


class CommandView(View):
    """One command; values of an int64 point are strings; the device can hold `held` of `value`."""

    id: str
    point_id: str
    point_path: str
    state: str
    old_value: float | str | None
    old_quality: int
    value: float | str
    held: float | str
    unit: str
    unit_label: str
    author: str
    reason: str | None
    created_ns: str
    expires_ns: str
    checks: list[CheckView]
    result: ResultView | None
    resolved: ResolvedView | None
    history: list[StepView]


class CommandsView(View):
    """The newest commands."""

    commands: list[CommandView]


def command_view(command: Command, names: Names) -> CommandView:
    """A command as people see it."""
    value, held = _json(command.value), _json(command.held)
    assert value is not None
    assert held is not None
    return CommandView(
        id=command.id,
        point_id=command.point,
        point_path=command.point_path,
        state=command.state.value,
        old_value=_json(command.old_value),
        old_quality=command.old_quality,
        value=value,
        held=held,
        unit=command.unit,
        unit_label=unit_label(command.unit),
        author=names.get(command.author, command.author),
        reason=command.reason or None,
        created_ns=str(command.created_ns),
        expires_ns=str(command.expires_ns),
        checks=[
            CheckView(key=check.key, ok=check.ok, params=dict(check.params))
            for check in command.checks
        ],
        result=_result(command),
        resolved=_resolved(command, names),
        history=[
            StepView(state=step.state.value, time_ns=str(step.time_ns), detail=step.detail or None)
            for step in command.history
        ],
    )


def _result(command: Command) -> ResultView | None:
    if command.read_back is None and not command.problem and not command.detail:
        return None
    return ResultView(
        read_back=_json(command.read_back),
        detail=command.detail or None,
        problem=command.problem or None,
    )


def _resolved(command: Command, names: Names) -> ResolvedView | None:
    if command.resolved_ns is None:
        return None
    who = names.get(command.resolved_by, command.resolved_by)
    return ResolvedView(principal=who, time_ns=str(command.resolved_ns))


def _json(value: Value | None) -> float | str | None:
    """int64 as text, because a JavaScript number ends at 2**53; NaN and infinity as nothing."""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value - value != 0:
        return None
    return value
