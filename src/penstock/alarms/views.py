"""What alarms look like in JSON: exactly the contract with the web app.

Nanoseconds and int64 are strings, because a JavaScript number ends at 2**53.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from pydantic import JsonValue

from penstock.alarms.alarm import Alarm, isa_state
from penstock.model.units import unit_label
from penstock.registry.views import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from penstock.alarms.store import JournalRow
    from penstock.registry import Snapshot

    Names: TypeAlias = Mapping[str, str]

PRIORITIES = ("1", "2", "3", "4")


class NoteView(View):
    """What a person wrote."""

    time_ns: str
    principal: str
    text: str


class AlarmView(View):
    """One alarm; `value` is a string for an int64 point."""

    id: str
    rule_id: str
    point_id: str | None
    point_path: str
    asset_id: str
    asset_path: str
    name: str
    priority: int
    state: str
    active: bool
    acknowledged: bool
    shelved: bool
    suppressed: bool
    out_of_service: bool
    latched: bool
    raised_ns: str
    returned_ns: str | None
    acknowledged_ns: str | None
    acknowledged_by: str | None
    value: float | str | None
    quality: int
    limit: float | None
    unit: str
    unit_label: str
    message_key: str
    cause: dict[str, str]
    consequence: dict[str, str]
    response: dict[str, str]
    time_to_respond_s: float
    episode: int
    notes: list[NoteView]
    kind: str
    simulated: bool


class Counts(View):
    """How many of one priority stand in the active list."""

    active: int = 0
    unacknowledged: int = 0


class AlarmsView(View):
    """A page of alarms; the counts are those of the whole active list."""

    alarms: list[AlarmView]
    counts: dict[str, Counts]
    cursor: str | None = None


class AlarmEventView(View):
    """A line of the journal."""

    id: str
    type: str
    time_ns: str
    alarm_id: str
    point_id: str
    principal: str | None
    cause: str
    priority: int
    data: dict[str, JsonValue]


class JournalView(View):
    """A page of the journal, the newest first."""

    events: list[AlarmEventView]
    cursor: str | None = None


def asset_path_of(alarm: Alarm, snapshot: Snapshot) -> str:
    """Where the alarm lies today; where it was raised, if its point is gone. Grants ask this."""
    point = snapshot.by_id(UUID(alarm.point))
    return point.asset if point is not None else alarm.asset_path


def alarm_view(alarm: Alarm, snapshot: Snapshot, names: Names) -> AlarmView:
    """An alarm as people see it: today's paths and names, the values of the time."""
    point = snapshot.by_id(UUID(alarm.point))
    asset_path = asset_path_of(alarm, snapshot)
    asset = snapshot.asset(asset_path)
    who = alarm.acknowledged_by
    value = alarm.value
    return AlarmView(
        id=alarm.id,
        rule_id=alarm.rule,
        point_id=alarm.point if point is not None else None,
        point_path=point.path if point is not None else alarm.point_path,
        asset_id=str(asset.id) if asset is not None else "",
        asset_path=asset_path,
        name=alarm.name,
        priority=alarm.priority,
        state=isa_state(alarm).value,
        active=alarm.active,
        acknowledged=alarm.acknowledged,
        shelved=alarm.shelved,
        suppressed=alarm.suppressed,
        out_of_service=alarm.out_of_service,
        latched=alarm.latched,
        raised_ns=str(alarm.raised_ns),
        returned_ns=_text(alarm.returned_ns),
        acknowledged_ns=_text(alarm.acknowledged_ns),
        acknowledged_by=names.get(who, who) if who is not None else None,
        value=str(value) if isinstance(value, int) else value,
        quality=alarm.quality,
        limit=alarm.limit,
        unit=alarm.unit,
        unit_label=unit_label(alarm.unit),
        message_key=_message_key(alarm),
        cause=dict(alarm.cause),
        consequence=dict(alarm.consequence),
        response=dict(alarm.response),
        time_to_respond_s=alarm.time_to_respond_s,
        episode=alarm.episode,
        notes=[
            NoteView(
                time_ns=str(note.time_ns),
                principal=names.get(note.principal, note.principal),
                text=note.text,
            )
            for note in alarm.notes
        ],
        kind=alarm.kind,
        simulated=alarm.simulated,
    )


def counts(listed: Iterable[Alarm]) -> dict[str, Counts]:
    """By priority; a returned alarm that nobody acknowledged counts as unacknowledged only."""
    active = dict.fromkeys(PRIORITIES, 0)
    unacknowledged = dict.fromkeys(PRIORITIES, 0)
    for alarm in listed:
        active[str(alarm.priority)] += alarm.active
        unacknowledged[str(alarm.priority)] += not alarm.acknowledged
    return {
        name: Counts(active=active[name], unacknowledged=unacknowledged[name])
        for name in PRIORITIES
    }


def event_view(row: JournalRow, names: Names) -> AlarmEventView:
    """A line of the journal with the name of who did it."""
    data = {
        key: str(value) if key in ("value", "limit") and isinstance(value, int) else value
        for key, value in row.data.items()
        if key not in ("key", "request")
    }
    return AlarmEventView(
        id=row.id,
        type=row.type,
        time_ns=str(row.time_ns),
        alarm_id=row.alarm,
        point_id=row.point,
        principal=names.get(row.principal, row.principal) or None,
        cause=row.cause,
        priority=row.severity,
        data=data,
    )


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _message_key(alarm: Alarm) -> str:
    return f"alarm.limit.{alarm.side}" if alarm.kind == "limit" else f"alarm.{alarm.kind}"
