"""Spool watch: when the disk gets short, results that can be made again go first.

Compute ends what it is writing by itself; here goes what is finished: exports that wait
to be fetched, oldest first, then answers that are being sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from penstock.model.time import HOUR_NS, SECOND_NS

if TYPE_CHECKING:
    from penstock.historian.export.desk import ExportDesk
    from penstock.historian.sql.answers import Answers
    from penstock.model.event import Json
    from penstock.node.spool import Spool
    from penstock.world import Clock

    Document = dict[str, Json]

log = structlog.get_logger()

LOOK_S = 1
TOLD_NS = HOUR_NS


class SpoolWatch:
    """Looks at the free space, for ever."""

    def __init__(self, spool: Spool, exports: ExportDesk, answers: Answers, clock: Clock) -> None:
        self._spool = spool
        self._exports = exports
        self._answers = answers
        self._clock = clock
        self._last_ns: int | None = None
        self._removed = 0

    async def run(self) -> None:
        """Look once a second."""
        while True:
            await self._clock.wait_until(self._clock.monotonic_ns() + LOOK_S * SECOND_NS)
            self.look()

    def look(self) -> None:
        """Remove results while the log has nothing left but its reserve."""
        if not self._spool.is_short:
            return
        removed = self._exports.sacrifice(lambda: self._spool.is_short)
        removed += self._answers.sacrifice(lambda: self._spool.is_short)
        if removed:
            self._removed += removed
            self._last_ns = self._clock.monotonic_ns()
            log.warning("spool_emptied", files=removed)

    def notices(self) -> list[Document]:
        """For the System page, for an hour: whoever waits for a file learns where it went."""
        if self._last_ns is None or self._clock.monotonic_ns() - self._last_ns > TOLD_NS:
            return []
        params: Document = {"count": self._removed}
        return [{"code": "spool_emptied", "severity": "warning", "params": params}]

    def statistics(self) -> dict[str, int]:
        """For the System page."""
        return {"removed_total": self._removed}
