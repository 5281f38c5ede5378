"""Alarm: one episode of one rule. Its flags are orthogonal, its ISA-18.2 state is derived.

Identity is (home, rule, point, episode). Every transition's event identity
follows from it, so that a transition which is found again after a crash is
recognised and not told twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

if TYPE_CHECKING:
    from collections.abc import Mapping

ALARM_NAMESPACE = UUID("0d0f6c0a-7c57-5d3e-8c53-0c3b7a3f9a41")
NOTES_MAX = 200
NOTE_CHARACTERS_MAX = 2_000

RAISED = "alarm.raised"
RETURNED = "alarm.returned"
ACKNOWLEDGED = "alarm.acknowledged"
NOTED = "alarm.noted"
BLIND = "alarm.blind"
SEEING = "alarm.seeing"
EVENT_TYPES = frozenset({RAISED, RETURNED, ACKNOWLEDGED, NOTED, BLIND, SEEING})
ONCE = frozenset({RAISED, RETURNED, ACKNOWLEDGED})


class IsaState(Enum):
    """States of ISA-18.2 and IEC 62682, derived from the flags by `isa_state`."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED_UNACKNOWLEDGED = "returned_unacknowledged"
    SHELVED = "shelved"
    SUPPRESSED = "suppressed"
    OUT_OF_SERVICE = "out_of_service"


@dataclass(frozen=True, slots=True)
class Note:
    """What a person wrote; `id` is the event that brought it."""

    id: str
    time_ns: int
    principal: str
    text: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """One episode. `home` is the node that owns the rule's condition.

    `latched` stays until acknowledged even when the condition is over; `quality`
    is bad while nobody can see whether the condition still holds; `is_superseded`
    says that a later episode of the same rule has taken its place in the list.
    """

    id: str
    home: str
    rule: str
    point: str
    episode: int
    name: str
    kind: str
    side: str
    priority: int
    point_path: str
    asset_path: str
    unit: str
    raised_ns: int
    active: bool
    acknowledged: bool
    latched: bool
    shelved: bool = False
    suppressed: bool = False
    out_of_service: bool = False
    is_superseded: bool = False
    value: float | int | None = None
    limit: float | int | None = None
    quality: int = 192
    returned_ns: int | None = None
    acknowledged_ns: int | None = None
    acknowledged_by: str | None = None
    cause: Mapping[str, str] = field(default_factory=dict)
    consequence: Mapping[str, str] = field(default_factory=dict)
    response: Mapping[str, str] = field(default_factory=dict)
    time_to_respond_s: float = 0.0
    simulated: bool = False
    notes: tuple[Note, ...] = ()


def alarm_id(home: str, rule: str, point: str, episode: int) -> str:
    """Identity of one episode."""
    return str(uuid5(ALARM_NAMESPACE, f"{home}/{rule}/{point}/{episode}"))


def event_id(alarm: str, event_type: str, key: str = "") -> str:
    """Identity of a transition; raised, returned and acknowledged happen once an episode."""
    assert bool(key) is (event_type not in ONCE)
    return str(uuid5(UUID(alarm), f"{event_type}/{key}"))


def isa_state(alarm: Alarm) -> IsaState:
    """What an operator calls it; being out of sight (shelved and so on) comes first."""
    if alarm.out_of_service:
        return IsaState.OUT_OF_SERVICE
    if alarm.suppressed:
        return IsaState.SUPPRESSED
    if alarm.shelved:
        return IsaState.SHELVED
    if alarm.active:
        return IsaState.ACKNOWLEDGED if alarm.acknowledged else IsaState.UNACKNOWLEDGED
    return IsaState.NORMAL if alarm.acknowledged else IsaState.RETURNED_UNACKNOWLEDGED


def is_listed(alarm: Alarm) -> bool:
    """Whether it stands in the active list: active, or over but acknowledged by nobody."""
    return not alarm.is_superseded and (alarm.active or not alarm.acknowledged)
