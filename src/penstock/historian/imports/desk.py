"""Desk of imports in core: files that were uploaded, what is asked about them, how far they are.

Each working import has one task that asks compute again for as long as compute is away;
what was sent twice by that the log takes once. Nothing is sent before all is checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import orjson
import structlog

from penstock.historian.imports.handler import CHECKED, FOLDER, TARGETS, forget
from penstock.historian.imports.naming import configurable, name_points
from penstock.historian.imports.options import Options
from penstock.historian.imports.record import ENDED, STARTABLE, STATE, WORKING, ImportRecord
from penstock.historian.imports.upload import store
from penstock.model import Refused
from penstock.model.time import SECOND_NS
from penstock.security.audit import Entry

if TYPE_CHECKING:
    from penstock.historian.imports.config import ImportSettings
    from penstock.historian.sql.desk import Compute, Points
    from penstock.model.event import Json
    from penstock.security.principal import Principal
    from penstock.world import Clock, Disk

    Document = dict[str, Json]

log = structlog.get_logger()

KEPT_MAX = 200
TIMEOUT_S = 7 * 24 * 3_600.0
RETRY_S = 0.5
DEATHS_MAX = 5
"""Times that compute may die over one step of an import."""
_AWAY = frozenset({"compute_away", "busy"})


class ImportDesk:
    """Takes files of principals; everybody sees their own, who configures the plant sees all."""

    def __init__(
        self,
        compute: Compute,
        disk: Disk,
        data: Path,
        clock: Clock,
        points: Callable[[], Points],
        settings: ImportSettings,
        zone: str,
        record: Callable[[Entry], Awaitable[str]],
    ) -> None:
        self._compute = compute
        self._disk = disk
        self._folder = data / FOLDER
        self._clock = clock
        self._points = points
        self._settings = settings
        self._zone = zone
        self._record = record
        self._imports: dict[UUID, ImportRecord] = {}
        self._jobs: dict[UUID, str] = {}
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._uploads = 0

    async def run(self) -> None:
        """Load what is on disk and go on with it, then wait for ever."""
        await asyncio.to_thread(self._load)
        for one in self._imports.values():
            if one.state in WORKING:
                log.info("import_resumed", id=one.id, state=one.state)
                self._work(one)
        await asyncio.Event().wait()

    # --- for principals

    async def begin(
        self, who: Principal, name: str, key: str, parts: AsyncIterator[bytes]
    ) -> ImportRecord:
        """Take a file and look at it; the same key gives the same import again."""
        known = next((one for one in self._imports.values() if one.key == key), None)
        if known is not None:
            if known.principal != who.id or known.name != name:
                raise Refused("idempotency_key_reused")
            return known
        unfinished = sum(one.state not in ENDED for one in self._imports.values())
        if unfinished + self._uploads >= self._settings.imports_max:
            raise Refused("busy", "There are too many imports; finish or remove some of them.")
        id_ = uuid4()
        folder = self._folder / str(id_)
        self._uploads += 1
        try:
            size = await store(self._disk, folder, parts, self._settings.file_bytes_max)
            now_ns = self._clock.now_ns()
            newest = max((one.incarnation for one in self._imports.values()), default=0)
            one = ImportRecord(str(id_), who.id, name, size, now_ns, max(now_ns, newest + 1), key)
            await self._save(one)
            self._imports[id_] = one
        finally:
            self._uploads -= 1
            if id_ not in self._imports:
                await asyncio.shield(asyncio.to_thread(forget, self._disk, folder))
        await self._audit(who, "import.upload", one, {"name": name, "bytes": size})
        self._forget_old()
        self._work(one, who)
        return one

    def all_of(self, who: Principal) -> list[ImportRecord]:
        """Newest first."""
        found = [one for one in self._imports.values() if _may_see(who, one)]
        return sorted(found, key=lambda one: -one.created_ns)

    def find(self, who: Principal, id_: UUID) -> ImportRecord:
        """Refused("not_found") for one that is somebody else's."""
        one = self._imports.get(id_)
        if one is None or not _may_see(who, one):
            raise Refused("not_found", f"There is no import {id_}.")
        return one

    async def answer(self, who: Principal, id_: UUID, options: Options) -> ImportRecord:
        """Other options; the file is looked at again. Refused("conflict") while it is at work."""
        one = self.find(who, id_)
        if one.state in WORKING or one.state == "done":
            raise Refused("conflict", f"The import is {one.state}.")
        if one.has_sent:
            raise Refused(
                "conflict", "A part of it is in the history; it can only go on as it was."
            )
        one.options = options.model_dump(mode="json", exclude_defaults=True)
        one.checked, one.prepared = {}, ""
        one.state = "looking"
        await self._save(one)
        self._work(one, who)
        return one

    async def start(self, who: Principal, id_: UUID, *, is_dry_run: bool) -> ImportRecord:
        """Check all rows, then send them but in a dry run; goes on with one that was ended."""
        one = self.find(who, id_)
        if one.state == "open":
            raise Refused("import_open", one.questions[0]["text"])
        if one.state not in STARTABLE:
            raise Refused("conflict", f"The import is {one.state}.")
        if not one.look:
            raise Refused("import_unreadable", one.detail)
        one.is_dry_run, one.code, one.detail = is_dry_run, "", ""
        if one.prepared and one.state in {"checked", "cancelled", "failed"}:
            one.state = "checked" if is_dry_run else "sending"
        else:
            if await self._name(one, who):
                one.state = "open"
                await self._save(one)
                raise Refused("import_open", one.questions[0]["text"])
            one.state = "checking"
        await self._audit(who, "import.start", one, {"options": one.options, "dry_run": is_dry_run})
        await self._save(one)
        if one.state in WORKING:
            self._work(one, who)
        return one

    async def remove(self, who: Principal, id_: UUID) -> None:
        """End it if it is at work; else forget it and its files. Samples that were sent stay."""
        one = self.find(who, id_)
        await self._audit(who, "import.remove", one, {"state": one.state})
        if one.state in WORKING:
            one.state, one.detail = "cancelled", _stay(one)
            one.ended_ns = self._clock.now_ns()
            self._cancel(id_)
            await self._save(one)
            return
        del self._imports[id_]
        await asyncio.to_thread(forget, self._disk, self._folder / one.id)

    def progress(self, one: ImportRecord) -> Document:
        """done, total (rows) and since_ns of the step under way, as of compute's last heartbeat."""
        job = self._compute.jobs.get(self._jobs.get(UUID(one.id), ""), {})
        facts = job.get("progress")
        return {**facts, "since_ns": job.get("since_ns")} if isinstance(facts, dict) else {}

    async def details(self, one: ImportRecord) -> Document:
        """Counts of points and rejects, from the file of the check; empty before it."""
        if not one.checked:
            return {}
        folder = self._folder / one.id
        try:
            checked = orjson.loads(await asyncio.to_thread(self._disk.read, folder / CHECKED))
            targets = orjson.loads(await asyncio.to_thread(self._disk.read, folder / TARGETS))
        except FileNotFoundError:
            return {}
        points = [
            {"id": id_, "path": path, **count}
            for (id_, _, path), count in zip(targets["points"], checked["points"], strict=True)
        ]
        return {"points": points[:10_000], "rejects": checked["rejects"]}

    async def close(self) -> None:
        """Leave what is at work; the next start goes on with it."""
        for task in [*self._tasks.values()]:
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    # --- files

    def _load(self) -> None:
        self._disk.make_folder(self._folder)
        for name in self._disk.list(self._folder):
            one = ImportRecord.load(self._disk, self._folder / name)
            if one is None:
                forget(self._disk, self._folder / name)
            else:
                self._imports[UUID(one.id)] = one

    async def _save(self, one: ImportRecord) -> None:
        try:
            await asyncio.to_thread(one.save, self._disk, self._folder / one.id)
        except OSError as error:
            raise Refused("disk_full", error.strerror or "") from error

    def _forget_old(self) -> None:
        """Only so many ended ones are kept."""
        ended = sorted(
            (one for one in self._imports.values() if one.state in ENDED),
            key=lambda one: one.ended_ns,
        )
        for one in ended[: max(0, len(ended) - KEPT_MAX)]:
            del self._imports[UUID(one.id)]
            forget(self._disk, self._folder / one.id)

    async def _audit(self, who: Principal, action: str, one: ImportRecord, new: Document) -> None:
        await self._record(Entry(who.id, action, one.id, None, new))

    # --- steps

    def _work(self, one: ImportRecord, who: Principal | None = None) -> None:
        id_ = UUID(one.id)
        task = asyncio.get_running_loop().create_task(self._steps(one, who))
        self._tasks[id_] = task
        task.add_done_callback(lambda done: self._on_end(id_, done))

    def _on_end(self, id_: UUID, task: asyncio.Task[None]) -> None:
        if self._tasks.get(id_) is task:
            del self._tasks[id_]
        if not task.cancelled() and task.exception() is not None:
            log.error("import_crashed", id=str(id_), exc_info=task.exception())
            one = self._imports[id_]
            one.state, one.code = "failed", "internal"
            one.detail = f"A fault inside Penstock; see the log. {_stay(one)}".strip()

    async def _steps(self, one: ImportRecord, who: Principal | None) -> None:
        try:
            if one.state == "looking":
                await self._look(one, who)
            if one.state == "checking":
                await self._check(one)
            if one.state == "sending":
                await self._send(one)
        except Refused as refusal:
            if one.state == "cancelled":
                return
            one.state, one.code = "failed", refusal.code
            one.detail = f"{refusal.detail} {_stay(one)}".strip()
            one.ended_ns = self._clock.now_ns()
            log.warning("import_failed", id=one.id, code=refusal.code, detail=refusal.detail)
        try:
            await self._save(one)
        except Refused as refusal:
            log.warning("import_not_saved", id=one.id, detail=refusal.detail)

    async def _look(self, one: ImportRecord, who: Principal | None) -> None:
        fields: Document = {"options": one.options, "zone": self._zone}
        one.look = await self._ask("import_look", one, fields)
        is_open = await self._name(one, who)
        one.state = "open" if is_open else "ready"
        one.code = one.detail = ""

    async def _check(self, one: ImportRecord) -> None:
        one.prepared = ""
        prepared = f"batches-{uuid4()}"
        fields: Document = {
            "settled": one.look["settled"],
            "prepared": prepared,
            "rows": one.look["rows"],
            "replace": bool(one.options.get("replace")),
        }
        one.checked = await self._ask("import_check", one, fields)
        if one.checked["questions"]:
            one.state = "open"
            return
        if one.checked["rejected"] and not one.options.get("skip_bad"):
            one.state, one.code = "rejected", "import_rejected"
            await asyncio.to_thread(self._disk.remove, self._folder / one.id / prepared)
            return
        one.prepared = prepared
        one.state = "checked" if one.is_dry_run else "sending"
        await self._save(one)

    async def _send(self, one: ImportRecord) -> None:
        one.has_sent = True
        await self._save(one)
        fields: Document = {
            "prepared": one.prepared,
            "incarnation": one.incarnation,
            "after": 0,
            "rows": one.checked["samples"],
        }
        await self._ask("import_send", one, fields)
        one.state, one.code, one.detail = "done", "", ""
        one.ended_ns = self._clock.now_ns()
        await self._save(one)
        kept = frozenset({STATE, CHECKED, TARGETS})
        await asyncio.to_thread(forget, self._disk, self._folder / one.id, keep=kept)
        told: Document = {"samples": one.checked["samples"], "rows": one.checked["rows"]}
        await self._record(Entry(one.principal, "import.done", one.id, None, told))

    async def _ask(self, op: str, one: ImportRecord, fields: Document) -> dict[str, Any]:
        """Ask compute until it answers; it may be away, die and come back."""
        deaths, has_begun = 0, False
        fields = {
            **fields, "import": one.id, "memory_bytes": self._settings.memory_bytes_max,
        }  # fmt: skip
        while True:
            if one.state == "cancelled":
                raise Refused("cancelled")
            job = str(uuid4())
            self._jobs[UUID(one.id)] = job
            since_ns = self._clock.monotonic_ns()
            try:
                found = await self._compute.ask(op, fields, TIMEOUT_S, job)
            except Refused as refusal:
                if refusal.code not in _AWAY or one.state == "cancelled":
                    raise
                has_begun = self._clock.monotonic_ns() - since_ns > SECOND_NS // 10
                deaths += has_begun and refusal.code == "compute_away"
                if deaths >= DEATHS_MAX:
                    raise Refused(
                        "import_unreadable", f"Compute has ended {deaths} times over this file."
                    ) from refusal
            else:
                if one.state == "cancelled":  # it ended just before it heard of that
                    raise Refused("cancelled")
                return found
            await self._clock.wait_until(self._clock.monotonic_ns() + int(RETRY_S * SECOND_NS))

    def _cancel(self, id_: UUID) -> None:
        self._compute.cancel(self._jobs.get(id_, ""))

    async def _name(self, one: ImportRecord, who: Principal | None) -> bool:
        """Whether something is open. After a restart nobody is there to own points."""
        points = [] if who is None else configurable(self._points().points, who)
        return await asyncio.to_thread(name_points, one, points, self._disk, self._folder / one.id)


def _may_see(who: Principal, one: ImportRecord) -> bool:
    return one.principal == who.id or who.may("configure")


def _stay(one: ImportRecord) -> str:
    return "Samples that were sent stay in the history." if one.has_sent else ""
