"""Matching: names in a file and the points that they mean, for one person.

A point that the person may not configure is as unknown as one that does not exist.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from penstock.model import ValueKind
from penstock.model.units import unit_label

if TYPE_CHECKING:
    from penstock.historian.imports.options import Options
    from penstock.model import Point

NEAR_NAMES_MAX = 100
NEAR_POINTS_MAX = 5_000
_UNITS = {"deg c": "°C", "degc": "°C", "c": "°C", "celsius": "°C", "meters/second": "m/s"}


@dataclass(frozen=True, slots=True)
class Match:
    """A name with its unit and rows in the file: the point, left out, or near ones."""

    name: str
    unit: str
    rows: int
    point: Point | None = None
    is_skipped: bool = False
    near: tuple[str, ...] = ()

    @property
    def is_unknown(self) -> bool:
        """Somebody has to say what it is."""
        return self.point is None and not self.is_skipped

    @property
    def is_other_unit(self) -> bool:
        """The file says another unit than the point has."""
        return self.point is not None and _differ(self.unit, self.point.unit)


def match_names(
    names: Sequence[Mapping[str, object]], points: Sequence[Point], options: Options
) -> list[Match]:
    """A match for each name, in their order."""
    usable = [point for point in points if point.kind is not ValueKind.WAVEFORM]
    finder = _Finder(usable, options.asset)
    found = []
    for item in names:
        name, unit, rows = str(item["name"]), str(item["unit"]), int(str(item["rows"]))
        wanted = options.names.get(name, name)
        point = finder.find(wanted) if wanted else None
        is_skipped = not wanted or not name or (point is None and options.skip_unknown)
        found.append(Match(name, unit, rows, point, is_skipped))
    return _with_near(found, usable)


class _Finder:
    def __init__(self, points: Sequence[Point], asset: str) -> None:
        self._by_path = {point.path: point for point in points}
        self._by_id = {point.id: point for point in points}
        self._asset = asset.strip("/")

    def find(self, name: str) -> Point | None:
        """By its path below the asset, its path, or its UUID."""
        below = f"{self._asset}/{name}" if self._asset else name
        found = self._by_path.get(below) or self._by_path.get(name)
        if found is not None:
            return found
        try:
            return self._by_id.get(UUID(name))
        except ValueError:
            return None


def _with_near(found: Sequence[Match], points: Sequence[Point]) -> list[Match]:
    """Names like the unknown ones: the same last part, else a similar path."""
    unknown = [match for match in found if match.is_unknown][:NEAR_NAMES_MAX]
    if not unknown:
        return [*found]
    paths = [point.path for point in points[:NEAR_POINTS_MAX]]
    by_end: dict[str, list[str]] = {}
    for path in paths:
        by_end.setdefault(_plain(path.rpartition("/")[2]), []).append(path)
    near: dict[str, tuple[str, ...]] = {}
    for match in unknown:
        end = _plain(match.name.rpartition("/")[2])
        ends = by_end.get(end) or [
            path for close in difflib.get_close_matches(end, by_end, 3) for path in by_end[close]
        ]
        near[match.name] = tuple((ends or difflib.get_close_matches(match.name, paths, 3))[:3])
    return [
        Match(m.name, m.unit, m.rows, m.point, m.is_skipped, near.get(m.name, ())) for m in found
    ]


def _plain(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _differ(unit: str, code: str) -> bool:
    """Only what both say can differ."""
    if not unit or not code:
        return False
    said = _UNITS.get(unit.casefold(), unit)
    return said not in {code, unit_label(code)}
