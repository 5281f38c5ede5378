"""Every point that this node has ever had, with the type of its asset: history outlives points."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    from penstock.model import Point
    from penstock.registry import Registry
    from penstock.security import Principal


class KnownPoints:
    """Read from the registry each time it is asked."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def all(self) -> list[tuple[Point, str | None]]:
        """(point, type of its asset); points that were removed too."""
        types = {asset.path: asset.type for asset in self._registry.snapshot.assets}
        return [
            (stored.point, types.get(stored.point.asset)) for stored in self._registry.all_known()
        ]

    def below(self, path: str) -> list[Point]:
        """The point of this path, or all points of an asset and what lies below it."""
        inside = f"{path}/"
        points = [stored.point for stored in self._registry.all_known()]
        return [point for point in points if point.path == path or point.path.startswith(inside)]

    def visible(self, who: Principal, id_: UUID) -> tuple[Point, str | None] | None:
        """A point of today that `who` may view."""
        point = self._registry.by_id(id_)
        if point is None or not who.may("view", point.asset):
            return None
        asset = self._registry.snapshot.asset(point.asset)
        return point, None if asset is None else asset.type
