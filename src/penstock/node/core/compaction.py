"""Compaction as core sees it: when it is worth one, and the commit of what compute proposes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from penstock.historian.compaction import is_due
from penstock.historian.manifest import Proposal
from penstock.model import Refused
from penstock.model.time import SECOND_NS

if TYPE_CHECKING:
    from penstock.historian import HistorianWorker
    from penstock.model.event import Json
    from penstock.node.core.compute_link import ComputeLink
    from penstock.world import Clock

    Document = dict[str, Json]

log = structlog.get_logger()

TIME_MAX_S = 6 * 3_600.0


async def swap_in(worker: HistorianWorker, fields: Document) -> Proposal:
    """Commit what compute proposes; the log may then let go of what no manifest needs."""
    try:
        proposal = Proposal.from_document(fields)
    except (KeyError, TypeError, ValueError) as error:
        raise Refused("bad_request", f"proposal: {error}") from error
    try:
        await worker.swap(proposal)
    except OSError as error:
        raise Refused("disk_full", str(error)) from error
    return proposal


class Compaction:
    """Asks compute for day files, again and again; answers its question "commit"."""

    def __init__(self, worker: HistorianWorker, link: ComputeLink, clock: Clock) -> None:
        self._worker = worker
        self._historian = worker.historian
        self._link = link
        self._clock = clock
        self._is_waiting = False
        self.failures = 0
        link.answers["commit"] = self.commit

    async def run(self) -> None:
        """One compaction at a time, with a pause behind each, for ever."""
        pause_ns = self._historian.settings.compaction_pause_s * SECOND_NS
        while True:
            await self._clock.wait_until(self._clock.monotonic_ns() + pause_ns)
            await self.step()

    async def step(self) -> bool:
        """Compact if it is worth it and compute is there; whether something was replaced."""
        settings = self._historian.settings
        if not is_due(self._historian.manifest, settings, self._clock.now_ns()):
            return False
        fields: Document = {"settings": settings.model_dump(mode="json")}
        try:
            await asyncio.to_thread(self._historian.remove_abandoned)
            answer = await self._link.ask("compact", fields, TIME_MAX_S)
        except Refused as refusal:
            self._on_refusal(refusal)
            return False
        self._is_waiting = False
        log.info("history_compacted", removed=answer["removed"], added=answer["added"])
        return bool(answer["added"])

    async def commit(self, fields: Document) -> Document:
        """Answer to compute: list its new files instead of the old ones."""
        await swap_in(self._worker, fields)
        return {}

    def statistics(self) -> dict[str, int]:
        """For the System page."""
        return {"failures": self.failures}

    def _on_refusal(self, refusal: Refused) -> None:
        """Said once; nothing is lost meanwhile, segments only wait."""
        self.failures += 1
        if not self._is_waiting:
            self._is_waiting = True
            log.warning("compaction_waits", code=refusal.code, detail=refusal.detail)
