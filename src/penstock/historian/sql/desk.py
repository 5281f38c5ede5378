"""Desk of SQL in core: who asks may see what, compute answers, and the audit knows of it.

Core holds no DuckDB and no answer: the points go to compute as a file of the spool (once
a revision) with the caller's points as a bitmap, and the answer comes back as a file.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from penstock.historian.sql.catalogue import Catalogue, bitmap_of
from penstock.log.reserve import check_room
from penstock.model import Refused
from penstock.security.audit import Entry

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.historian.sql.config import SqlSettings
    from penstock.model import Point
    from penstock.model.event import Json
    from penstock.security.principal import Principal
    from penstock.world import Disk

    Document = dict[str, Json]

ANSWER_S = 10.0
ASKING_EACH = 4
"""Above the time limit of a query: waiting in compute's queue, and writing the file."""

Record = Callable[[Entry], Awaitable[str]]


class Points(Protocol):
    """What the registry knows at one revision."""

    @property
    def revision(self) -> int:
        """Grows with each change."""
        ...

    @property
    def points(self) -> Sequence[Point]:
        """Live points."""
        ...


class Compute(Protocol):
    """The link to compute."""

    @property
    def jobs(self) -> dict[str, Document]:
        """Progress by job."""
        ...

    async def ask(
        self, op: str, fields: Document, timeout_s: float = 30, job: str | None = None
    ) -> Document:
        """Let compute do it; Refused as compute refused it."""
        ...

    def cancel(self, job: str) -> None:
        """End a job."""
        ...


class PointFile:
    """The points as a file of the spool, written once a revision."""

    def __init__(self, disk: Disk, folder: Path, points: Callable[[], Points]) -> None:
        self._disk = disk
        self._folder = folder
        self._points = points
        self._written: tuple[int, str] | None = None
        self._lock = asyncio.Lock()

    async def name(self) -> str:
        """Name in the spool; written anew if compute has emptied the spool at its start."""
        async with self._lock:
            now = self._points()
            if self._written is not None:
                revision, name = self._written
                if revision == now.revision and (self._folder / name).exists():
                    return name
                await asyncio.to_thread(self._disk.remove, self._folder / name)
            name = f"{uuid4()}.points"
            await asyncio.to_thread(self._write, name, now.points)
            self._written = now.revision, name
            return name

    def _write(self, name: str, points: Sequence[Point]) -> None:
        self._disk.make_folder(self._folder)
        check_room(self._disk, self._folder)
        self._disk.write_whole(self._folder / name, [Catalogue.of(points).encode()])


def visible(points: Iterable[Point], principal: Principal) -> list[Point]:
    """The points that the principal may view."""
    by_asset: dict[str, bool] = {}
    found = []
    for point in points:
        if point.asset not in by_asset:
            by_asset[point.asset] = principal.may("view", point.asset)
        if by_asset[point.asset]:
            found.append(point)
    return found


@dataclass(frozen=True, slots=True)
class SqlAnswer:
    """A file in the spool (who takes it removes it); `facts` are sequence, row_count and so on."""

    path: Path
    facts: Document


class SqlDesk:
    """Takes SQL of principals."""

    def __init__(
        self,
        compute: Compute,
        point_file: PointFile,
        folder: Path,
        points: Callable[[], Points],
        settings: SqlSettings,
        record: Record,
    ) -> None:
        self._compute = compute
        self._point_file = point_file
        self._folder = folder
        self._points = points
        self._settings = settings
        self._record = record
        self._asking: Counter[str] = Counter()

    async def ask(self, who: Principal, sql: str, kind: str, limit: int) -> SqlAnswer:
        """Run one SELECT over what `who` may view; audited, also when it is refused.

        Refused("busy") beyond ASKING_EACH: nobody takes all threads and the whole queue.
        """
        told: dict[str, Json] = {"sql": sql, "format": kind}
        try:
            facts = await self._asked(who, sql, kind, limit)
        except Refused as refusal:
            await self._record(Entry(who.id, "sql.query", "history", None, told, refusal.code))
            raise
        told |= {"row_count": facts["row_count"], "rows_read": facts["rows_read"]}
        path = self._folder / str(facts.pop("file"))
        is_audited = False
        try:
            await self._record(Entry(who.id, "sql.query", "history", None, told))
            is_audited = True
        finally:
            if not is_audited:
                path.unlink(missing_ok=True)
        return SqlAnswer(path, facts)

    async def _asked(self, who: Principal, sql: str, kind: str, limit: int) -> Document:
        if self._asking[who.id] >= ASKING_EACH:
            detail = f"{ASKING_EACH} questions of yours are running; wait for one of them."
            raise Refused("busy", detail)
        self._asking[who.id] += 1
        try:
            return await self._answered(who, sql, kind, limit)
        finally:
            self._asking[who.id] -= 1
            if not self._asking[who.id]:
                del self._asking[who.id]

    async def _answered(self, who: Principal, sql: str, kind: str, limit: int) -> Document:
        handles = [point.handle for point in visible(self._points().points, who)]
        fields: Document = {
            "sql": sql,
            "format": kind,
            "limit": limit,
            "catalogue": await self._point_file.name(),
            "handles": bitmap_of(handles),
            "settings": self._settings.model_dump(mode="json"),
        }
        return await self._compute.ask("sql", fields, self._settings.time_s_max + ANSWER_S)
