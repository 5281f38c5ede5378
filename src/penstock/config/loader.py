"""Reads the plant folder; every problem of every file comes back at once."""

from __future__ import annotations

import tomllib
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from penstock.config.identity import digest
from penstock.config.plant import (
    AssetEntry,
    ConnectorEntry,
    Plant,
    PointEntry,
    path_problem,
)
from penstock.config.point_list import read_points
from penstock.config.settings import problems_of
from penstock.model import ConfigProblem, ValueKind
from penstock.model.asset import LEVELS
from penstock.model.system_path import SYSTEM, is_system_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOLDER = "plant"
FILE_BYTES_MAX = 64 * 1024 * 1024


class AssetTable(BaseModel):
    """One `[[assets]]` table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    level: str = "work_unit"
    type: str | None = None
    description: str = ""
    simulated: bool = False


class ConnectorTable(BaseModel):
    """The host's own keys of a connector file; all other keys are the plugin's."""

    model_config = ConfigDict(extra="allow", frozen=True)

    plugin: str = Field(description="Protocol, for example modbus.")
    enabled: bool = True
    simulated: bool = Field(default=False, description="Data of this connector is not real.")


@dataclass(slots=True)
class _Reading:
    root: Path
    problems: list[ConfigProblem] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)


def load_plant(home: Path) -> Plant:
    """Everything under `home`/plant; a missing folder is an empty plant."""
    reading = _Reading(home / FOLDER)
    assets = _assets(reading)
    connectors = tuple(
        entry
        for path in _files(reading, "connectors", ".toml")
        if (entry := _connector(reading, path)) is not None
    )
    _orphans(reading)
    points = tuple(
        point for path in _files(reading, "points", ".csv") for point in _points(reading, path)
    )
    plant = Plant(assets, connectors, points, (), reading.digests)
    problems = [*reading.problems, *_cross_check(plant)]
    return Plant(assets, connectors, points, tuple(problems), reading.digests)


def _files(reading: _Reading, folder: str, suffix: str) -> list[Path]:
    path = reading.root / folder
    return sorted(path.glob(f"*{suffix}")) if path.is_dir() else []


def _place(reading: _Reading, path: Path) -> str:
    return f"{FOLDER}/{path.relative_to(reading.root).as_posix()}"


def _bytes(reading: _Reading, path: Path) -> bytes | None:
    place = _place(reading, path)
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= FILE_BYTES_MAX else None
    except OSError as error:
        reading.problems.append(ConfigProblem(place, f"cannot be read: {error}"))
        return None
    if data is None:
        reading.problems.append(
            ConfigProblem(place, f"has {size} bytes; at most {FILE_BYTES_MAX} are read")
        )
        return None
    reading.digests[place] = digest(data)
    return data


def _toml(reading: _Reading, path: Path) -> dict[str, object] | None:
    data = _bytes(reading, path)
    if data is None:
        return None
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # also of numbers and depths beyond all sense
        reading.problems.append(ConfigProblem(_place(reading, path), str(error)))
        return None


def _tables(
    reading: _Reading, path: Path, document: Mapping[str, object], key: str
) -> list[dict[str, object]]:
    place = _place(reading, path)
    reading.problems += [
        ConfigProblem(f"{place}: {other}", f"unknown key; the file holds [[{key}]] tables")
        for other in document
        if other != key
    ]
    tables = document.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(item, dict) for item in tables):
        reading.problems.append(ConfigProblem(place, f"{key} is not a list of [[{key}]] tables"))
        return []
    return tables


def _assets(reading: _Reading) -> tuple[AssetEntry, ...]:
    path = reading.root / "assets.toml"
    if not path.exists():
        return ()
    entries = []
    for number, table in enumerate(
        _tables(reading, path, _toml(reading, path) or {}, "assets"), start=1
    ):
        place = f"{_place(reading, path)}: assets[{number}]"
        try:
            parsed = AssetTable.model_validate(table)
        except ValidationError as error:
            reading.problems += problems_of(error, place)
            continue
        name = unicodedata.normalize("NFC", parsed.path)
        problem = path_problem(name)
        if parsed.level not in LEVELS:
            problem = f"level {parsed.level!r} is none of {', '.join(LEVELS)}"
        if problem:
            reading.problems.append(ConfigProblem(place, problem))
            continue
        entries.append(
            AssetEntry(name, parsed.level, place, parsed.type, parsed.description, parsed.simulated)
        )
    return tuple(entries)


def _connector(reading: _Reading, path: Path) -> ConnectorEntry | None:
    document = _toml(reading, path)
    if document is None:
        return None
    place = _place(reading, path)
    try:
        table = ConnectorTable.model_validate(document)
    except ValidationError as error:
        reading.problems += problems_of(error, place)
        return None
    points = path.with_suffix(".csv")
    return ConnectorEntry(
        name=path.stem,
        plugin=table.plugin,
        place=place,
        settings=table.model_extra or {},
        points=tuple(_points(reading, points)) if points.exists() else (),
        enabled=table.enabled,
        simulated=table.simulated,
    )


def _orphans(reading: _Reading) -> None:
    """A list whose connector file is missing or misspelt would be left out without a word."""
    for path in _files(reading, "connectors", ".csv"):
        if not path.with_suffix(".toml").exists():
            message = f"is not read: there is no {path.stem}.toml beside it"
            reading.problems.append(ConfigProblem(_place(reading, path), message, is_warning=True))


def _points(reading: _Reading, path: Path) -> list[PointEntry]:
    data = _bytes(reading, path)
    if data is None:
        return []
    points, problems = read_points(data, _place(reading, path))
    reading.problems += problems
    return points


def _cross_check(plant: Plant) -> list[ConfigProblem]:
    problems = []
    paths: dict[str, str] = {}
    ids: dict[object, str] = {}
    for point in plant.all_points():
        if point.path in paths:
            problems.append(
                ConfigProblem(point.place, f"{point.path!r} stands also at {paths[point.path]}")
            )
        if point.id is not None and point.id in ids:
            problems.append(
                ConfigProblem(
                    point.place,
                    f"id {point.id} stands also at {ids[point.id]}; leave it empty for a new point",
                )
            )
        paths.setdefault(point.path, point.place)
        ids.setdefault(point.id, point.place)
    return [*problems, *_tree_check(plant, paths), *_unbounded(plant)]


def _unbounded(plant: Plant) -> list[ConfigProblem]:
    """A set point without a range takes whatever fits its register, 3000 °C too."""
    return [
        ConfigProblem(
            point.place,
            f"{point.path!r} may be commanded to any number; give command_low and command_high",
            is_warning=True,
        )
        for connector in plant.connectors
        for point in connector.points
        if point.writable
        and point.kind in {ValueKind.FLOAT, ValueKind.INT}
        and (point.command_low is None or point.command_high is None)
    ]


def _tree_check(plant: Plant, paths: Mapping[str, str]) -> list[ConfigProblem]:
    """No path is two things: an asset twice, an asset and a point, or one of the node's own."""
    problems = [
        ConfigProblem(place, f"{path!r}: paths that begin with {SYSTEM} belong to the node")
        for path, place in paths.items()
        if is_system_path(path)
    ]
    problems += [
        ConfigProblem(point.place, f"asset {above!r} is also a point ({paths[above]})")
        for point in plant.all_points()
        for above in _ancestors(point.asset)
        if above in paths
    ]
    seen: dict[str, str] = {}
    for asset in plant.assets:
        if asset.path in seen:
            problems.append(
                ConfigProblem(asset.place, f"{asset.path!r} stands also at {seen[asset.path]}")
            )
        if asset.path in paths:
            problems.append(
                ConfigProblem(asset.place, f"{asset.path!r} is also a point ({paths[asset.path]})")
            )
        seen.setdefault(asset.path, asset.place)
    return problems


def _ancestors(path: str) -> list[str]:
    """The path itself and every path above it."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
