"""From what is stored and what is desired to what changes: a pure function.

Identity is found by id first, then by path among points that no row claims, so
that a plant folder whose ids could not be written keeps its history too.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from penstock.model import Asset, ConfigProblem, Point, ValueKind
from penstock.model.point import NAME_BY_KIND
from penstock.model.system_path import is_system_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from penstock.config import ConnectorEntry, Plant, PointEntry

_ASSET_NAMESPACE = UUID("6f3f0e58-8f0c-5a53-9d5e-3f1a55f0a001")
HANDLES_MAX = 2**32 - 2


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """A row of the points table; `removed_ns` is 0 for a live point."""

    point: Point
    removed_ns: int = 0


@dataclass(frozen=True, slots=True)
class SystemPoint:
    """A point that the node itself brings, for example whether a device answers."""

    path: str
    kind: ValueKind
    label: str
    connector: str
    device: str
    labels: Mapping[int, str] = field(default_factory=dict)
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class RegistryPlan:
    """What apply would do; nothing is stored yet. `ids` are the id cells to write, by place."""

    assets: tuple[Asset, ...]
    points: tuple[Point, ...]
    added: tuple[Point, ...]
    changed: tuple[Point, ...]
    renamed: tuple[tuple[str, str], ...]
    removed: tuple[Point, ...]
    ids: Mapping[str, UUID]
    problems: tuple[ConfigProblem, ...]


@dataclass(slots=True)
class _Work:
    stored: dict[UUID, StoredPoint]
    by_path: dict[str, UUID]
    next_handle: int
    new_id: Callable[[], UUID]
    node: UUID
    points: list[Point] = field(default_factory=list)
    problems: list[ConfigProblem] = field(default_factory=list)
    ids: dict[str, UUID] = field(default_factory=dict)
    own: set[UUID] = field(default_factory=set)


def plan_registry(
    stored: Sequence[StoredPoint],
    plant: Plant,
    system: Iterable[SystemPoint],
    periods_ns: Mapping[str, int],
    *,
    node: UUID,
    new_id: Callable[[], UUID],
) -> RegistryPlan:
    """`periods_ns` by point path comes from the connectors' schedules."""
    work = _begin(stored, plant, node, new_id)
    system = list(system)
    work.own = {system_id(node, item.path) for item in system}
    for connector in plant.connectors:
        for entry in connector.points:
            _desired(work, entry, connector, periods_ns.get(entry.path))
    for entry in plant.points:
        _desired(work, entry, None, None)
    for item in system:
        _system(work, item)
    return _finish(work, plant)


def _begin(
    stored: Sequence[StoredPoint], plant: Plant, node: UUID, new_id: Callable[[], UUID]
) -> _Work:
    claimed = {entry.id for entry in plant.all_points() if entry.id is not None}
    by_path = {
        item.point.path: item.point.id
        for item in stored
        if item.removed_ns == 0 and item.point.id not in claimed
    }
    next_handle = 1 + max((item.point.handle for item in stored), default=0)
    rows = {item.point.id: item for item in stored}
    return _Work(rows, by_path, next_handle, new_id, node)


def _desired(
    work: _Work, entry: PointEntry, connector: ConnectorEntry | None, period_ns: int | None
) -> None:
    if entry.id in work.own:
        message = f"id {entry.id} belongs to a point of the node itself; leave it empty"
        work.problems.append(ConfigProblem(entry.place, message))
        return
    id_ = entry.id or work.by_path.get(entry.path) or work.new_id()
    if entry.id is None:
        work.ids[entry.place] = id_
    old = work.stored.get(id_)
    if old is not None and old.point.kind != entry.kind:
        work.problems.append(ConfigProblem(entry.place, _kind_problem(entry, old.point)))
        return
    work.points.append(
        Point(
            id=id_,
            handle=_handle(work, id_),
            path=entry.path,
            asset=entry.asset,
            name=entry.name,
            kind=entry.kind,
            unit=entry.unit,
            low=entry.low,
            high=entry.high,
            normal_low=entry.normal_low,
            normal_high=entry.normal_high,
            command_low=entry.command_low,
            command_high=entry.command_high,
            writable=entry.writable and connector is not None,
            decimals=entry.decimals,
            label=entry.label,
            description=entry.description,
            labels=entry.labels,
            connector=None if connector is None else connector.name,
            device=None if connector is None else entry.columns.get("device", connector.name),
            period_ns=period_ns,
            simulated=connector is not None and connector.simulated,
        )
    )


def _kind_problem(entry: PointEntry, old: Point) -> str:
    return (
        f"{entry.path} has kind {NAME_BY_KIND[entry.kind]}, but its history has "
        f"{NAME_BY_KIND[old.kind]}; a point keeps its kind for life. Empty the id cell and give "
        "the point another name to begin a new one."
    )


def _system(work: _Work, item: SystemPoint) -> None:
    id_ = system_id(work.node, item.path)
    asset, _, name = item.path.rpartition("/")
    work.points.append(
        Point(
            id=id_,
            handle=_handle(work, id_),
            path=item.path,
            asset=asset,
            name=name,
            kind=item.kind,
            label=item.label,
            labels=item.labels,
            connector=item.connector,
            device=item.device,
            simulated=item.simulated,
        )
    )


def _handle(work: _Work, id_: UUID) -> int:
    old = work.stored.get(id_)
    if old is not None:
        return old.point.handle
    handle = work.next_handle
    assert handle <= HANDLES_MAX
    work.next_handle += 1
    return handle


def _finish(work: _Work, plant: Plant) -> RegistryPlan:
    live = {point.id for point in work.points}
    old_live = {id_: item.point for id_, item in work.stored.items() if item.removed_ns == 0}
    both = [(old_live[point.id], point) for point in work.points if point.id in old_live]
    return RegistryPlan(
        assets=_tree(plant, work.points),
        points=tuple(work.points),
        added=tuple(point for point in work.points if point.id not in old_live),
        changed=tuple(new for old, new in both if old != new),
        renamed=tuple((old.path, new.path) for old, new in both if old.path != new.path),
        removed=tuple(point for id_, point in old_live.items() if id_ not in live),
        ids=work.ids,
        problems=tuple(work.problems),
    )


def _tree(plant: Plant, points: Sequence[Point]) -> tuple[Asset, ...]:
    """Assets of the files, and those that only a path of a point names."""
    assets = {
        entry.path: Asset(
            asset_id(entry.path),
            entry.path,
            entry.level,
            entry.type,
            entry.description,
            entry.simulated,
        )
        for entry in plant.assets
    }
    for path in [*(point.asset for point in points), *assets]:
        for ancestor in _ancestors(path):
            assets.setdefault(ancestor, Asset(asset_id(ancestor), ancestor, _level(ancestor)))
    simulated = {point.asset for point in points if point.simulated}
    return tuple(
        replace(asset, simulated=True) if asset.path in simulated else asset
        for asset in assets.values()
    )


def _ancestors(path: str) -> list[str]:
    """The path itself and every path above it."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _level(path: str) -> str:
    if is_system_path(path):
        return "component"
    return ("enterprise", "area", "work_unit")[min(path.count("/"), 2)]


def system_id(node: UUID, path: str) -> UUID:
    """Identity of a point that the node itself brings."""
    return uuid5(node, path)


def asset_id(path: str) -> UUID:
    """Identity of the asset at `path` (renames of assets come with `moved` entries)."""
    return uuid5(_ASSET_NAMESPACE, path)
