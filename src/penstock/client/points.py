"""Points by path or pattern; how the command line and programs find them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from fnmatch import translate
from typing import TYPE_CHECKING, Protocol, overload

from penstock.client.document import document, rows, text
from penstock.client.errors import NoSuchPoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from penstock.client.document import Document
    from penstock.client.table import Table

PAGE = 10_000
NEAR_MAX = 3
_WILD = re.compile(r"[*?]|\[[^\]]*\]|\[")


class Asker(Protocol):
    """Who asks for documents: the client, and the command line in its own words."""

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Document:
        """The answer of GET below /api/v1."""
        ...


def all_points(asker: Asker, **filters: str) -> list[Document]:
    """Every point that the filters of `GET /points` let through, ordered by path."""
    points: list[Document] = []
    cursor = ""
    while True:
        page = asker.get("/points", {"limit": str(PAGE), "cursor": cursor, **filters})
        points += rows(page["points"])
        cursor = text(page.get("cursor"))
        if not cursor:
            return points


def find_points(asker: Asker, patterns: Sequence[str]) -> list[Document]:
    """Points of all patterns, ordered by path; NoSuchPoint for one that fits nothing."""
    found: dict[str, Document] = {}
    for pattern in patterns:
        matches = _found(asker, pattern)
        if not matches:
            paths = [text(point["path"]) for point in all_points(asker)]
            raise NoSuchPoint(pattern, difflib.get_close_matches(pattern, paths, NEAR_MAX, 0.5))
        found |= {text(point["id"]): point for point in matches}
    return sorted(found.values(), key=lambda point: text(point["path"]))


def matching(points: Sequence[Document], pattern: str) -> list[Document]:
    """The point of that very path, else all that the pattern fits; `*` also crosses `/`."""
    exact = [point for point in points if point["path"] == pattern]
    if exact:
        return exact
    fits = re.compile(translate(pattern)).match
    return [point for point in points if fits(text(point["path"]))]


def _found(asker: Asker, pattern: str) -> list[Document]:
    """The server narrows by the words of the pattern, so that not all points cross the wire."""
    exact = [point for point in all_points(asker, path=pattern) if point["path"] == pattern]
    if exact or not _WILD.search(pattern):
        return exact
    return matching(all_points(asker, q=_WILD.sub(" ", pattern)), pattern)


@dataclass(frozen=True, slots=True)
class Point:
    """One quantity of an asset: `unit` is a UCUM code, `kind` float, int, text or waveform.

    `low` and `high` are the instrument's range, `command_low` and `command_high` bound
    what may be written; `labels` name the numbers of a state.
    """

    id: str
    path: str
    name: str
    label: str
    description: str
    kind: str
    unit: str
    unit_label: str
    low: float | None
    high: float | None
    normal_low: float | None
    normal_high: float | None
    command_low: float | None
    command_high: float | None
    decimals: int | None
    writable: bool
    connector: str | None
    device: str | None
    period_ms: float | None
    simulated: bool
    labels: dict[int, str]

    @classmethod
    def of(cls, row: Document) -> Point:
        """From JSON; what a newer server adds is left out."""
        labels = {int(number): text(word) for number, word in document(row["labels"] or {}).items()}
        kept = {item.name: row[item.name] for item in fields(cls) if item.name != "labels"}
        return cls(**kept, labels=labels)  # type: ignore[arg-type]


class Points(Sequence[Point]):
    """Points in the order of their paths; a list, and a table."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = tuple(points)

    @overload
    def __getitem__(self, index: int) -> Point: ...
    @overload
    def __getitem__(self, index: slice) -> Points: ...
    def __getitem__(self, index: int | slice) -> Point | Points:
        """One, or some of them."""
        if isinstance(index, slice):
            return Points(self._points[index])
        return self._points[index]

    def __len__(self) -> int:
        return len(self._points)

    def __repr__(self) -> str:
        return f"<{len(self)} points>"

    @property
    def paths(self) -> list[str]:
        """Their paths."""
        return [point.path for point in self]

    def table(self) -> Table:
        """A row a point."""
        from penstock.client.table import table_of  # noqa: PLC0415 - it needs numpy

        names = [item.name for item in fields(Point) if item.name != "labels"]
        return table_of({name: [getattr(point, name) for point in self] for name in names})

    def pandas(self) -> pd.DataFrame:
        """A row a point."""
        return self.table().pandas()

    def polars(self) -> pl.DataFrame:
        """A row a point."""
        return self.table().polars()

    def arrow(self) -> pa.Table:
        """A row a point."""
        return self.table().arrow()
