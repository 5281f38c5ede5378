"""What compute does for an import: look, check, send. All of it in the thread of a job."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import numpy as np
import orjson

from penstock.historian.imports.check import Check, Targets
from penstock.historian.imports.look import look_at, settled_of
from penstock.historian.imports.options import Options
from penstock.historian.imports.prepared import batches_of, with_handles
from penstock.model import Batch, Origin, ValueKind
from penstock.model.time import SECOND_NS

if TYPE_CHECKING:
    from penstock.model.event import Json
    from penstock.world import Clock, Disk

    Document = dict[str, Json]

NAMES, TARGETS, CHECKED = "names.json", "targets.json", "checked.json"
FOLDER = "imports"
SLOT = 3
"""Slot of an import's own origin; its incarnation is the number of the import."""
REPORT_NS = SECOND_NS // 4


class Job(Protocol):
    """What the handlers need of compute's job."""

    data: Path
    disk: Disk
    clock: Clock
    node: UUID

    def report(self, **progress: Json) -> None:
        """Say how far it is."""
        ...

    def check_cancelled(self) -> None:
        """Refused("cancelled") once nobody waits any more."""
        ...

    def check_going_on(self) -> None:
        """The same for whoever writes: Refused("disk_full") too."""
        ...

    def point(self, id_: UUID, kind: ValueKind, path: str) -> int:
        """Handle under which this process sends a point's samples."""
        ...

    def put_numbered(self, batch: Batch) -> None:
        """Send a Batch under its own number; waits for room."""
        ...

    def wait_acknowledged(self) -> None:
        """Wait until everything that was put is durable."""
        ...


def look_at_file(job: Job, fields: Document) -> Document:
    """Fields: import (UUID), options, zone of the plant, memory_bytes. Writes the names."""
    folder = _folder(job, fields)
    options = Options.model_validate(fields["options"])
    found = look_at(
        folder, options, str(fields["zone"]), job.check_cancelled, _int(fields["memory_bytes"])
    )
    job.disk.write_whole(folder / NAMES, [orjson.dumps(found.names)])
    return found.document()


def check_file(job: Job, fields: Document) -> Document:
    """Fields: import, settled, prepared (name of the file), replace, memory_bytes.

    The targets are in a file, and so are the counts of all points and the rejects.
    """
    folder = _folder(job, fields)
    settled = settled_of(_dict(fields["settled"]))
    names = [item["name"] for item in orjson.loads(job.disk.read(folder / NAMES))]
    targets = orjson.loads(job.disk.read(folder / TARGETS))
    prepared = folder / str(fields["prepared"])
    job.disk.remove(prepared)
    pace = _Pace(job, _int(fields["rows"]))
    check = Check(
        folder,
        settled,
        names,
        Targets(
            [ValueKind(kind) for _, kind, _ in targets["points"]],
            np.array(targets["places"], np.int32),
        ),
        disk=job.disk,
        target=prepared,
        replace=bool(fields["replace"]),
        now_ns=job.clock.now_ns(),
    )
    found = check.run(_int(fields["memory_bytes"]), pace, job.check_going_on)
    whole = asdict(found)
    whole["questions"] = [item.model_dump() for item in found.questions]
    job.disk.write_whole(folder / CHECKED, [orjson.dumps(whole)])
    return {name: value for name, value in whole.items() if name not in ("points", "rejects")}


def send_prepared(job: Job, fields: Document) -> Document:
    """Fields: import, prepared, incarnation, after (batches that are known to be durable), rows.

    Batches that the log has already are sent all the same where nobody knows better.
    """
    folder = _folder(job, fields)
    origin = Origin(job.node, SLOT, _int(fields["incarnation"]))
    targets = orjson.loads(job.disk.read(folder / TARGETS))
    handles = _handles(job, targets["points"])
    pace = _Pace(job, _int(fields["rows"]))
    rows = 0
    after = _int(fields["after"])
    for batch in batches_of(folder / str(fields["prepared"]), origin, after):
        job.put_numbered(with_handles(batch, handles))
        rows += batch.rows
        pace(rows)
    job.wait_acknowledged()
    return {"rows": rows}


class _Pace:
    """Reports rows, at most four times a second."""

    def __init__(self, job: Job, total: int) -> None:
        self._job = job
        self._total = total
        self._due_ns = 0
        job.report(done=0, total=total, unit="rows")

    def __call__(self, done: int) -> None:
        now_ns = self._job.clock.monotonic_ns()
        if now_ns >= self._due_ns:
            self._due_ns = now_ns + REPORT_NS
            self._job.report(done=min(done, self._total), total=self._total)


def _handles(job: Job, points: Sequence[Sequence[Any]]) -> Any:
    named = [job.point(UUID(id_), ValueKind(kind), path) for id_, kind, path in points]
    return np.array(named, np.uint32)


def _folder(job: Job, fields: Document) -> Path:
    return job.data / FOLDER / str(UUID(str(fields["import"])))


def _int(value: Json) -> int:
    assert isinstance(value, int)
    return value


def _dict(value: Json) -> dict[str, Any]:
    assert isinstance(value, dict)
    return value


def forget(disk: Disk, folder: Path, *, keep: frozenset[str] = frozenset()) -> None:
    """Remove the files of an import; with nothing to keep also its folder."""
    for name in disk.list(folder):
        if name not in keep:
            disk.remove(folder / name)
    if not keep:
        with contextlib.suppress(OSError):
            folder.rmdir()
