"""The plant folder as the document that a field process runs, and the points a node adds itself.

Core sends it, `penstock check` and the start build the same one to find every
problem without a process beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from penstock.model import ValueKind
from penstock.model.system_path import connected_path
from penstock.registry.plan import SystemPoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence, Set

    from penstock.config import ConnectorEntry, Plant, PointEntry
    from penstock.model.event import Json

    Document = dict[str, Json]

CONNECTED_LABELS = {0: "no", 1: "yes"}
_PLACEHOLDER = UUID("6f3f0e58-8f0c-5a53-9d5e-3f1a55f0a002")


def system_points(
    node: str, devices: Sequence[tuple[str, str]], simulated: Set[str]
) -> list[SystemPoint]:
    """One point for each (connector, device): whether it answers."""
    return [
        SystemPoint(
            connected_path(node, connector, device),
            ValueKind.INT,
            f"{device} answers",
            connector,
            device,
            CONNECTED_LABELS,
            connector in simulated,
        )
        for connector, device in devices
    ]


def placeholder_id(entry: PointEntry) -> UUID:
    """The point's id, or one that stands for it while it has none."""
    return entry.id or uuid5(_PLACEHOLDER, entry.path)


def field_document(
    plant: Plant,
    id_of: Callable[[PointEntry], UUID],
    devices: Sequence[tuple[str, str, UUID]],
    node: str = "",
) -> Document:
    """What the field process gets; `devices` are (connector, device, id of its system point)."""
    return {
        "connectors": [
            _connector(entry, id_of, devices, node) for entry in plant.connectors if entry.enabled
        ]
    }


def _connector(
    entry: ConnectorEntry,
    id_of: Callable[[PointEntry], UUID],
    devices: Sequence[tuple[str, str, UUID]],
    node: str,
) -> Document:
    points: list[Json] = [
        {
            "id": str(id_of(point)),
            "path": point.path,
            "kind": int(point.kind),
            "place": point.place,
            "low": point.low,
            "high": point.high,
            "writable": point.writable,
            "command_low": point.command_low,
            "command_high": point.command_high,
            "columns": dict(point.columns),
        }
        for point in entry.points
    ]
    own: list[Json] = [
        {"name": device, "id": str(id_), "path": connected_path(node, connector, device)}
        for connector, device, id_ in devices
        if connector == entry.name
    ]
    settings: Document = dict(entry.settings)  # type: ignore[arg-type]  # TOML of plain types
    return {
        "name": entry.name,
        "plugin": entry.plugin,
        "place": entry.place,
        "settings": settings,
        "points": points,
        "devices": own,
    }
