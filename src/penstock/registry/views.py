"""What assets and points look like in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from penstock.historian.views import LastView

if TYPE_CHECKING:
    from penstock.model import Asset


class View(BaseModel):
    """Base of what the node answers: made once, never changed."""

    model_config = ConfigDict(frozen=True)


class AssetView(View):
    """One asset; `parent_id` is None at a root."""

    id: str
    path: str
    name: str
    parent_id: str | None
    level: str
    type: str | None
    description: str
    simulated: bool

    @classmethod
    def of(cls, asset: Asset, parent_id: str | None) -> AssetView:
        """From the noun."""
        return cls(
            id=str(asset.id),
            path=asset.path,
            name=asset.name,
            parent_id=parent_id,
            level=asset.level,
            type=asset.type,
            description=asset.description,
            simulated=asset.simulated,
        )


class AssetsView(View):
    """The tree at one revision."""

    revision: int
    assets: list[AssetView]


class LimitView(View):
    """A limit rule of a point, for charts and faceplates."""

    rule_id: str
    name: str
    side: str
    level: float
    priority: int


class PointView(View):
    """Description of a point; units are UCUM codes with a label to show."""

    id: str
    path: str
    asset_id: str
    name: str
    label: str
    description: str
    kind: str
    unit: str
    unit_label: str
    low: float | None
    high: float | None
    decimals: int | None
    normal_low: float | None
    normal_high: float | None
    writable: bool
    command_low: float | None
    command_high: float | None
    labels: dict[str, str] | None
    connector: str | None
    device: str | None
    period_ms: float | None
    simulated: bool
    limits: list[LimitView]


class PointDetailView(PointView):
    """One point with its newest sample; None if it has none yet."""

    last: LastView | None


class PointsView(View):
    """A page of points; `cursor` is None on the last."""

    revision: int
    points: list[PointView]
    cursor: str | None
