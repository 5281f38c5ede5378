"""LogWriter: one group, one append, one sync; and what follows when the disk says no.

It is plain synchronous code without threads, so that a seeded simulation can cut
the power between any two of its calls. After a failed sync the kernel may take
unwritten pages for clean; the file is therefore left, cut to what was durable
before, and the group is written again into a new file of a new incarnation.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from penstock.codec.log_file import LogFileHeader, encode_file_header
from penstock.codec.record import RecordKind, encode_record
from penstock.log.entry import Entry, Outcome
from penstock.log.files import LogFile
from penstock.log.head import Head
from penstock.log.receive_time import ReceiveTime, load_jump
from penstock.log.received import DAY_NS, Received
from penstock.log.record import LogRecord
from penstock.log.recovery import Recovered, recover
from penstock.log.retention import FILES_KEEP, Departure, Retention
from penstock.log.space import Space, is_full_error
from penstock.log.store import FileStore
from penstock.log.watermark import WATERMARK_NAME, WatermarkPage, open_page
from penstock.model import Batch, Refused

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.codec.dictionary import DictionaryEntry
    from penstock.codec.layout import Buffer
    from penstock.log.config import LogSettings
    from penstock.model import Origin
    from penstock.world import AppendFile, Clock, Disk

log = structlog.get_logger(__name__)
_ATTEMPTS_MAX = 3
_SMALL_RESERVE_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class _Open:
    """The file that grows: `size` bytes of it are durable."""

    name: LogFile
    file: AppendFile
    size: int = 0


class LogWriter:
    """Writes groups; every attribute is changed by the thread that calls `commit` alone."""

    def __init__(
        self,
        folder: Path,
        *,
        disk: Disk,
        clock: Clock,
        origin: Origin,
        settings: LogSettings,
        page: WatermarkPage,
        recovered: Recovered,
    ) -> None:
        self._folder = folder
        self._disk = disk
        self._store = FileStore(folder, disk)
        self.clock = clock
        self._origin = origin
        self._settings = settings
        # Held while sealed files are deleted or swapped; the writer never waits for it.
        self.sealed_lock = threading.Lock()
        self._page = page
        self._open: _Open | None = None
        self._needs_incarnation = True
        self._received = Received(recovered.received.intervals())
        self._receive_ns = recovered.receive_ns
        self._head = Head(recovered.dictionary, origin, recovered.headed)
        self.space = Space(folder, disk, settings.ballast_bytes)
        self.receive_time = ReceiveTime(recovered.receive_ns, load_jump(folder, disk))
        self.retention = Retention(self._store, settings, origin, self.receive_time)
        self.files: tuple[LogFile, ...] = tuple(recovered.files)
        self.sizes = dict(recovered.sizes)
        self.incarnation = recovered.incarnation
        self.durable = recovered.last
        self.is_at_limit = False
        self.syncs = self.write_errors = self.sync_ns = self.sync_ns_max = 0

    @property
    def dictionary(self) -> dict[int, DictionaryEntry]:
        """All durable entries by their handle."""
        return self._head.dictionary

    @property
    def log_bytes(self) -> int:
        """Bytes of all log files."""
        return sum(self.sizes.copy().values())

    def commit(self, entries: list[Entry]) -> Outcome:
        """Write a group durably; each entry is in `written` or in `refused` afterwards.

        An empty group writes the head of a file if none is open.
        """
        outcome = Outcome()
        self.space.check()
        entries = [*self.retention.gaps(self._delete_files()), *entries]
        for _ in range(_ATTEMPTS_MAX):
            entries = self._admit(entries, outcome)
            if not entries and (outcome.refused or self._open is not None):
                return outcome
            try:
                self._write(entries, outcome)
                return outcome
            except OSError as error:
                self._on_error(error)
                refusal = Refused("disk_full", f"The disk refused a write: {error}")
        outcome.refused += [(entry, refusal) for entry in entries]
        return outcome

    def sequence_before(self, size: int) -> int:
        """Behind it lie at least the newest `size` bytes, in whole files."""
        total = 0
        for file in reversed(self.files):
            total += self.sizes.get(file, 0)
            if total >= size:
                return file.first - 1
        return 0

    def statistics(self) -> dict[str, int]:
        """Files, syncs and states."""
        return {
            "incarnation": self.incarnation,
            "files": len(self.files),
            "file_bytes": self.log_bytes,
            "syncs": self.syncs,
            "sync_ns": self.sync_ns,
            "sync_ns_max": self.sync_ns_max,
            "write_errors": self.write_errors,
            "is_retention_paused": int(self.receive_time.is_paused),
            "is_full": int(self.space.is_full or self.is_at_limit),
            "has_ballast": int(self.space.has_ballast),
        }

    def close(self) -> None:
        """Close the file; everything acknowledged is durable already."""
        if self._open is not None:
            self._open.file.close()
            self._open = None

    # --- one attempt

    def _write(self, entries: list[Entry], outcome: Outcome) -> None:
        size = sum(entry.size for entry in entries)
        if self._open is not None and self._must_end(self._open, size):
            self.close()
            self._delete_files()
        now_ns = self.clock.now_ns()
        self.receive_time.note(now_ns, self.clock.monotonic_ns())
        receive_ns = max(self._receive_ns, now_ns)
        buffers: list[Buffer] = []
        has_head = False
        if self._open is None:
            has_head = self._head.is_due(self._received, self.sizes) or self._has_unwanted_head()
            buffers.append(self._begin_file(receive_ns))
        if has_head:
            outcome.folded += self._fold()
            entries = [*self._head.entries(self._received), *entries]
        records = self._encode(entries, receive_ns, buffers)
        assert self._open is not None
        grown = self._open.file.append(buffers)
        self._sync(self._open)
        self._open.size += grown
        if has_head:
            self._head.headed = self._open.name
        self._publish(entries, records, outcome)

    def _must_end(self, file: _Open, size: int) -> bool:
        """The file has no room for so many bytes, or holds records that shall go."""
        is_unwanted = file.name.first <= self.retention.forget_until
        return is_unwanted or file.size + size > self._settings.file_bytes_max

    def _has_unwanted_head(self) -> bool:
        """The newest file with a head shall go: nothing may rest on it."""
        headed = self._head.headed
        return headed is not None and headed.first <= self.retention.forget_until

    def _fold(self) -> list[Origin]:
        """Before a checkpoint repeats them: former lives of senders that are over."""
        today = self.receive_time.now_ns // DAY_NS
        return self._received.fold(today, self._settings.origin_silent_days_max)

    def _begin_file(self, now_ns: int) -> bytes:
        if self._needs_incarnation:
            self.incarnation += 1
            self._needs_incarnation = False
        name = LogFile(self.incarnation, self.durable + 1)
        self.sizes[name] = 0
        self.files = (*self.files, name)
        try:
            self._open = _Open(name, self._disk.append_to(self._folder / name.name))
        except OSError:
            self._remove_file(name)
            raise
        return encode_file_header(LogFileHeader(name.incarnation, name.first, now_ns))

    def _encode(self, entries: list[Entry], now_ns: int, buffers: list[Buffer]) -> list[LogRecord]:
        records: list[LogRecord] = []
        receive_ns, sequence = self._receive_ns, self.durable
        for entry in entries:
            sequence += 1
            wanted = now_ns if entry.receive_ns is None else min(entry.receive_ns, now_ns)
            receive_ns = max(receive_ns, wanted)
            buffers += encode_record(
                entry.kind,
                entry.buffers,
                sequence=sequence,
                receive_ns=receive_ns,
                origin=entry.origin,
                origin_sequence=entry.origin_sequence,
            )
            records.append(LogRecord(sequence, receive_ns, entry.kind, entry.payload, entry.size))
        return records

    def _sync(self, target: _Open) -> None:
        begin = self.clock.monotonic_ns()
        try:
            target.file.sync()
        except OSError:
            self._leave_file()
            raise
        self.syncs += 1
        took = self.clock.monotonic_ns() - begin
        self.sync_ns += took
        self.sync_ns_max = max(self.sync_ns_max, took)

    def _publish(self, entries: list[Entry], records: list[LogRecord], outcome: Outcome) -> None:
        assert self._open is not None
        self.sizes[self._open.name] = self._open.size
        if records:
            self._receive_ns, self.durable = records[-1].receive_ns, records[-1].sequence
        self._page.write(self.incarnation, self.durable, self._open.size)
        for entry, record in zip(entries, records, strict=True):
            self._learn(entry, record.receive_ns)
            outcome.written.append((entry, record.sequence))
        outcome.records += records
        self.retention.note_durable(entries)

    def _learn(self, entry: Entry, receive_ns: int) -> None:
        if isinstance(entry.payload, Batch):
            number = entry.origin_sequence
            self._received.note(entry.origin, number, number, receive_ns // DAY_NS)
        elif entry.kind == RecordKind.DICTIONARY:
            self._head.learn(entry.payload)  # type: ignore[arg-type]

    # --- when the disk says no

    def _on_error(self, error: OSError) -> None:
        self.write_errors += 1
        log.warning("log_write_failed", error=str(error), durable=self.durable)
        self._cut_tail()
        if is_full_error(error) and not self.space.is_full:
            self.space.on_full()

    def _cut_tail(self) -> None:
        """Cut what the failed append left, or leave the file if even that is refused."""
        if self._open is None:
            self._needs_incarnation = True
            return
        if self._open.size == 0:
            self._leave_file()
            return
        try:
            self._open.file.truncate(self._open.size)
        except OSError:
            self._leave_file()

    def _leave_file(self) -> None:
        """Never sync these pages again: cut to the durable size, close, go on elsewhere."""
        target, self._open = self._open, None
        assert target is not None
        self._needs_incarnation = True
        try:
            target.file.truncate(target.size)
        except OSError as error:
            log.warning("log_cut_failed", file=target.name.name, error=str(error))
        target.file.close()
        if target.size == 0:
            self._remove_file(target.name)

    def _remove_file(self, name: LogFile) -> bool:
        """False if the disk refuses: it stays listed, and no newer one may go before it.

        Files that are gone behind one that is there would be records missing at the next
        start, even when that one is the empty left-over of a failed beginning.
        """
        try:
            self._store.remove(name)
        except OSError as error:
            log.warning("log_remove_failed", file=name.name, error=str(error))
            if self._store.is_there(name):
                return False
        self.files = tuple(file for file in self.files if file != name)
        self.sizes.pop(name, None)
        return True

    # --- limits

    def _admit(self, entries: list[Entry], outcome: Outcome) -> list[Entry]:
        room = self._settings.log_bytes_max - self.log_bytes
        if not self.space.is_full and sum(entry.size for entry in entries) <= room:
            self.is_at_limit &= all(entry.is_small for entry in entries)
            return entries
        admitted: list[Entry] = []
        for entry in entries:
            allowed = room + _SMALL_RESERVE_BYTES if entry.is_small else room
            if entry.size > allowed:
                self.is_at_limit = True
                outcome.refused.append((entry, Refused("log_full")))
            elif self.space.is_full and not entry.is_small:
                outcome.refused.append((entry, self.space.refusal()))
            else:
                admitted.append(entry)
                room -= entry.size
        return admitted

    def _delete_files(self) -> list[Departure]:
        """Delete what may go; the rest of what should, because it needs a gap record first."""
        is_small = self.log_bytes <= self._settings.log_bytes_keep
        is_wanted = self.files[:1] and self.files[0].first > self.retention.forget_until
        if len(self.files) < 2 or (is_small and is_wanted and len(self.files) <= FILES_KEEP):
            return []
        if not self.sealed_lock.acquire(blocking=False):
            return []
        try:
            return self._delete_due()
        finally:
            self.sealed_lock.release()

    def _delete_due(self) -> list[Departure]:
        headed = self._head.headed
        files = [file for file in self.files if headed is not None and file <= headed]
        due = self.retention.departures(files, self.sizes.copy(), len(self.files))
        while due and self.retention.may_go(due[0]):
            if not self._remove_file(due[0].file):
                return []
            item = due.pop(0)
            self.retention.note_gone(item)
            log.info("log_file_deleted", file=item.file.name)
        return due


def open_writer(
    folder: Path, disk: Disk, clock: Clock, origin: Origin, settings: LogSettings
) -> tuple[WatermarkPage, LogWriter, Recovered]:
    """Recover the folder; the writer has written nothing yet.

    A start that ended between making a folder and syncing its name left one that a power
    cut can take back with all that is in it.
    """
    disk.make_folder(folder)
    for part in (folder.parent.parent, folder.parent, folder):
        disk.settle(part)
    page = open_page(disk, folder / WATERMARK_NAME)
    recovered = recover(folder, disk, page.read())
    writer = LogWriter(
        folder,
        disk=disk,
        clock=clock,
        origin=origin,
        settings=settings,
        page=page,
        recovered=recovered,
    )
    writer.space.prepare()
    return page, writer, recovered
