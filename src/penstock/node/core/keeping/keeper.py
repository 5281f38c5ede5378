"""Keeping data, joined: retention, deletions, backups and what they share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from penstock.node.core.keeping.backups import Backups
from penstock.node.core.keeping.deletions import DeletionDesk
from penstock.node.core.keeping.known import KnownPoints
from penstock.node.core.keeping.retention import Retention
from penstock.node.core.keeping.size import SizeBook

if TYPE_CHECKING:
    from penstock.model import Event
    from penstock.node.core.compute_link import ComputeLink
    from penstock.node.core.parts import Parts
    from penstock.node.spool import Spool


class Keeper:
    """All of it for one core; `run` until cancelled."""

    def __init__(self, parts: Parts, compute: ComputeLink, spool: Spool) -> None:
        self._log = parts.log
        self._told: set[asyncio.Task[int]] = set()
        data, settings = parts.home.data, parts.settings.historian
        self.known = KnownPoints(parts.registry)
        self.backups = Backups(parts.disk, data, parts.security)
        self.retention = Retention(
            settings.retention,
            self.known.all,
            compute,
            parts.log.retention.time,
            self._tell,
            parts.disk,
            data,
            parts.clock,
        )
        self.deletions = DeletionDesk(
            parts.historian,
            compute,
            parts.log.retention,
            parts.disk,
            data,
            parts.clock,
            parts.security.audit.record,
        )

        self.size = SizeBook(
            compute,
            self.known,
            settings.retention,
            lambda: parts.settings.log.log_bytes_keep - parts.log.statistics()["file_bytes"],
            parts.disk,
            spool,
            parts.clock,
        )

    async def run(self) -> None:
        """Expire what is old, make deletions final; for ever."""
        await self.backups.note_restored()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.retention.run(), name="retention")
            group.create_task(self.deletions.run(), name="deletions")
            group.create_task(self.size.run(), name="size")

    def _tell(self, event: Event) -> None:
        task = asyncio.ensure_future(self._log.append_event(event))
        self._told.add(task)
        task.add_done_callback(self._told.discard)
