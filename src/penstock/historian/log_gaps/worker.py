"""GapProjector: the log's gap records to SQLite, with times, and whether samples are lost.

A gap record names sequences; what was received when is told by the records around
them. Only the historian knows whether it had taken the records before they were
damaged, so that it is asked after it has read past the gap itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from penstock.historian.log_gaps.gap import Gap
from penstock.historian.log_gaps.store import PAGE_MAX, GapStore
from penstock.log import RecordKind
from penstock.log.projection import Projection
from penstock.model.time import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from penstock.log import LogRecord, ReadableLog
    from penstock.state import State
    from penstock.world import Clock

READER = "gaps"
HISTORIAN = "historian"
POSITION_PERIOD_NS = 60 * SECOND_NS
TIME_MIN, TIME_MAX = -(2**63), 2**63 - 1


class Missing(Protocol):
    """What is asked of the historian (HistorianWorker)."""

    @property
    def missed(self) -> Sequence[tuple[int, int]]:
        """Records that it has not got, as (first, last), since the start."""
        ...

    async def wait_read(self, sequence: int) -> None:
        """Return when it has read up to `sequence`."""
        ...


class GapProjector:
    """The one writer of the table of gaps."""

    def __init__(self, log: ReadableLog, state: State, clock: Clock, historian: Missing) -> None:
        self.store = GapStore()
        self._log = log
        self._state = state
        self._clock = clock
        self._historian = historian
        self._projection = Projection(log, state, clock, READER, self._take)
        self._lost: tuple[tuple[int, int], ...] = ()
        self._committed_ns = clock.monotonic_ns()

    async def run(self) -> None:
        """Project for ever; restartable, because all it knows is stored."""
        self._projection.load()
        with self._state.read() as connection:
            self._read_lost(connection)
        await self._projection.run()

    async def wait_projected(self, sequence: int) -> None:
        """Return once everything up to `sequence` was taken; `run` must be running."""
        await self._projection.wait_taken(sequence)

    def between(self, from_ns: int, to_ns: int) -> list[Gap]:
        """Gaps that touch the span, oldest first, at most PAGE_MAX; for a thread."""
        with self._state.read() as connection:
            return self.store.between(connection, from_ns, to_ns)

    def lost_spans(self, from_ns: int, to_ns: int) -> list[tuple[int, int]]:
        """Spans of receive time in which samples of any point may be missing; for trends."""
        return [span for span in self._lost if span[0] < to_ns and span[1] >= from_ns]

    def statistics(self) -> dict[str, int]:
        """How far the projection is behind, and what is lost."""
        return {**self._projection.statistics(), "lost": len(self._lost)}

    async def _take(self, records: Sequence[LogRecord]) -> None:
        found = [await self._gap(record) for record in records if record.kind == RecordKind.GAP]
        age_ns = self._clock.monotonic_ns() - self._committed_ns
        if not found and age_ns < POSITION_PERIOD_NS:
            return
        await self._projection.commit(records[-1].sequence, lambda c: self._put(c, found))
        self._committed_ns = self._clock.monotonic_ns()

    async def _gap(self, record: LogRecord) -> Gap:
        payload = record.payload
        assert isinstance(payload, dict)
        first, last = payload["first_sequence"], payload["last_sequence"]
        assert isinstance(first, int)
        assert isinstance(last, int)
        await self._historian.wait_read(record.sequence)
        is_lost = payload.get("reader") == HISTORIAN or any(
            begin <= last and first <= end for begin, end in self._historian.missed
        )
        from_ns, to_ns = self._times(first, last, record)
        known = {"cause", "scope", "first_sequence", "last_sequence"}
        return Gap(
            record.sequence,
            str(payload["cause"]),
            str(payload["scope"]),
            first,
            last,
            from_ns,
            to_ns,
            is_lost,
            {name: value for name, value in payload.items() if name not in known},
        )

    def _times(self, first: int, last: int, record: LogRecord) -> tuple[int, int]:
        """Receive times of the neighbours; the clock may have been set back between them."""
        before = self._log.read(first - 2, 1) if first > 1 else []
        after = self._log.read(last, 1)
        to_ns = after[0].receive_ns if after else record.receive_ns
        has_before = bool(before) and before[0].sequence == first - 1
        from_ns = before[0].receive_ns if has_before else to_ns
        return min(from_ns, to_ns), max(from_ns, to_ns)

    def _put(self, connection: Connection, found: Sequence[Gap]) -> None:
        for gap in found:
            self.store.put(connection, gap)
        if found:
            self._read_lost(connection)

    def _read_lost(self, connection: Connection) -> None:
        lost = self.store.between(connection, TIME_MIN, TIME_MAX, only_lost=True)
        assert len(lost) <= PAGE_MAX
        self._lost = tuple((gap.from_ns, gap.to_ns) for gap in lost)
