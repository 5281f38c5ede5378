"""The configuration that core sends to a field process, as JSON and as objects.

Core knows files and identities, the field knows protocols; this document is all
that passes between them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from pydantic import ValidationError

from penstock.config.settings import problems_of
from penstock.model import ConfigProblem, Point, ValueKind
from penstock.node.plugins import connector_names, connector_type
from penstock.plugin import ConnectorContext, PluginConfig, PointBinding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock.model.event import Json
    from penstock.node.plugins import ConnectorType
    from penstock.plugin import Connector, Line
    from penstock.world import Clock

    Document = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class ConnectorPlan:
    """A connector's document, checked: lines to run and points by handle."""

    name: str
    digest: str
    type: ConnectorType
    config: PluginConfig
    lines: tuple[Line, ...]
    ids: Mapping[int, UUID]
    writable: tuple[Point, ...]
    loss_after_ns: int | None

    def connector(self, line: Line, clock: Clock) -> Connector[Any]:
        """A fresh connector of one line; nothing is opened."""
        return self.type(self.config, line, ConnectorContext(clock))


def digest_of(document: Document) -> str:
    """Equal documents need no restart."""
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def plan_connectors(
    document: Document, handle_of: Callable[[UUID], int] | None = None
) -> tuple[dict[str, ConnectorPlan], list[ConfigProblem]]:
    """Plans by name and every problem; without `handle_of` only to look, not to run."""
    numbers: dict[UUID, int] = {}
    number_of = handle_of or (lambda id_: numbers.setdefault(id_, len(numbers) + 1))
    plans: dict[str, ConnectorPlan] = {}
    problems: list[ConfigProblem] = []
    connectors = document["connectors"]
    assert isinstance(connectors, list)
    for connector in connectors:
        plan, found = plan_connector(_mapping(connector), number_of)
        problems += found
        if plan is not None:
            plans[plan.name] = plan
    return plans, problems


def plan_connector(
    document: Document, handle_of: Callable[[UUID], int]
) -> tuple[ConnectorPlan | None, list[ConfigProblem]]:
    """Check one connector without connecting; the plan, or every problem."""
    name, place = str(document["name"]), str(document["place"])
    type_ = connector_type(str(document["plugin"]))
    if type_ is None:
        known = ", ".join(connector_names())
        message = f"there is no connector {document['plugin']!r}; known are {known}"
        return None, [ConfigProblem(f"{place}: plugin", message)]
    settings = dict(_mapping(document["settings"]))
    loss_after = settings.pop("loss_after_s", None)
    config, problems = _validated(type_.Config, settings, place)
    points, ids, point_problems = _bindings(document, type_, handle_of)
    problems += point_problems
    if loss_after is not None and not (
        isinstance(loss_after, int | float) and 0.5 <= loss_after <= 3600
    ):
        problems.append(ConfigProblem(f"{place}: loss_after_s", "is not 0.5 to 3600 seconds"))
    if config is None or problems:
        return None, problems
    plan = type_.plan(name, config, points)
    if any(not problem.is_warning for problem in plan.problems):
        return None, list(plan.problems)
    loss_after_ns = int(float(loss_after) * 1e9) if isinstance(loss_after, int | float) else None
    return (
        ConnectorPlan(
            name,
            digest_of(document),
            type_,
            config,
            plan.lines,
            ids,
            _writable(document, handle_of),
            loss_after_ns,
        ),
        list(plan.problems),
    )


def _mapping(value: Json) -> dict[str, Json]:
    assert isinstance(value, dict)
    return value


def _validated(
    model: type[PluginConfig], values: Mapping[str, Json], place: str
) -> tuple[PluginConfig | None, list[ConfigProblem]]:
    try:
        return model.model_validate(values), []
    except ValidationError as error:
        return None, problems_of(error, place)


def _bindings(
    document: Document, type_: ConnectorType, handle_of: Callable[[UUID], int]
) -> tuple[list[PointBinding], dict[int, UUID], list[ConfigProblem]]:
    points, ids = [], {}
    problems: list[ConfigProblem] = []
    entries = document["points"]
    assert isinstance(entries, list)
    for item in entries:
        entry = _mapping(item)
        place = str(entry["place"])
        settings, wrong = _validated(type_.PointConfig, _mapping(entry["columns"]), place)
        problems += wrong
        if settings is None:
            continue
        id_ = UUID(str(entry["id"]))
        handle = handle_of(id_)
        ids[handle] = id_
        points.append(
            PointBinding(
                handle,
                str(entry["path"]),
                ValueKind(_int(entry["kind"])),
                settings,
                place,
                _number(entry.get("low")),
                _number(entry.get("high")),
            )
        )
    return points, ids, problems


def _writable(document: Document, handle_of: Callable[[UUID], int]) -> tuple[Point, ...]:
    entries = document["points"]
    assert isinstance(entries, list)
    points = []
    for item in entries:
        entry = _mapping(item)
        if not entry["writable"]:
            continue
        id_, path = UUID(str(entry["id"])), str(entry["path"])
        asset, _, name = path.rpartition("/")
        points.append(
            Point(
                id_,
                handle_of(id_),
                path,
                asset,
                name,
                ValueKind(_int(entry["kind"])),
                command_low=_number(entry["command_low"]),
                command_high=_number(entry["command_high"]),
                writable=True,
            )
        )
    return tuple(points)


def _int(value: Json) -> int:
    assert isinstance(value, int)
    return value


def _number(value: Json) -> float | None:
    return float(value) if isinstance(value, int | float) else None
