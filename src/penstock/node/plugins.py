"""Finds connectors by the name in a connector file: built-in ones, then entry points.

A plugin is imported when it is first asked for, so that a process does not pay
for protocols that nobody configured.
"""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from penstock.plugin import Connector

if TYPE_CHECKING:
    ConnectorType = type[Connector[Any]]

GROUP = "penstock.connectors"
BUILT_IN = {"modbus": "penstock.connectors.modbus:Modbus"}


def connector_names() -> list[str]:
    """Names that a connector file may use."""
    return sorted({*BUILT_IN, *(entry.name for entry in entry_points(group=GROUP))})


def connector_type(name: str) -> ConnectorType | None:
    """The class behind a name, None if nobody has brought it."""
    target = BUILT_IN.get(name)
    if target is None:
        found = next(iter(entry_points(group=GROUP, name=name)), None)
        if found is None:
            return None
        target = found.value
    module, _, attribute = target.partition(":")
    cls: ConnectorType = getattr(importlib.import_module(module), attribute)
    assert issubclass(cls, Connector), f"{target} is not a Connector"
    return cls
