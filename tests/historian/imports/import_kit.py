"""A file, looked at and checked without any process; samples by name as plain rows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from penstock.historian.imports.check import Check, Checked, Targets
from penstock.historian.imports.look import Look, look_at, settled_of
from penstock.historian.imports.options import Options
from penstock.historian.imports.prepared import batches_of
from penstock.model import Origin, TextColumn, ValueKind
from penstock.world import SystemDisk

ORIGIN = Origin(UUID(int=1), 3, 1)
MEMORY_BYTES = 2**28
Row = tuple[str, int, Any, int, int]


@dataclass
class Imported:
    """What came out: rows are (name, time_ns, value, quality, flags)."""

    look: Look
    checked: Checked
    rows: list[Row]

    def of(self, name: str) -> list[tuple[int, Any, int]]:
        """(time, value, quality) of one name, in the order of time."""
        return sorted((row[1], row[2], row[3]) for row in self.rows if row[0] == name)

    def values(self) -> list[Any]:
        """Values in the order of the prepared batches."""
        return [row[2] for row in self.rows]

    def reasons(self) -> list[tuple[int, str]]:
        """(line, reason) of what was rejected."""
        return [(item.row, item.reason) for item in self.checked.rejects]


def look(folder: Path, data: bytes | str, **options: Any) -> Look:
    """A look at these bytes as a file."""
    folder.mkdir(exist_ok=True)
    (folder / "source").write_bytes(data.encode() if isinstance(data, str) else data)
    return look_at(folder, Options(**options), "Europe/Berlin", memory_bytes=MEMORY_BYTES)


def asked(folder: Path, data: bytes | str, **options: Any) -> list[str]:
    """Ids of what a look asks."""
    return [question.id for question in look(folder, data, **options).questions]


def imported(
    folder: Path,
    data: bytes | str,
    kinds: Mapping[str, ValueKind] | ValueKind = ValueKind.FLOAT,
    *,
    replace: bool = False,
    now_ns: int | None = None,
    **options: Any,
) -> Imported:
    """All of it, with a point for each name; nothing may be open."""
    found = look(folder, data, **options)
    assert [] == found.questions
    names = [item["name"] for item in found.names]
    by_name = {} if isinstance(kinds, ValueKind) else kinds
    one = kinds if isinstance(kinds, ValueKind) else ValueKind.FLOAT
    (folder / "prepared").unlink(missing_ok=True)
    check = Check(
        folder,
        settled_of(found.document()["settled"]),
        names,
        Targets([by_name.get(name, one) for name in names], np.arange(len(names), dtype=np.int32)),
        disk=SystemDisk(),
        target=folder / "prepared",
        replace=replace,
        now_ns=time.time_ns() if now_ns is None else now_ns,
    )
    checked = check.run(MEMORY_BYTES)
    return Imported(found, checked, rows_of(folder / "prepared", names))


def rows_of(path: Path, names: list[str]) -> list[Row]:
    """Rows of a prepared file."""
    rows: list[Row] = []
    for batch in batches_of(path, ORIGIN):
        for frame in batch.frames:
            value = frame.value
            values = value.to_list() if isinstance(value, TextColumn) else value.tolist()
            columns = (frame.time_ns.tolist(), values, frame.quality.tolist(), frame.flags.tolist())
            places = [names[place] for place in frame.point.tolist()]
            rows += zip(places, *columns, strict=True)
    return rows
