"""Catalogue: the points as columns, and which of them the caller may see.

Grants are applied here, before DuckDB exists: what is not granted is in no table,
so that no SQL can tell a foreign point from one that was never made.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import orjson

from penstock.model import Refused
from penstock.model.point import NAME_BY_KIND

if TYPE_CHECKING:
    import numpy.typing as npt

    from penstock.model import Point

Cell = str | float | bool | None

TEXTS = (
    "id", "path", "asset", "name", "label", "description", "kind", "unit", "connector", "device",
)  # fmt: skip
NUMBERS = (
    "low", "high", "normal_low", "normal_high", "command_low", "command_high", "period_ms",
    "decimals",
)  # fmt: skip
FACTS = ("writable", "simulated")
NAMES = (*TEXTS, *NUMBERS, *FACTS)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Points in the order of their paths; `columns` by name, `handle` u32 the same length."""

    handle: npt.NDArray[np.uint32]
    columns: dict[str, list[Cell]]

    def __len__(self) -> int:
        return len(self.handle)

    @classmethod
    def of(cls, points: Iterable[Point]) -> Catalogue:
        """Of live points."""
        ordered = sorted(points, key=lambda point: point.path)
        columns = {name: [_cell(point, name) for point in ordered] for name in NAMES}
        return cls(np.array([point.handle for point in ordered], np.uint32), columns)

    def granted(self, handles: npt.NDArray[np.uint32]) -> Catalogue:
        """Only the points of these handles."""
        rows = np.flatnonzero(np.isin(self.handle, handles))
        if len(rows) == len(self):
            return self
        places = rows.tolist()
        columns = {name: [cells[row] for row in places] for name, cells in self.columns.items()}
        return Catalogue(self.handle[rows], columns)

    def texts(self, name: str) -> list[str]:
        """A column of texts; nothing is the empty text."""
        return [str(cell or "") for cell in self.columns[name]]

    def encode(self) -> bytes:
        """JSON, a list a column (core writes it to the spool once a revision)."""
        return orjson.dumps({"handle": self.handle.tolist(), **self.columns})

    @classmethod
    def decode(cls, data: bytes) -> Catalogue:
        """What `encode` gave."""
        columns = orjson.loads(data)
        return cls(np.array(columns.pop("handle"), np.uint32), columns)


def bitmap_of(handles: Sequence[int]) -> str:
    """Handles as base64 of a bitmap in little bit order; how they travel between processes."""
    if not len(handles):
        return ""
    bits = np.zeros(int(max(handles)) + 1, bool)
    bits[np.asarray(handles, np.intp)] = True
    return base64.b64encode(np.packbits(bits, bitorder="little").tobytes()).decode()


def handles_of(bitmap: str) -> npt.NDArray[np.uint32]:
    """What `bitmap_of` was given, sorted."""
    try:
        data = np.frombuffer(base64.b64decode(bitmap, validate=True), np.uint8)
    except ValueError as error:
        raise Refused("bad_request", "the bitmap of handles is no base64") from error
    return np.flatnonzero(np.unpackbits(data, bitorder="little")).astype(np.uint32)


def _cell(point: Point, name: str) -> Cell:
    if name == "id":
        return str(point.id)
    if name == "kind":
        return NAME_BY_KIND.get(point.kind, "block")
    if name == "period_ms":
        return None if point.period_ns is None else point.period_ns / 1e6
    cell = getattr(point, name)
    assert cell is None or isinstance(cell, str | int | float)
    return cell
