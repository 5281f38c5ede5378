"""Newest records in memory: a reader that keeps up never touches a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.log.record import LogRecord


class RecordCache:
    """A run of records without holes, bounded by bytes; the oldest goes first."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._records: dict[int, LogRecord] = {}
        self._first = 0
        self.size = 0

    def add(self, records: list[LogRecord]) -> None:
        """Append; a run that does not follow on replaces what is there."""
        if not records:
            return
        if self._first + len(self._records) != records[0].sequence:
            self._records.clear()
            self._first, self.size = records[0].sequence, 0
        for record in records:
            self._records[record.sequence] = record
            self.size += record.record_bytes
        while self.size > self._bytes_max:
            self.size -= self._records.pop(self._first).record_bytes
            self._first += 1

    def read(self, after: int, records_max: int, bytes_max: int) -> list[LogRecord] | None:
        """Records behind `after`; None if the cache does not reach back so far."""
        if not self._records or after + 1 < self._first:
            return None
        found: list[LogRecord] = []
        size = 0
        record = self._records.get(after + 1)
        while record is not None and len(found) < records_max and size < bytes_max:
            found.append(record)
            size += record.record_bytes
            record = self._records.get(record.sequence + 1)
        return found
