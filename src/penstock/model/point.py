"""Point: one quantity of an asset over time.

Identity is a UUID for ever; the name is a path and may change; the handle is a
u32 that is local to one log and never reused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.model.frame import ValueKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

KIND_BY_NAME = {kind.name.lower(): kind for kind in ValueKind}
NAME_BY_KIND = {kind: name for name, kind in KIND_BY_NAME.items()}


@dataclass(frozen=True, slots=True)
class Point:
    """Description of a point; `low` and `high` are the instrument's range in `unit` (UCUM).

    `command_low` and `command_high` bound what may be written; both are None at
    a point that is read-only.
    """

    id: UUID
    handle: int
    path: str
    asset: str
    name: str
    kind: ValueKind
    unit: str = ""
    low: float | None = None
    high: float | None = None
    normal_low: float | None = None
    normal_high: float | None = None
    command_low: float | None = None
    command_high: float | None = None
    writable: bool = False
    decimals: int | None = None
    label: str = ""
    description: str = ""
    labels: Mapping[int, str] = field(default_factory=dict)
    connector: str | None = None
    device: str | None = None
    period_ns: int | None = None
    simulated: bool = False

    def allows(self, value: float | str) -> bool:
        """Whether a command may ask for `value`: inside the command range, bounds included."""
        if isinstance(value, str):
            return True
        low, high = self.command_low, self.command_high
        return not ((low is not None and value < low) or (high is not None and value > high))
