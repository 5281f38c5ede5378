"""The registry at work: loads what is stored, plans, commits, and hands out snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.model import ConfigError
from penstock.model.identity import new_id
from penstock.registry import store
from penstock.registry.plan import RegistryPlan, StoredPoint, SystemPoint, plan_registry
from penstock.registry.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from penstock.config import Plant
    from penstock.model import Point
    from penstock.state.database import State
    from penstock.world import Clock


class Registry:
    """One node's assets and points; `snapshot` is replaced, never changed."""

    def __init__(self, state: State, clock: Clock, node: UUID) -> None:
        self._state = state
        self._clock = clock
        self._node = node
        with state.read() as connection:
            self._stored = store.load_points(connection)
            assets = store.load_assets(connection)
        self._handles = {item.point.id: item.point.handle for item in self._stored}
        live = [item.point for item in self._stored if item.removed_ns == 0]
        self.snapshot = Snapshot.of(0, assets, live)

    def plan(
        self, plant: Plant, system: Iterable[SystemPoint], periods_ns: Mapping[str, int]
    ) -> RegistryPlan:
        """What `apply` would change."""
        return plan_registry(
            self._stored,
            plant,
            system,
            periods_ns,
            node=self._node,
            new_id=lambda: new_id(self._clock.now_ns()),
        )

    async def commit(self, plan: RegistryPlan) -> Snapshot:
        """Store the plan and publish its snapshot; ConfigError if it has problems."""
        if plan.problems:
            raise ConfigError(plan.problems)
        now_ns = self._clock.now_ns()
        await self._state.write(lambda connection: store.save(connection, plan, now_ns))
        rows = {item.point.id: item for item in self._stored}
        rows |= {point.id: StoredPoint(point, now_ns) for point in plan.removed}
        rows |= {point.id: StoredPoint(point) for point in plan.points}
        self._stored = list(rows.values())
        self._handles = {item.point.id: item.point.handle for item in self._stored}
        self.snapshot = Snapshot.of(self.snapshot.revision + 1, plan.assets, plan.points)
        return self.snapshot

    def by_id(self, id_: UUID) -> Point | None:
        """Live point of this identity."""
        return self.snapshot.by_id(id_)

    def all_known(self) -> list[StoredPoint]:
        """Live points and tombstones (for the log's dictionary)."""
        return list(self._stored)

    def handle_of(self, id_: UUID) -> int | None:
        """Handle of any point that was ever committed, also of a removed one."""
        return self._handles.get(id_)
