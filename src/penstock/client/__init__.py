"""The Python client: history of a plant as data frames.

    from penstock.client import Client

    with Client() as plant:
        frame = plant.history("Lakeside Water/Intake/*/speed", "7d").pandas()

Names are loaded when they are used: the command line shares modules of this package and
has no time for numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.client.blocks import Block
    from penstock.client.client import Client
    from penstock.client.commands import Command
    from penstock.client.errors import (
        BrokenOff,
        Cancelled,
        ClientError,
        Missing,
        NoSuchPoint,
        Problem,
        TimedOut,
        Unexpected,
        Unreachable,
        Untrusted,
    )
    from penstock.client.history import History
    from penstock.client.imports import Imported
    from penstock.client.points import Point, Points
    from penstock.client.query import SqlAnswer
    from penstock.client.table import Table

_MODULES = {
    "Block": "blocks",
    "BrokenOff": "errors",
    "Cancelled": "errors",
    "Client": "client",
    "ClientError": "errors",
    "Command": "commands",
    "History": "history",
    "Imported": "imports",
    "Missing": "errors",
    "NoSuchPoint": "errors",
    "Point": "points",
    "Points": "points",
    "Problem": "errors",
    "SqlAnswer": "query",
    "Table": "table",
    "TimedOut": "errors",
    "Unexpected": "errors",
    "Unreachable": "errors",
    "Untrusted": "errors",
}
__all__ = [
    "Block",
    "BrokenOff",
    "Cancelled",
    "Client",
    "ClientError",
    "Command",
    "History",
    "Imported",
    "Missing",
    "NoSuchPoint",
    "Point",
    "Points",
    "Problem",
    "SqlAnswer",
    "Table",
    "TimedOut",
    "Unexpected",
    "Unreachable",
    "Untrusted",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
