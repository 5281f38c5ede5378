"""A plant in one line, and a registry plan for it, for the tests of the registry."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from penstock.config import ConnectorEntry, Plant, PointEntry
from penstock.model import ValueKind
from penstock.registry.plan import RegistryPlan, StoredPoint, SystemPoint, plan_registry

NODE = UUID(int=0xABC)
SYSTEM = SystemPoint(
    "system/node/plc/dev/connected", ValueKind.INT, "dev answers", "plc", "dev", {0: "no", 1: "yes"}
)


def entry(path: str, kind: ValueKind = ValueKind.FLOAT, id_: UUID | None = None) -> PointEntry:
    asset, _, name = path.rpartition("/")
    return PointEntry(f"plant/points/p.csv:{path}", asset, name, kind, id_)


def plant(*points: PointEntry, fed: Sequence[PointEntry] = ()) -> Plant:
    connector = ConnectorEntry("plc", "modbus", "plant/connectors/plc.toml", {}, tuple(fed))
    return Plant(connectors=(connector,) if fed else (), points=points)


def plan(
    stored: Sequence[StoredPoint],
    desired: Plant,
    system: Sequence[SystemPoint] = (),
    periods: dict[str, int] | None = None,
) -> RegistryPlan:
    numbers = itertools.count(1000 + len(stored))
    return plan_registry(
        stored, desired, system, periods or {}, node=NODE, new_id=lambda: UUID(int=next(numbers))
    )


def after(stored: Sequence[StoredPoint], done: RegistryPlan) -> list[StoredPoint]:
    """What is stored once a plan has been committed."""
    rows = {item.point.id: item for item in stored}
    rows |= {point.id: StoredPoint(point, 77) for point in done.removed}
    rows |= {point.id: StoredPoint(replace(point)) for point in done.points}
    return list(rows.values())
