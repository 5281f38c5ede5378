"""Pure decisions about alarms: transitions to events, and events to alarms.

`apply` is the whole projection: an alarm is nothing but its events in the order
of the log. Each function leaves an alarm alone that is already where it leads,
because any event may come twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING

from penstock.alarms.alarm import (
    ACKNOWLEDGED,
    BLIND,
    NOTED,
    NOTES_MAX,
    RAISED,
    RETURNED,
    SEEING,
    Alarm,
    Note,
    alarm_id,
    event_id,
)
from penstock.model import Event, Quality
from penstock.rules.engine import TransitionKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.model import Point
    from penstock.model.event import Json
    from penstock.rules.engine import Transition
    from penstock.rules.rule import Rule

TYPE_BY_KIND = {
    TransitionKind.RAISED: RAISED,
    TransitionKind.RETURNED: RETURNED,
    TransitionKind.BLIND: BLIND,
    TransitionKind.SEEING: SEEING,
}


# --- flags


def on_edge(alarm: Alarm, active: bool, now_ns: int) -> Alarm:
    """Flags are orthogonal (OPC UA Part 9); the ISA-18.2 state is derived from them."""
    if active == alarm.active:
        return alarm
    if active:
        return replace(alarm, active=True, acknowledged=False, raised_ns=now_ns)
    latched = alarm.latched and not alarm.acknowledged
    return replace(alarm, active=False, latched=latched, returned_ns=now_ns)


def acknowledge(alarm: Alarm, principal: str, now_ns: int) -> Alarm:
    """The first who saw it counts; a latch is released once the condition is over too."""
    if alarm.acknowledged:
        return alarm
    return replace(
        alarm,
        acknowledged=True,
        latched=alarm.latched and alarm.active,
        acknowledged_ns=now_ns,
        acknowledged_by=principal,
    )


def note(alarm: Alarm, written: Note) -> Alarm:
    """Add what a person wrote, once; the oldest of too many stay in the journal only."""
    if any(other.id == written.id for other in alarm.notes):
        return alarm
    return replace(alarm, notes=(*alarm.notes, written)[-NOTES_MAX:])


def apply(alarm: Alarm | None, event: Event) -> Alarm | None:
    """The alarm after one of its events; None while it was never raised."""
    if event.type == RAISED:
        return alarm or alarm_of(event)
    if alarm is None:
        return None
    if event.type == RETURNED:
        return on_edge(alarm, False, event.time_ns)
    if event.type in (BLIND, SEEING):
        return replace(alarm, quality=_int(event.data.get("quality"), Quality.GOOD))
    if event.type == ACKNOWLEDGED:
        alarm = acknowledge(alarm, event.principal, event.time_ns)
    text = event.data.get("note")
    if event.type in (ACKNOWLEDGED, NOTED) and isinstance(text, str) and text:
        alarm = note(alarm, Note(event.id, event.time_ns, event.principal, text))
    return alarm


# --- events out of transitions


def transition_event(
    home: str, rule: Rule, point: Point, transition: Transition, cause: str
) -> Event:
    """The event of one transition; a raise carries all that its alarm will ever show."""
    alarm = alarm_id(home, str(rule.id), str(rule.point), transition.episode)
    event_type = TYPE_BY_KIND[transition.kind]
    is_once = event_type in (RAISED, RETURNED)
    data: dict[str, Json] = {
        "alarm": alarm,
        "rule": str(rule.id),
        "home": home,
        "episode": transition.episode,
        "value": _number(transition.value),
        "quality": transition.quality,
    }
    if event_type == RAISED:
        data |= _description(rule, point)
    return Event(
        id=event_id(alarm, event_type, "" if is_once else str(transition.time_ns)),
        type=event_type,
        time_ns=transition.time_ns,
        point=str(rule.point),
        cause=cause,
        severity=rule.priority,
        data=data,
    )


def forced_return(alarm: Alarm, now_ns: int, cause: str) -> Event:
    """The condition is gone for a reason that lies outside the samples."""
    return Event(
        id=event_id(alarm.id, RETURNED),
        type=RETURNED,
        time_ns=now_ns,
        point=alarm.point,
        cause=cause,
        severity=alarm.priority,
        data={
            "alarm": alarm.id,
            "rule": alarm.rule,
            "home": alarm.home,
            "episode": alarm.episode,
        },
    )


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What makes rules and journal agree: each rule's episode, rules to raise, alarms to return."""

    episodes: list[int]
    raised: list[int]
    returned: list[Alarm]


def reconcile(
    rules: Sequence[tuple[str, bool, int]],
    newest: Mapping[str, int],
    active: Mapping[str, Alarm],
) -> Reconciled:
    """The journal's episodes (`newest` by rule) hold and the samples decide.

    A rule is (identity, is active, episode); `active` are the active alarms by rule.
    """
    seen = [(*rule, newest.get(rule[0], 0), active.get(rule[0])) for rule in rules]
    return Reconciled(
        [_episode(is_on, episode, least, alarm) for _, is_on, episode, least, alarm in seen],
        [i for i, (_, is_on, _, _, alarm) in enumerate(seen) if is_on and alarm is None],
        [alarm for _, is_on, _, _, alarm in seen if not is_on and alarm is not None],
    )


def _episode(is_active: bool, episode: int, newest: int, alarm: Alarm | None) -> int:
    if not is_active:
        return max(episode, newest)
    return max(episode, newest + 1) if alarm is None else alarm.episode


def person_event(
    alarm: Alarm, event_type: str, principal: str, now_ns: int, text: str, key: str, digest: str
) -> Event:
    """What a person did: acknowledged, noted. `key` and `digest` tell a repeated request."""
    data: dict[str, Json] = {"alarm": alarm.id, "rule": alarm.rule, "episode": alarm.episode}
    if text:
        data["note"] = text
    return Event(
        id=event_id(alarm.id, event_type, key if event_type == NOTED else ""),
        type=event_type,
        time_ns=now_ns,
        point=alarm.point,
        principal=principal,
        cause=f"request:{key}",
        severity=alarm.priority,
        data=data | {"key": key, "request": digest},
    )


def alarm_of(event: Event) -> Alarm:
    """A new alarm out of its `alarm.raised` event."""
    assert event.type == RAISED
    data = event.data
    return Alarm(
        id=str(data["alarm"]),
        home=str(data["home"]),
        rule=str(data["rule"]),
        point=event.point,
        episode=_int(data["episode"], 1),
        name=str(data["name"]),
        kind=str(data["kind"]),
        side=str(data["side"]),
        priority=event.severity,
        point_path=str(data["point_path"]),
        asset_path=str(data["asset_path"]),
        unit=str(data["unit"]),
        raised_ns=event.time_ns,
        active=True,
        acknowledged=False,
        latched=bool(data["latched"]),
        value=_float_or_int(data.get("value")),
        limit=_float_or_int(data.get("limit")),
        quality=_int(data.get("quality"), Quality.GOOD),
        cause=_texts(data["cause"]),
        consequence=_texts(data["consequence"]),
        response=_texts(data["response"]),
        time_to_respond_s=float(str(data["time_to_respond_s"])),
        simulated=bool(data["simulated"]),
    )


def _description(rule: Rule, point: Point) -> dict[str, Json]:
    cause, consequence, response = (dict(texts) for texts in rule.texts.all())
    return {
        "name": rule.name,
        "kind": rule.kind,
        "side": rule.side.value,
        "limit": rule.level if rule.kind == "limit" else None,
        "latched": rule.latched,
        "point_path": point.path,
        "asset_path": point.asset,
        "unit": point.unit,
        "simulated": point.simulated,
        "cause": {**cause},
        "consequence": {**consequence},
        "response": {**response},
        "time_to_respond_s": rule.time_to_respond_s,
    }


def _number(value: float | int | None) -> Json:
    """JSON has no infinity; the alarm's row says what it can."""
    return value if value is None or isinstance(value, int) or isfinite(value) else None


def _int(value: Json, default: int) -> int:
    return value if isinstance(value, int) else int(default)


def _float_or_int(value: Json) -> float | int | None:
    return value if isinstance(value, (int, float)) else None


def _texts(value: Json) -> dict[str, str]:
    assert isinstance(value, dict)
    return {language: str(text) for language, text in value.items()}
