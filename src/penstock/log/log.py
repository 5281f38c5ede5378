"""The Log: nothing is acknowledged before the sync that covers it, nothing is written twice.

Everything here runs on the event loop; one thread writes (`LogWriter`). The two meet
in the queue, and in one callback a group. Callers must not change the columns of a
batch after they have appended it: they are written and read where they lie.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import structlog

from penstock.codec.event import encode_event
from penstock.codec.interval_set import IntervalSet
from penstock.codec.record import RecordKind
from penstock.log.cache import RecordCache
from penstock.log.config import LogSettings
from penstock.log.credit import CreditPool
from penstock.log.damage import DamageReports
from penstock.log.entry import CommitQueue, Entry, Outcome, batch_entry
from penstock.log.head import dictionary_entries
from penstock.log.poison import Poison
from penstock.log.reader import FileReader
from penstock.log.receipts import BYTES_BACK, ReceiptIndex, add_receipts, read_receipts
from penstock.log.record import JSON_KINDS, LogRecord, encode_json_payload
from penstock.log.recovery import Recovered
from penstock.log.retention import ReaderHandle
from penstock.log.store import FileStore
from penstock.log.upkeep import Upkeep
from penstock.log.watermark import WatermarkPage
from penstock.log.writer import LogWriter, open_writer
from penstock.model import Batch, Event, Origin, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from penstock.codec.dictionary import DictionaryEntry
    from penstock.model.event import Json
    from penstock.world import Clock, Disk

log = structlog.get_logger(__name__)


class Log:
    """One partition of the durable log, written by this process alone."""

    def __init__(
        self,
        folder: Path,
        *,
        disk: Disk,
        origin: Origin,
        settings: LogSettings,
        page: WatermarkPage,
        writer: LogWriter,
        recovered: Recovered,
    ) -> None:
        self._origin = origin
        self._page = page
        self._writer = writer
        self.retention = writer.retention
        self._store = FileStore(folder, disk)
        self._reader = FileReader(self._store)
        self.upkeep = Upkeep(folder, disk, settings, writer, writer.clock)
        self._cache = RecordCache(settings.cache_bytes_max)
        self._queue = CommitQueue(
            settings.linger_ms / 1e3, settings.group_rows_max, settings.group_bytes_max
        )
        self._loop = asyncio.get_running_loop()
        self._thread: threading.Thread | None = None
        self._waiters: list[tuple[int, asyncio.Future[int]]] = []
        self._in_flight: dict[tuple[Origin, int], asyncio.Future[int]] = {}
        self._damage = DamageReports(self._store, origin)
        self._counts = dict.fromkeys(("records", "batches", "rows", "groups", "duplicates"), 0)
        self._counts |= {"refused": 0, "torn_bytes": recovered.torn_bytes}
        self._receipts: ReceiptIndex | None = None
        self._state = "open"
        self.received = IntervalSet(recovered.received.intervals())
        self.durable = recovered.last
        # Receive time of the newest record that an earlier process took in; 0 for none.
        self.heard_ns = recovered.heard_ns
        self.credit = CreditPool(settings.credit_bytes_max)
        self.small_credit = CreditPool(settings.small_credit_bytes_max)

    @classmethod
    async def open(
        cls, folder: Path, *, disk: Disk, clock: Clock, origin: Origin, settings: LogSettings
    ) -> Log:
        """Recover and start the writer; a full disk does not keep the log from being read."""
        parts = await asyncio.to_thread(open_writer, folder, disk, clock, origin, settings)
        self = cls(
            folder,
            disk=disk,
            origin=origin,
            settings=settings,
            page=parts[0],
            writer=parts[1],
            recovered=parts[2],
        )
        self._note_recovery(parts[2])
        self._resolve(await asyncio.to_thread(parts[1].commit, self._damage.take()))
        self._start_thread()
        return self

    @property
    def incarnation(self) -> int:
        """Grows at every open and whenever a file had to be left."""
        return self._writer.incarnation

    @property
    def first_sequence(self) -> int:
        """Oldest sequence that a reader can still get."""
        files = self._writer.files
        return files[0].first if files else self.durable + 1

    @property
    def dictionary(self) -> list[DictionaryEntry]:
        """All durable dictionary entries."""
        return list(self._writer.dictionary.values())

    def resume_after(self, incarnation: int, sequence: int) -> int:
        """Where a reader that committed this position goes on.

        A disk that lied may have lost records that a reader had seen; their sequences
        are then used again under a later incarnation, and must not be skipped.
        """
        later = [file.first for file in self._writer.files if file.incarnation > incarnation]
        return min(sequence, *(first - 1 for first in later), self.durable)

    # --- appending

    async def append_batch(self, batch: Batch, receive_ns: int | None = None) -> int:
        """Log sequence, when the batch is durable; waits for credit.

        A batch that the log has is not written again; the answer is then a durable
        sequence at or behind that of the first.
        """
        known = self._known(batch)
        if known is not None:
            return await asyncio.shield(known)
        entry = batch_entry(batch, receive_ns)
        if not self.credit.acquire_nowait(entry.size):
            await self.credit.acquire(entry.size)
            known = self._known(batch)
        if known is not None:
            self.credit.release(entry.size)
            return await asyncio.shield(known)
        return await asyncio.shield(self._put(entry))

    def append_batch_nowait(
        self, batch: Batch, receive_ns: int | None = None
    ) -> asyncio.Future[int]:
        """Like append_batch, but Refused("busy") at once when there is no credit."""
        known = self._known(batch)
        if known is not None:
            return known
        entry = batch_entry(batch, receive_ns)
        if not self.credit.acquire_nowait(entry.size):
            raise Refused("busy")
        return self._put(entry)

    async def append_event(self, event: Event) -> int:
        """Log sequence, when the event is durable."""
        return await self._append_small(self._event_entry(event))

    async def append_events(self, events: Sequence[Event]) -> int:
        """Sequence of the last; they may be split over groups, in order."""
        return await self._append_all([self._event_entry(event) for event in events])

    async def append_json(self, kind: RecordKind, payload: dict[str, Json]) -> int:
        """A gap, finding, command or work order."""
        assert kind in JSON_KINDS
        return await self._append_small(
            Entry(kind, payload, [encode_json_payload(payload)], self._origin)
        )

    async def append_dictionary(self, entries: Sequence[DictionaryEntry]) -> int:
        """Handles become known; must be durable before a batch that uses them is appended."""
        return await self._append_all(dictionary_entries(entries, self._origin))

    # --- reading

    async def wait_beyond(self, sequence: int) -> int:
        """Durable sequence, as soon as it is greater than `sequence`."""
        self._check_open()
        if self.durable > sequence:
            return self.durable
        future: asyncio.Future[int] = self._loop.create_future()
        self._waiters.append((sequence, future))
        return await future

    def read(
        self, after: int, records_max: int = 256, bytes_max: int = 8 * 1024 * 1024
    ) -> list[LogRecord]:
        """Durable records behind `after`, in order.

        Damage that is met on the way is reported as a gap record; what retention has
        deleted is passed by (`first_sequence`).
        """
        if after >= self.durable:
            return []
        cached = self._cache.read(after, records_max, bytes_max)
        if cached is not None:
            return cached
        reading = self._reader.read(self._writer.files, after, self.durable, records_max, bytes_max)
        for file, hole in reading.holes:
            self._damage.report(file, hole)
        self._submit_gaps()
        if not reading.records and reading.next <= self.durable:
            return self.read(reading.next - 1, records_max, bytes_max)
        return reading.records

    def declare_reader(
        self,
        name: str,
        *,
        blocks: bool,
        owner: str = "core",
        lag_bytes_max: int | None = None,
        lag_s_max: float | None = None,
    ) -> ReaderHandle:
        """Files are kept for this reader from now on, as far as its kind and limits allow.

        What a limit takes from it becomes a gap record with its name, and is counted.
        """
        handle = self.retention.declare(name, blocks, owner, lag_bytes_max, lag_s_max)
        handle.poison = Poison(handle, self._store, lambda: self._writer.files, self.append_json)
        return handle

    async def receipts(self) -> ReceiptIndex:
        """Receipts of the newest part of the log, from now on kept up; for doors that push."""
        if self._receipts is None:
            after = self._writer.sequence_before(BYTES_BACK)
            self._receipts = await read_receipts(self.read, after)
        return self._receipts

    def statistics(self) -> dict[str, int]:
        """Counters and states for the System page."""
        own = {
            "durable": self.durable,
            "origins": len(self.received),
            "pending": len(self._queue),
            "credit_free_bytes": self.credit.free_bytes,
            "cache_bytes": self._cache.size,
            "gaps": self._damage.gaps,
            "lost_records": self._damage.lost_records,
        }
        return self._counts | self.upkeep.statistics() | self._writer.statistics() | own

    async def close(self) -> None:
        """Write what is pending, then stop; later appends fail."""
        if self._state == "closed":
            return
        self._state = "closing"
        self._queue.close()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        await asyncio.sleep(0)
        self._end("closed")
        self._writer.close()
        self._page.close()

    # --- the way into the queue

    def _known(self, batch: Batch) -> asyncio.Future[int] | None:
        """The future of a batch that is under way or durable."""
        self._check_open()
        future = self._in_flight.get((batch.origin, batch.sequence))
        if future is None and self.received.has(batch.origin, batch.sequence):
            future = self._loop.create_future()
            future.set_result(self.durable)
        if future is not None:
            self._counts["duplicates"] += 1
        return future

    def _event_entry(self, event: Event) -> Entry:
        return Entry(RecordKind.EVENT, event, [encode_event(event)], self._origin)

    async def _append_small(self, entry: Entry) -> int:
        self._check_open()
        await self.small_credit.acquire(entry.size)
        return await asyncio.shield(self._put(entry))

    async def _append_all(self, entries: Sequence[Entry]) -> int:
        self._check_open()
        futures = []
        for entry in entries:
            await self.small_credit.acquire(entry.size)
            futures.append(self._put(entry))
        results = await asyncio.gather(*futures)
        return max(results, default=self.durable)

    def _put(self, entry: Entry) -> asyncio.Future[int]:
        self._check_open()
        future: asyncio.Future[int] = self._loop.create_future()
        entry.future = future
        if not entry.is_small:
            self._in_flight[entry.origin, entry.origin_sequence] = future
        self._queue.put(entry)
        return future

    def _check_open(self) -> None:
        if self._state != "open":
            raise Refused("internal", f"The log is {self._state}.")

    # --- the writer's thread and back

    def _start_thread(self) -> None:
        self._thread = threading.Thread(target=self._write_groups, name="log-writer", daemon=True)
        self._thread.start()

    def _write_groups(self) -> None:
        """Body of the thread; whatever ends it early fails all who wait."""
        state = "broken"
        try:
            while group := self._queue.take():
                outcome = self._writer.commit(group)
                self._loop.call_soon_threadsafe(self._resolve, outcome)
            state = "closed"
        finally:
            self._loop.call_soon_threadsafe(self._end, state)

    def _resolve(self, outcome: Outcome) -> None:
        """On the loop: the group is durable; tell readers first, then those who wait."""
        self._cache.add(outcome.records)
        if outcome.records:
            self.durable = outcome.records[-1].sequence
        if self._receipts is not None:
            add_receipts(self._receipts, outcome.records)
        for entry, sequence in outcome.written:
            if not entry.is_small:
                self.received.add(entry.origin, entry.origin_sequence)
            self._damage.on_durable(entry)
            self._finish(entry).set_result(sequence)
        for entry, refusal in outcome.refused:
            self._counts["refused"] += 1
            self._damage.on_refused(entry)
            future = self._finish(entry)
            future.set_exception(refusal)
            future.exception()
        self.received.forget(outcome.folded)
        self._count(outcome)
        self._wake()
        if outcome.written:
            self._submit_gaps()

    def _finish(self, entry: Entry) -> asyncio.Future[int]:
        """Give credit back; the entry's future, or a new one if nobody waits (any more)."""
        future = entry.future
        if future is not None:
            (self.small_credit if entry.is_small else self.credit).release(entry.size)
        if not entry.is_small:
            self._in_flight.pop((entry.origin, entry.origin_sequence), None)
        if future is None or future.done():
            return self._loop.create_future()
        return future

    def _count(self, outcome: Outcome) -> None:
        counts = self._counts
        counts["groups"] += bool(outcome.records)
        counts["records"] += len(outcome.records)
        for entry, _ in outcome.written:
            counts["batches"] += not entry.is_small
            counts["rows"] += entry.rows

    def _wake(self) -> None:
        if not self._waiters:
            return
        waiting = self._waiters
        self._waiters = [item for item in waiting if item[0] >= self.durable]
        for sequence, future in waiting:
            if sequence < self.durable and not future.done():
                future.set_result(self.durable)

    def _end(self, state: str) -> None:
        if self._state in ("closed", "broken"):
            return
        self._state = state
        refusal = Refused("internal", f"The log is {state}.")
        futures = [*self._in_flight.values(), *(future for _, future in self._waiters)]
        futures += [entry.future for entry in self._queue.take_nowait() if entry.future]
        for future in futures:
            if not future.done():
                future.set_exception(refusal)
                future.exception()

    def _note_recovery(self, recovered: Recovered) -> None:
        if recovered.torn_bytes:
            log.warning("log_tail_torn", bytes=recovered.torn_bytes, last=recovered.last)
        for file, hole in recovered.holes:
            self._damage.report(file, hole)

    def _submit_gaps(self) -> None:
        if self._state == "open" and self._damage.is_waiting:
            for entry in self._damage.take():
                self._queue.put(entry)
