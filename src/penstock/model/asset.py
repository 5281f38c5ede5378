"""Asset: a thing worth watching, in one tree whose root, the enterprise, is the tenant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

LEVELS = ("enterprise", "site", "area", "work_center", "work_unit", "component")


@dataclass(frozen=True, slots=True)
class Asset:
    """One node of the asset tree (ISA-95 equipment element)."""

    id: UUID
    path: str
    level: str
    type: str | None = None
    description: str = ""
    simulated: bool = False

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def parent_path(self) -> str | None:
        """Path of the asset above, None at the root."""
        return self.path.rsplit("/", 1)[0] if "/" in self.path else None
