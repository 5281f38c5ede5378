"""The historian's task: reads the log into the head and lets a thread flush sealed heads.

It is a blocking reader: while a flush cannot be written (the disk is full), two
heads fill up, the log stops giving space back, and new data is refused at the
door with a clear error. Nothing that was accepted is dropped.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import structlog

from penstock.log import Follower, RecordKind
from penstock.model import Batch, Refused
from penstock.model.time import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.historian.historian import Historian
    from penstock.historian.manifest import Manifest, Proposal
    from penstock.historian.query import Snapshot
    from penstock.log import LogRecord, ReadableLog
    from penstock.world import Clock

RECORDS_MAX = 256
RETRY_S = 5
QUERIES_MAX = 64
MISSED_MAX = 10_000
READER_NAME = "historian"

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")


class HistorianWorker:
    """Runs a Historian on a log: `run` until cancelled, then `close`; queries at any time."""

    def __init__(self, historian: Historian, log: ReadableLog, clock: Clock) -> None:
        self.historian = historian
        self._log = log
        self._clock = clock
        self._follower = Follower(log, READER_NAME, self._take, records_max=RECORDS_MAX)
        needed = historian.needed_sequence
        historian.resume(self._follower.resume(*historian.position, needed=needed))
        threads = historian.settings.query_threads
        self._query_pool = ThreadPoolExecutor(threads, "historian-query")
        self._flush_pool = ThreadPoolExecutor(1, "historian-flush")
        self._flush: asyncio.Task[None] | None = None
        self._queries = 0
        self.missed: list[tuple[int, int]] = []

    async def run(self) -> None:
        """Follow the log for ever. Whatever was appended before the start is replayed first."""
        await self._follower.run()

    async def take_available(self) -> None:
        """Read up to the durable end, with turns for others between the parts."""
        await self._follower.catch_up()

    async def wait_read(self, sequence: int) -> None:
        """Return when queries see log record `sequence`."""
        await self._follower.wait_taken(sequence)

    async def flush_now(self) -> None:
        """Write everything that was read to a segment; also while `run` goes on."""
        await self._wait_flushed()
        self._start_flush()
        await self._wait_flushed()

    async def swap(self, proposal: Proposal) -> None:
        """Commit a compaction: Refused("conflict") when its sources are not listed any more."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._flush_pool, self.historian.swap, proposal)
        self._follower.advance(self.historian.needed_sequence)

    async def query(self, answer: Callable[[Snapshot], _T], handles: Sequence[int]) -> _T:
        """Run a pure function on a snapshot in a thread; Refused("busy") when too many wait."""
        if self._queries >= QUERIES_MAX:
            raise Refused("busy")
        snapshot = self.historian.pin(handles)
        loop = asyncio.get_running_loop()
        self._queries += 1
        try:
            return await loop.run_in_executor(self._query_pool, answer, snapshot)
        finally:
            self._queries -= 1

    async def close(self, *, flush: bool = True) -> None:
        """After `run` has ended: flush what was read, so that the next start replays little."""
        if flush:
            await self._try_last_flush()
        if self._flush is not None:
            self._flush.cancel()
        await asyncio.to_thread(self._flush_pool.shutdown, wait=True)
        self._query_pool.shutdown(wait=False, cancel_futures=True)

    # --- log to head

    async def _take(self, records: Sequence[LogRecord]) -> None:
        if self._flush is not None and self._flush.done():
            await self._wait_flushed()
        for record in records:
            self._note_missed(record.sequence)
            if self.historian.is_full:
                await self._wait_flushed()
                self._start_flush()
            if record.kind == RecordKind.BATCH:
                assert isinstance(record.payload, Batch)
                self.historian.append(record.payload, record.sequence, record.receive_ns)
            self.historian.pass_by(record.sequence)
            self._follower.note_taken(record.sequence)
        if self.historian.is_due and not self.historian.is_flushing:
            self._start_flush()

    def _note_missed(self, sequence: int) -> None:
        """Records that the log could not give are no more; `gaps` tells what that means."""
        expected = self.historian.sequence + 1
        if sequence > expected and len(self.missed) < MISSED_MAX:
            self.missed.append((expected, sequence - 1))

    # --- head to segment

    def _start_flush(self) -> None:
        self.historian.seal(self._log.incarnation)
        self._flush = asyncio.create_task(self._write_sealed(), name="historian-flush")

    async def _wait_flushed(self) -> None:
        """No flush is under way when this returns, whoever else waited and began the next."""
        while (flush := self._flush) is not None:
            await asyncio.shield(flush)
            if self._flush is flush:
                self._flush = None

    async def _write_sealed(self) -> None:
        """Write the sealed head, again and again while the disk refuses."""
        is_lost = False
        while (manifest := await self._write_once(is_lost)) is None:
            is_lost = True
            await self._clock.wait_until(self._clock.monotonic_ns() + RETRY_S * SECOND_NS)
        self.historian.adopt(manifest)
        self._follower.advance(self.historian.needed_sequence)
        if is_lost:
            _log.info("flush_back")

    async def _write_once(self, is_lost: bool) -> Manifest | None:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._flush_pool, self.historian.write)
        except OSError as error:
            if not is_lost:
                _log.error("flush_refused", detail=str(error), retry_in_s=RETRY_S)
            return None

    async def _try_last_flush(self) -> None:
        """One attempt within the stop's time; what fails is replayed from the log."""
        if self._flush is not None and not self._flush.done():
            await asyncio.wait([self._flush], timeout=RETRY_S)
        if self.historian.is_flushing or not self.historian.has_unwritten:
            return
        self.historian.seal(self._log.incarnation)
        manifest = await self._write_once(is_lost=False)
        if manifest is not None:
            self.historian.adopt(manifest)
            self._follower.advance(self.historian.needed_sequence)
