"""HTTP: the asset tree and the points, cut to what the principal may view."""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
from collections.abc import Callable, Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from penstock.historian.views import LastView
from penstock.model import Point, Refused
from penstock.model.point import NAME_BY_KIND
from penstock.model.units import unit_label
from penstock.registry.snapshot import Snapshot
from penstock.registry.views import (
    AssetsView,
    AssetView,
    LimitView,
    PointDetailView,
    PointsView,
    PointView,
)
from penstock.security.principal import Principal
from penstock.security.routes import requires

Viewer = Annotated[Principal, requires("view", is_anywhere=True)]
POINTS_MAX = 10_000


def routes(
    snapshot: Callable[[], Snapshot],
    limits_of: Callable[[UUID], Sequence[LimitView]],
    last_of: Callable[[Point], LastView | None],
) -> APIRouter:
    """`limits_of` gives the limit rules of a point (rules lie above), `last_of` its sample."""
    router = APIRouter()

    _add_assets(router, snapshot)

    @router.get("/points")
    async def list_points(
        principal: Viewer,
        asset_path: str = "",
        path: str = "",
        q: str = "",
        ids: str = "",
        cursor: str = "",
        limit: Annotated[int, Query(ge=1, le=POINTS_MAX)] = 1000,
    ) -> PointsView:
        """Points by subtree, exact path, text in the path or label, or identities."""
        now = snapshot()
        wanted = _filter(now.points, asset_path, path, q, ids)
        seen = [
            point for point in wanted if point.path > cursor and principal.may("view", point.asset)
        ]
        page = seen[:limit]
        return PointsView(
            revision=now.revision,
            points=[_view(point, now, limits_of) for point in page],
            cursor=page[-1].path if len(seen) > limit else None,
        )

    @router.get("/points/{point_id}")
    async def get_point(principal: Viewer, point_id: str) -> PointDetailView:
        """One point and its newest sample."""
        now = snapshot()
        point = next((item for item in now.points if str(item.id) == point_id), None)
        if point is None or not principal.may("view", point.asset):
            raise Refused("not_found", f"There is no point {point_id}.")
        return PointDetailView(**_view(point, now, limits_of).model_dump(), last=last_of(point))

    return router


def _add_assets(router: APIRouter, snapshot: Callable[[], Snapshot]) -> None:
    @router.get("/assets")
    async def list_assets(principal: Viewer) -> AssetsView:
        """The asset tree, ordered by path."""
        now = snapshot()
        seen = [asset for asset in now.assets if principal.may("view", asset.path)]
        ids = {asset.path: str(asset.id) for asset in seen}
        return AssetsView(
            revision=now.revision,
            assets=[AssetView.of(asset, ids.get(asset.parent_path or "")) for asset in seen],
        )


def _filter(points: Sequence[Point], asset_path: str, path: str, q: str, ids: str) -> list[Point]:
    wanted = set(filter(None, ids.split(",")))
    words = q.casefold().split()
    return [
        point
        for point in points
        if (not path or point.path == path)
        and (not wanted or str(point.id) in wanted)
        and (
            not asset_path or point.asset == asset_path or point.asset.startswith(f"{asset_path}/")
        )
        and all(word in f"{point.path} {point.label}".casefold() for word in words)
    ]


def _view(
    point: Point, now: Snapshot, limits_of: Callable[[UUID], Sequence[LimitView]]
) -> PointView:
    asset = now.asset(point.asset)
    return PointView(
        id=str(point.id),
        path=point.path,
        asset_id="" if asset is None else str(asset.id),
        name=point.name,
        label=point.label or point.name,
        description=point.description,
        kind=NAME_BY_KIND[point.kind],
        unit=point.unit,
        unit_label=unit_label(point.unit),
        low=point.low,
        high=point.high,
        decimals=point.decimals,
        normal_low=point.normal_low,
        normal_high=point.normal_high,
        writable=point.writable,
        command_low=point.command_low,
        command_high=point.command_high,
        labels={str(number): text for number, text in point.labels.items()} or None,
        connector=point.connector,
        device=point.device,
        period_ms=None if point.period_ns is None else point.period_ns / 1e6,
        simulated=point.simulated,
        limits=list(limits_of(point.id)),
    )
