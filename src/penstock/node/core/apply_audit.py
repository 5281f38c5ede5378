"""What an apply has changed, for the audit: names of points, connectors and rules, old and new.

Only what differs is kept, and only so many names: what is larger than an audit entry may
be would leave nothing but its hash. Of a connector's settings only the names are said,
because a setting may be a password.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from penstock.config.plant import ConnectorEntry
    from penstock.model import Point
    from penstock.model.event import Json
    from penstock.node.core.apply import Prepared
    from penstock.rules.rule import Rule

    Document = dict[str, Json]
    Things = Mapping[str, Document]

NAMES_MAX = 100
SETTINGS = "settings"
_NOT_SAID = frozenset({"id", "handle", "point"})


def changes_of(before: Prepared | None, after: Prepared) -> tuple[Document, Document]:
    """(old, new) of an audit entry; `before` is None when nothing ran."""
    old: Document = {}
    new: Document = {}
    kinds = (
        ("points", before and _points(before), _points(after)),
        ("connectors", before and _connectors(before), _connectors(after)),
        ("rules", before and _rules(before), _rules(after)),
    )
    for kind, was, now in kinds:
        _compare(kind, was or {}, now, old, new)
    return old, new


def _compare(kind: str, was: Things, now: Things, old: Document, new: Document) -> None:
    added, removed = sorted(now.keys() - was.keys()), sorted(was.keys() - now.keys())
    changed = [name for name in sorted(now.keys() & was.keys()) if now[name] != was[name]]
    for word, names in (("added", added), ("changed", changed), ("removed", removed)):
        new[f"{kind}_{word}"] = len(names)
    if added:
        new[f"{kind}_added_names"] = [*added[:NAMES_MAX]]
    if removed:
        old[f"{kind}_removed_names"] = [*removed[:NAMES_MAX]]
    for name in changed[:NAMES_MAX]:
        differing = [key for key in now[name] if now[name][key] != was[name].get(key)]
        gone = [key for key in was[name] if key not in now[name]]
        for side, source in ((old, was[name]), (new, now[name])):
            place = side.setdefault(kind, {})
            assert isinstance(place, dict)
            other = was[name] if source is now[name] else now[name]
            place[name] = {key: _said(key, source, other) for key in (*differing, *gone)}


def _said(key: str, mine: Document, other: Document) -> Json:
    """The value; of settings the names of those that differ."""
    if key != SETTINGS:
        return mine.get(key)
    settings, others = mine[key], other[key]
    assert isinstance(settings, dict)
    assert isinstance(others, dict)
    return [name for name in sorted(settings) if settings[name] != others.get(name)]


def _points(prepared: Prepared) -> Things:
    return {point.path: _document(point) for point in prepared.registry.points}


def _rules(prepared: Prepared) -> Things:
    paths = {point.id: point.path for point in prepared.registry.points}
    return {_rule_name(rule, paths): _document(rule) for rule in prepared.rules.rules}


def _rule_name(rule: Rule, paths: Mapping[UUID, str]) -> str:
    return f"{paths.get(rule.point, '(no point)')}: {rule.name}"


def _connectors(prepared: Prepared) -> Things:
    return {item.name: _connector(item) for item in prepared.plant.connectors}


def _connector(item: ConnectorEntry) -> Document:
    own: Document = {"plugin": item.plugin, "enabled": item.enabled, "simulated": item.simulated}
    return {**own, SETTINGS: _json(item.settings)}


def _document(thing: Point | Rule) -> Document:
    names = [item.name for item in fields(thing) if item.name not in _NOT_SAID]
    return {name: _json(getattr(thing, name)) for name in names}


def _json(value: object) -> Json:
    if isinstance(value, Enum):
        return _json(value.value)
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return {item.name: _json(getattr(value, item.name)) for item in fields(value)}  # type: ignore[arg-type]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
