"""Desk of exports in core: what was ordered, how far it is, and the file until it is fetched.

The list lives in memory and the files in the spool, which every start empties: an export
is ordered again after a restart, because history is still there and the file is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from penstock.historian.sql.catalogue import bitmap_of
from penstock.model import Refused, ValueKind
from penstock.model.time import SECOND_NS, format_ns
from penstock.security.audit import Entry

if TYPE_CHECKING:
    from penstock.historian.sql.answers import Answers
    from penstock.historian.sql.desk import Compute, PointFile
    from penstock.model import Point
    from penstock.model.event import Json
    from penstock.security.principal import Principal
    from penstock.world import Clock

    Document = dict[str, Json]

EXPORTS_MAX = 256
EXPORTS_EACH = 16
RUNNING_EACH = 2
KEPT_S = 3_600
TIMEOUT_S = 24 * 3_600.0


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants: samples of these points with from <= time < to."""

    points: Sequence[Point]
    from_ns: int
    to_ns: int
    kind: str


@dataclass(slots=True)
class Ordered:
    """One export; `state` is running, done, failed or cancelled."""

    id: UUID
    principal: str
    order: Order
    created_ns: int
    state: str = "running"
    row_count: int | None = None
    sequence: str = ""
    file: Path | None = None
    code: str = ""
    detail: str = ""
    ended_ns: int = 0
    is_cancelled: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)


class ExportDesk:
    """Takes orders of principals; everybody sees their own."""

    def __init__(
        self,
        compute: Compute,
        point_file: PointFile,
        folder: Path,
        clock: Clock,
        record: Callable[[Entry], Awaitable[str]],
        answers: Answers,
    ) -> None:
        self._compute = compute
        self._point_file = point_file
        self._folder = folder
        self._clock = clock
        self._record = record
        self._answers = answers
        self._exports: dict[UUID, Ordered] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, who: Principal, order: Order) -> Ordered:
        """Start an export; audited. Refused("busy") beyond a person's share, or EXPORTS_MAX.

        Refused("is_waveform") with the path where a file of samples cannot hold a point.
        """
        self._tidy()
        self._admit(who)
        for point in order.points:
            if point.kind is ValueKind.WAVEFORM:
                raise Refused("is_waveform", f"{point.path} is a waveform; CSV by /export has it.")
        export = Ordered(uuid4(), who.id, order, self._clock.now_ns())
        told: dict[str, Json] = {
            "points": len(order.points),
            "paths": [point.path for point in order.points[:100]],
            "from": format_ns(order.from_ns),
            "to": format_ns(order.to_ns),
            "format": order.kind,
        }
        await self._record(Entry(who.id, "history.export", str(export.id), None, told))
        self._exports[export.id] = export
        task = asyncio.get_running_loop().create_task(self._run(export))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return export

    def _admit(self, who: Principal) -> None:
        """Nobody fills the desk for the others."""
        own = self.all_of(who)
        running = sum(export.state == "running" for export in own)
        if running >= RUNNING_EACH:
            raise Refused("busy", f"{running} exports of yours are running; wait for one of them.")
        if len(own) >= EXPORTS_EACH:
            raise Refused("busy", f"You have {len(own)} exports; remove one of them.")
        if len(self._exports) >= EXPORTS_MAX:
            raise Refused("busy", "There are too many exports.")

    def all_of(self, who: Principal) -> list[Ordered]:
        """Newest first."""
        self._tidy()
        own = [export for export in self._exports.values() if export.principal == who.id]
        return sorted(own, key=lambda export: -export.created_ns)

    def find(self, who: Principal, id_: UUID) -> Ordered:
        """One of the principal's own; Refused("not_found") for any other."""
        self._tidy()
        export = self._exports.get(id_)
        if export is None or export.principal != who.id:
            raise Refused("not_found", f"There is no export {id_}.")
        return export

    def progress(self, export: Ordered) -> tuple[int, int] | None:
        """(rows done, rows at most) of a running export, as of compute's last heartbeat."""
        job = self._compute.jobs.get(str(export.id))
        facts = job.get("progress") if job else None
        if not isinstance(facts, dict) or "total" not in facts:
            return None
        done, total = facts["done"], facts["total"]
        assert isinstance(done, int)
        assert isinstance(total, int)
        return done, total

    async def file_of(self, export: Ordered, *, wait_s: float = 0) -> Path:
        """The finished file; Refused as the export was, or "conflict" while it is running."""
        if wait_s and export.state == "running":
            try:
                await asyncio.wait_for(export.over.wait(), wait_s)
            except TimeoutError as error:
                self.remove(export)
                raise Refused(
                    "too_slow", "The file takes longer; order it with POST /exports."
                ) from error
        if export.state == "running":
            raise Refused("conflict", "The export is still being written.")
        if export.file is None:
            raise Refused(export.code, export.detail)
        if not export.file.exists():
            self.remove(export)
            raise Refused("not_found", "The file is gone; order the export again.")
        return export.file

    def remove(self, export: Ordered) -> None:
        """End it if it is running, and forget it with its file."""
        self._exports.pop(export.id, None)
        export.is_cancelled = True
        if export.state == "running":
            self._compute.cancel(str(export.id))
        elif export.file is not None:
            self._answers.discard(export.file)

    def take(self, export: Ordered) -> Path:
        """Forget a finished export; its file is the caller's now."""
        assert export.file is not None
        file, export.file = export.file, None
        self._exports.pop(export.id, None)
        return file

    def sacrifice(self, is_short: Callable[[], bool]) -> int:
        """Remove finished files, oldest first, while the disk is short; how many."""
        done = [export for export in self._exports.values() if export.file is not None]
        removed = 0
        for export in sorted(done, key=lambda export: export.ended_ns):
            if not is_short():
                break
            assert export.file is not None
            self._answers.discard(export.file)
            export.file, export.state = None, "failed"
            export.code, export.detail = (
                "disk_full",
                "The file was removed: the log needs the space.",
            )
            removed += 1
        return removed

    async def close(self) -> None:
        """End what is running."""
        for export in [*self._exports.values()]:
            self.remove(export)
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, export: Ordered) -> None:
        try:
            facts = await self._written(export)
        except Refused as refusal:
            export.state = "cancelled" if export.is_cancelled else "failed"
            export.code, export.detail = refusal.code, refusal.detail
        else:
            rows = facts["row_count"]
            assert isinstance(rows, int)
            export.row_count, export.sequence = rows, str(facts["sequence"])
            export.file = self._folder / str(facts["file"])
            export.state = "done"
            if export.is_cancelled:
                export.file.unlink(missing_ok=True)
        finally:
            export.ended_ns = self._clock.now_ns()
            export.over.set()

    async def _written(self, export: Ordered) -> Document:
        order = export.order
        fields: Document = {
            "format": order.kind,
            "from_ns": order.from_ns,
            "to_ns": order.to_ns,
            "handles": bitmap_of([point.handle for point in order.points]),
            "catalogue": await self._point_file.name(),
        }
        if export.is_cancelled:
            raise Refused("cancelled")  # compute was not asked yet, and could not hear of it
        return await self._compute.ask("export", fields, TIMEOUT_S, str(export.id))

    def _tidy(self) -> None:
        """Forget what ended long ago."""
        limit_ns = self._clock.now_ns() - KEPT_S * SECOND_NS
        for export in [*self._exports.values()]:
            is_read = export.file is not None and self._answers.is_read(export.file)
            if export.state != "running" and export.ended_ns < limit_ns and not is_read:
                self.remove(export)
