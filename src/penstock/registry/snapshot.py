"""What the registry knew at one revision; immutable, so that a query pins it by a reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from penstock.model import Asset, Point


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Live assets and points, ordered by path, with the look-ups that everybody needs."""

    revision: int = 0
    assets: tuple[Asset, ...] = ()
    points: tuple[Point, ...] = ()
    _point_by_id: dict[UUID, Point] = field(default_factory=dict)
    _point_by_path: dict[str, Point] = field(default_factory=dict)
    _asset_by_path: dict[str, Asset] = field(default_factory=dict)

    @classmethod
    def of(cls, revision: int, assets: Iterable[Asset], points: Iterable[Point]) -> Snapshot:
        """Build the look-ups."""
        tree = tuple(sorted(assets, key=lambda asset: asset.path))
        flat = tuple(sorted(points, key=lambda point: point.path))
        return cls(
            revision,
            tree,
            flat,
            {point.id: point for point in flat},
            {point.path: point for point in flat},
            {asset.path: asset for asset in tree},
        )

    def by_id(self, point: UUID) -> Point | None:
        """Live point of this identity."""
        return self._point_by_id.get(point)

    def by_path(self, path: str) -> Point | None:
        """Live point at this path."""
        return self._point_by_path.get(path)

    def asset(self, path: str) -> Asset | None:
        """Asset at this path."""
        return self._asset_by_path.get(path)

    def handle_of(self, point: UUID) -> int | None:
        """Handle of a live point."""
        found = self._point_by_id.get(point)
        return None if found is None else found.handle
