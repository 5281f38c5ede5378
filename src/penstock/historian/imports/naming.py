"""Naming: an import's names become its points, written down for the check that follows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from penstock.historian.imports.handler import NAMES, TARGETS
from penstock.historian.imports.matching import Match, match_names
from penstock.historian.imports.options import Options

if TYPE_CHECKING:
    from penstock.historian.imports.record import ImportRecord
    from penstock.model import Point
    from penstock.security.principal import Principal
    from penstock.world import Disk

SHOWN_NAMES_MAX = 1_000


def name_points(one: ImportRecord, points: Sequence[Point], disk: Disk, folder: Path) -> bool:
    """Find the points of all names; whether something about the file is open. For a thread."""
    if one.look.get("questions"):
        one.names, one.open_names = {}, []
        return True
    options = Options.model_validate(one.options)
    matches = match_names(orjson.loads(disk.read(folder / NAMES)), points, options)
    unknown = [match for match in matches if match.is_unknown]
    other = [] if options.ignore_units else [m for m in matches if m.is_other_unit]
    one.names = {
        "names": len(matches),
        "matched": sum(match.point is not None for match in matches),
        "skipped": sum(match.is_skipped for match in matches),
        "skipped_rows": sum(match.rows for match in matches if match.is_skipped),
        "unknown": len(unknown),
        "other_unit": len(other),
    }
    one.open_names = [_name_document(match) for match in (*unknown, *other)[:SHOWN_NAMES_MAX]]
    disk.write_whole(folder / TARGETS, [orjson.dumps(_targets(matches))])
    return bool(unknown or other)


def configurable(points: Sequence[Point], who: Principal) -> list[Point]:
    """Points whose history the principal may change."""
    by_asset: dict[str, bool] = {}
    found = []
    for point in points:
        if point.asset not in by_asset:
            by_asset[point.asset] = who.may("configure", point.asset)
        if by_asset[point.asset]:
            found.append(point)
    return found


def _targets(matches: Sequence[Match]) -> dict[str, Any]:
    """Points without repetition, and by name the place of its point; -1 for none."""
    places: dict[UUID, int] = {}
    points: list[list[Any]] = []
    found = []
    for match in matches:
        point = match.point
        if point is None:
            found.append(-1)
            continue
        if point.id not in places:
            places[point.id] = len(points)
            points.append([str(point.id), int(point.kind), point.path])
        found.append(places[point.id])
    return {"points": points, "places": found}


def _name_document(match: Match) -> dict[str, Any]:
    point = match.point
    return {
        "name": match.name,
        "rows": match.rows,
        "unit": match.unit,
        "point": "" if point is None else point.path,
        "point_unit": "" if point is None else point.unit,
        "near": list(match.near),
    }
