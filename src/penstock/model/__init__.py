"""The pure nouns of Penstock: no I/O, no asyncio, no pydantic.

Everything above speaks in these words; nothing in here knows that a disk, a
socket or a clock exists.
"""

from penstock.model.asset import Asset
from penstock.model.batch import Batch, Origin, Receipts
from penstock.model.block import Block
from penstock.model.errors import (
    ConfigError,
    ConfigProblem,
    NotConnected,
    PenstockError,
    Refused,
)
from penstock.model.event import Event
from penstock.model.frame import Flag, Frame, TextColumn, TimeOrigin, ValueKind
from penstock.model.point import Point
from penstock.model.quality import Quality, severity

__all__ = [
    "Asset",
    "Batch",
    "Block",
    "ConfigError",
    "ConfigProblem",
    "Event",
    "Flag",
    "Frame",
    "NotConnected",
    "Origin",
    "PenstockError",
    "Point",
    "Quality",
    "Receipts",
    "Refused",
    "TextColumn",
    "TimeOrigin",
    "ValueKind",
    "severity",
]
