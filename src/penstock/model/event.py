"""Event: an immutable fact. Alarm transitions are events, so the journal is a projection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENT_BYTES_MAX = 64 * 1024
EVENT_SCHEMA = 1

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, where, when and why; `type` is dotted, for example "alarm.raised".

    `asset` and `point` are UUID texts or empty; `cause` names the log position or
    the request behind it; `severity` is the priority 1 (worst) to 4, 0 for none.
    """

    id: str
    type: str
    time_ns: int
    asset: str = ""
    point: str = ""
    principal: str = ""
    cause: str = ""
    severity: int = 0
    data: Mapping[str, Json] = field(default_factory=dict)
    schema: int = EVENT_SCHEMA
