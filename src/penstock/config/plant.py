"""The plant folder as parsed: assets, connectors with their points, loose points.

A point stands where it is fed: in the CSV beside its connector. Columns that
are not of the host go to the connector as text.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from penstock.model import ConfigProblem, ValueKind

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH_BYTES_MAX = 1024


@dataclass(frozen=True, slots=True)
class AssetEntry:
    """One asset of assets.toml."""

    path: str
    level: str
    place: str
    type: str | None = None
    description: str = ""
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class PointEntry:
    """One row of a point list; `id` is None until apply has written one."""

    place: str
    asset: str
    name: str
    kind: ValueKind
    id: UUID | None = None
    label: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    normal_low: float | None = None
    normal_high: float | None = None
    command_low: float | None = None
    command_high: float | None = None
    decimals: int | None = None
    description: str = ""
    labels: Mapping[int, str] = field(default_factory=dict)
    writable: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Path of the point: its asset's path and its name."""
        return f"{self.asset}/{self.name}"


@dataclass(frozen=True, slots=True)
class ConnectorEntry:
    """One file of plant/connectors with the points beside it; `settings` go to the plugin."""

    name: str
    plugin: str
    place: str
    settings: Mapping[str, object]
    points: tuple[PointEntry, ...]
    enabled: bool = True
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Plant:
    """Everything under plant/, with the problems found while reading it."""

    assets: tuple[AssetEntry, ...] = ()
    connectors: tuple[ConnectorEntry, ...] = ()
    points: tuple[PointEntry, ...] = ()
    problems: tuple[ConfigProblem, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)

    def all_points(self) -> list[PointEntry]:
        """Points of all connectors, then the loose ones."""
        fed = [point for connector in self.connectors for point in connector.points]
        return [*fed, *self.points]


def path_problem(path: str) -> str | None:
    """Why `path` cannot name an asset or a point, or None."""
    if not path:
        return "the path is empty"
    size = len(path.encode("utf-8", "surrogatepass"))
    if size > PATH_BYTES_MAX:
        return f"the path has {size} bytes; at most {PATH_BYTES_MAX} are allowed"
    parts = path.split("/")
    if any(part != part.strip() or part in ("", ".", "..") for part in parts):
        return f"{path!r} has an empty part, a part . or .., or blanks at a part's end"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in path):
        return f"{path!r} has a control character"
    return None
