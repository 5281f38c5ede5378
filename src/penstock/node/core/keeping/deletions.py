"""Deleting by hand: proposed, confirmed by a typed phrase, hidden at once, final after a while.

Compute writes the segments again without the rows and puts the rows aside; so they are in
no answer from the commit on, and until the grace is over they can come back as they were.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import numpy as np
import structlog

from penstock.historian.ahead import latest_ns
from penstock.historian.erase import Part
from penstock.historian.manifest import Proposal
from penstock.historian.query import raw, rows_between
from penstock.historian.segment import SegmentInfo
from penstock.model import ConfigError, ConfigProblem, Frame, Quality, Refused
from penstock.model.frame import FRAME_KINDS
from penstock.model.time import SECOND_NS, TIME_NS_MAX
from penstock.node.core.keeping import deletion as kept
from penstock.node.core.keeping.deletion import (
    CANCELLED,
    DONE,
    FAILED,
    HIDDEN,
    PROPOSED,
    WORKING,
    Deletion,
)
from penstock.security import Entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from penstock.historian import HistorianWorker
    from penstock.historian.columns import Columns
    from penstock.historian.query import Snapshot
    from penstock.log.retention import Retention as LogRetention
    from penstock.model import Point
    from penstock.model.event import Json
    from penstock.node.core.compute_link import ComputeLink
    from penstock.world import Clock, Disk

    Document = dict[str, Json]
    Record = Callable[[Entry], Awaitable[object]]

log = structlog.get_logger()

LOOK_S = 60
TIME_MAX_S = 6 * 3_600.0
PROPOSED_MAX = 32
PROPOSAL_NS = 600 * SECOND_NS
POINTS_MAX = 10_000
REASON_MAX = 500
COPY_BYTES = 4 * 1024 * 1024
WITHDRAWN = "withdrawn"
_DAMAGED = (
    "is damaged. Restore it from a backup, or remove it: hidden deletions can then not be "
    "undone any more, and their rows stay in data/withdrawn."
)


class DeletionDesk:
    """All deletions of a node; answers compute's question "commit_deletion"."""

    def __init__(
        self,
        worker: HistorianWorker,
        link: ComputeLink,
        log_retention: LogRetention,
        disk: Disk,
        data: Path,
        clock: Clock,
        record: Record,
    ) -> None:
        self._worker = worker
        self._historian = worker.historian
        self._link = link
        self._log = log_retention
        self._disk = disk
        self._data = data
        self._clock = clock
        self._record = record
        self._saving = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()
        self._all: dict[str, Deletion] = {}
        self._undoing: set[str] = set()
        link.answers["commit_deletion"] = self.commit
        self._load()

    # --- for people

    def propose(
        self, by: str, path: str, points: list[Point], from_ns: int, to_ns: int, reason: str
    ) -> Deletion:
        """The first step; nothing is changed. Refused when it is about nothing or too much."""
        reason = reason.strip()
        if not 3 <= len(reason) <= REASON_MAX:
            raise Refused("reason_needed")
        if not points:
            raise Refused("not_found", f"There is no point {path}, and none below it.")
        if len(points) > POINTS_MAX:
            raise Refused("too_large", f"At most {POINTS_MAX} points at once.")
        if from_ns >= to_ns:
            raise Refused("invalid_request", "The span ends before it begins.")
        self._forget_old_proposals()
        if sum(item.state == PROPOSED for item in self._all.values()) >= PROPOSED_MAX:
            raise Refused("busy")
        made = Deletion(
            id=str(uuid4()),
            by=by,
            path=path,
            points=[str(point.id) for point in points],
            handles=[point.handle for point in points],
            from_ns=from_ns,
            to_ns=to_ns,
            reason=reason,
            proposed_ns=self._clock.now_ns(),
            phrase=f"delete {path}",
        )
        self._all[made.id] = made
        return made

    async def confirm(self, by: str, id_: str, phrase: str) -> Deletion:
        """The second step: the data is hidden as soon as compute has written the files again.

        Refused: "not_found" (also when the proposal is too old), "bad_request" for another
        phrase, "wrong_state", "compute_away".
        """
        self._forget_old_proposals()
        found = self._of(id_)
        if found.state != PROPOSED:
            raise Refused("wrong_state", f"The deletion is {found.state}.")
        if phrase.strip() != found.phrase:
            raise Refused("bad_request", f"Type exactly: {found.phrase}")
        if not self._link.is_connected:
            raise Refused("compute_away")
        found.state, is_kept = WORKING, False  # before the first await: a second one meets it
        try:
            await self._worker.flush_now()
            _, found.until = self._historian.position
            await self._save()
            is_kept = True
        finally:
            if not is_kept:
                found.state = PROPOSED
        await self._record(Entry(by, "deletion.confirm", found.id, None, _facts(found)))
        task = asyncio.ensure_future(self._hide(found))
        self._running.add(task)
        task.add_done_callback(self._on_end)
        return found

    async def cancel(self, by: str, id_: str) -> Deletion:
        """Take it back: a proposal is forgotten, hidden data is shown again as it was."""
        found = self._of(id_)
        if found.state == PROPOSED:
            del self._all[id_]
            found.state = CANCELLED
            return found
        if found.state != HIDDEN or found.id in self._undoing:
            raise Refused("wrong_state", f"The deletion is {found.state}.")
        self._undoing.add(found.id)
        try:
            await self._bring_back(found)
            found.state = CANCELLED
        finally:
            self._undoing.discard(found.id)
        await self._save()
        await asyncio.to_thread(self._remove_withdrawn, found)
        await self._record(Entry(by, "deletion.cancel", found.id, None, _facts(found)))
        return found

    def all(self) -> list[Deletion]:
        """Newest first."""
        self._forget_old_proposals()
        return sorted(self._all.values(), key=lambda item: item.proposed_ns, reverse=True)

    def of_point(self, id_: UUID) -> list[Deletion]:
        """Those whose data is not in any answer about this point."""
        name = str(id_)
        return [d for d in self.all() if d.state in (HIDDEN, DONE) and name in d.points]

    # --- the work

    def _on_end(self, task: asyncio.Task[None]) -> None:
        """What has failed for want of disk is found out by the next start."""
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("deletion_broken_off", exc_info=error)

    async def run(self) -> None:
        """End the grace of those whose time has come, for ever."""
        while True:
            await self.look()
            await self._clock.wait_until(self._clock.monotonic_ns() + LOOK_S * SECOND_NS)

    async def look(self) -> None:
        """Make final what is due; not while the log does not believe the clock."""
        now_ns = self._clock.now_ns()
        for item in [*self._all.values()]:
            is_due = item.state == HIDDEN and now_ns >= item.ends_ns
            is_due &= item.id not in self._undoing
            if is_due and not self._log.time.is_paused:
                await self._finish(item)

    async def commit(self, fields: Document) -> Document:
        """Answer to compute: the files without the rows count from now on."""
        found = self._of(str(fields["deletion"]))
        proposal, withdrawn = fields["proposal"], fields["withdrawn"]
        assert isinstance(proposal, dict)
        assert isinstance(withdrawn, list)
        swap = Proposal.from_document(proposal)
        found.withdrawn = [dict(item) for item in withdrawn if isinstance(item, dict)]
        found.rows, found.bytes = int(str(fields["rows"])), int(str(fields["bytes"]))
        found.remove, found.add = [*swap.remove], [info.name for info in swap.add]
        await self._save()
        if found.remove:
            await self._worker.swap(swap)
        return {}

    async def _hide(self, found: Deletion) -> None:
        handles = np.array(sorted(found.handles), np.uint32)
        part = Part(handles, found.from_ns, found.to_ns)
        fields: Document = {
            "parts": [part.to_document()],
            "until": str(found.until),
            "deletion": found.id,
        }
        try:
            await self._link.ask("erase", fields, TIME_MAX_S)
        except Refused as refusal:
            await self._fail(found, f"{refusal.code}: {refusal.detail}")
            return
        self._historian.last.withdraw(handles, found.from_ns, found.to_ns)
        await self._set_hidden(found)
        # Both kept manifests hold newest samples and list files: neither may know the old ones.
        for _ in range(2):
            await self._worker.flush_now()

    async def _set_hidden(self, found: Deletion) -> None:
        found.state, found.hidden_ns = HIDDEN, self._clock.now_ns()
        grace_ns = int(self._historian.settings.deletion_grace_h * 3_600 * SECOND_NS)
        found.ends_ns = found.hidden_ns + grace_ns
        await self._save()
        await self._record(Entry(found.by, "deletion.hide", found.id, None, _facts(found)))
        log.info("history_deleted", deletion=found.id, rows=found.rows, bytes=found.bytes)

    async def _fail(self, found: Deletion, detail: str) -> None:
        """Unless core had committed: then only the answer is lost."""
        if found.remove and self._has_happened(found):
            await self._set_hidden(found)
            return
        found.state, found.detail = FAILED, detail
        await self._save()
        await asyncio.to_thread(self._remove_withdrawn, found)
        outcome = detail.partition(":")[0]
        await self._record(Entry(found.by, "deletion.fail", found.id, None, _facts(found), outcome))

    async def _finish(self, found: Deletion) -> None:
        found.state = DONE
        await self._save()
        await asyncio.to_thread(self._remove_withdrawn, found)
        self._log.forget(found.until)
        await self._record(Entry(found.by, "deletion.finish", found.id, None, _facts(found)))

    async def _bring_back(self, found: Deletion) -> None:
        infos = tuple(SegmentInfo(**item) for item in found.withdrawn)
        try:
            await asyncio.to_thread(self._copy_back, found, infos)
        except FileNotFoundError as error:
            detail = "What was put aside is not there: a backup does not hold it."
            raise Refused("not_found", detail) from error
        except OSError as error:
            raise Refused("disk_full", str(error)) from error
        if infos:
            await self._worker.swap(Proposal(self._historian.manifest.version, (), infos))
            await self._show_newest(found.handles)

    async def _show_newest(self, handles: list[int]) -> None:
        """Newest samples that had been withdrawn count again, unless a newer one has come."""
        last = self._historian.last
        rows = last.rows(np.array(handles, np.uint32))
        is_void = rows.quality == Quality.BAD_NOT_AVAILABLE
        for place in np.flatnonzero(is_void & np.isin(rows.kind, [*FRAME_KINDS])).tolist():
            handle, time_ns = int(rows.point[place]), int(rows.time_ns[place])
            sequence = int(rows.sequence[place])
            ask = partial(_newest, handle, time_ns, sequence)
            found = await self._worker.query(ask, [handle])
            if len(found):
                index = np.array([len(found) - 1])
                row = found.take(index)
                point = np.array([handle], np.uint32)
                frame = Frame(point, row.time_ns, row.value, row.quality, row.flags)
                last.update(frame, int(row.sequence[0]), receive_ns=time_ns)

    # --- files

    def _copy_back(self, found: Deletion, infos: tuple[SegmentInfo, ...]) -> None:
        for info in infos:
            target = self._data / "segments" / info.name
            source = self._data / WITHDRAWN / found.id / info.name
            self._disk.remove(target)
            file = self._disk.append_to(target)
            try:
                for offset in range(0, info.file_bytes, COPY_BYTES):
                    file.append([self._disk.read(source, offset, COPY_BYTES)])
                file.sync()
            finally:
                file.close()

    def _remove_withdrawn(self, found: Deletion) -> None:
        folder = self._data / WITHDRAWN / found.id
        for name in self._disk.list(folder):
            self._disk.remove(folder / name)

    def _has_happened(self, found: Deletion) -> bool:
        listed = {info.name for info in self._historian.manifest.segments}
        return listed.isdisjoint(found.remove) and listed.issuperset(found.add)

    # --- what is kept

    def _load(self) -> None:
        """After a start: what a crash has cut off is found out, the log forgets what it should."""
        try:
            items = kept.load(self._disk, self._data)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError([ConfigProblem(str(self._data / kept.FILE), _DAMAGED)]) from error
        for item in items:
            self._all[item.id] = item
            if item.state == WORKING:
                is_hidden = bool(item.remove) and self._has_happened(item)
                item.state = HIDDEN if is_hidden else FAILED
                item.detail = "" if is_hidden else "cut off by a restart; nothing was deleted"
                item.hidden_ns = item.ends_ns = self._clock.now_ns()
                grace_ns = int(self._historian.settings.deletion_grace_h * 3_600 * SECOND_NS)
                item.ends_ns += grace_ns if is_hidden else 0
                if is_hidden:
                    handles = np.array(sorted(item.handles), np.uint32)
                    self._historian.last.withdraw(handles, item.from_ns, item.to_ns)
            elif item.state == HIDDEN and self._is_back(item):
                item.state = CANCELLED
            elif item.state == DONE:
                self._log.forget(item.until)
            if item.state not in (HIDDEN, WORKING):
                self._remove_withdrawn(item)

    def _is_back(self, item: Deletion) -> bool:
        names = {SegmentInfo(**info).name for info in item.withdrawn}
        return bool(names) and names <= {info.name for info in self._historian.manifest.segments}

    async def _save(self) -> None:
        async with self._saving:
            items = [*self._all.values()]
            try:
                await asyncio.to_thread(kept.save, self._disk, self._data, items)
            except OSError as error:
                raise Refused("disk_full", str(error)) from error

    def _of(self, id_: str) -> Deletion:
        found = self._all.get(id_)
        if found is None:
            raise Refused("not_found", f"There is no deletion {id_[:40]}; a proposal lasts 10 min.")
        return found

    def _forget_old_proposals(self) -> None:
        oldest_ns = self._clock.now_ns() - PROPOSAL_NS
        for item in [*self._all.values()]:
            if item.state == PROPOSED and item.proposed_ns < oldest_ns:
                del self._all[item.id]


def _newest(handle: int, time_ns: int, sequence: int, snapshot: Snapshot) -> Columns:
    """Rows of one moment, else those of the record that were ahead of their receipt then."""
    found = raw(snapshot, handle, time_ns, time_ns + 1, 100)[0]
    if len(found):
        return found
    for rows in rows_between(snapshot, handle, latest_ns(time_ns) + 1, TIME_NS_MAX):
        own = np.flatnonzero(rows.sequence == sequence)
        if len(own):
            found = rows.take(own)
    return found


def _facts(found: Deletion) -> Document:
    return {
        "path": found.path,
        "points": len(found.points),
        "from_ns": str(found.from_ns),
        "to_ns": str(found.to_ns),
        "until": str(found.until),
        "reason": found.reason,
        "rows": found.rows,
        "bytes": found.bytes,
    }
