"""Reading records back from files, for readers that do not keep up with the cache.

Shared by the writing process and by LogTail. Nothing behind the durable sequence
that the caller names is ever decoded.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.codec.layout import Damaged
from penstock.codec.log_file import FILE_HEADER_BYTES
from penstock.codec.record import decode_header
from penstock.log.files import Found, Hole, LogFile, end_of, good_record, scan
from penstock.log.record import LogRecord, decode_payload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.log.store import FileStore

_CHUNK_BYTES = 256 * 1024
_PLACES_MAX = 64


@dataclass(slots=True)
class Reading:
    """Records in order, and the holes that were met between them."""

    records: list[LogRecord] = field(default_factory=list)
    holes: list[tuple[LogFile, Hole]] = field(default_factory=list)
    bytes_read: int = 0
    next: int = 0


class FileReader:
    """Reads spans of sequences; remembers where recent readers stopped."""

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._places: OrderedDict[tuple[LogFile, int], int] = OrderedDict()

    def read(
        self,
        files: Sequence[LogFile],
        after: int,
        durable: int,
        records_max: int,
        bytes_max: int,
    ) -> Reading:
        """Records behind `after` up to `durable`; at least one if there is one."""
        result = Reading(next=after + 1)
        files = list(files)
        for index, file in enumerate(files):
            end = min(end_of(files, index), durable + 1)
            if result.next >= end:
                continue
            if not self._read_file(file, end, result, records_max, bytes_max):
                break
        return result

    def _read_file(
        self, file: LogFile, end: int, result: Reading, records_max: int, bytes_max: int
    ) -> bool:
        """False when a limit was reached; a file that retention took meanwhile is passed by."""
        result.next = max(result.next, file.first)
        offset = 0
        try:
            for item in self.items(file, result.next, end):
                if isinstance(item, Hole):
                    _add_hole(result, file, item)
                    continue
                if item.header.sequence < result.next:
                    continue
                _add_record(result, file, item)
                offset = item.end
                if len(result.records) >= records_max or result.bytes_read >= bytes_max:
                    self._remember(file, result.next, offset)
                    return False
        except FileNotFoundError:
            offset = 0
        result.next = max(result.next, end)
        if offset:
            self._remember(file, result.next, offset)
        return True

    def items(self, file: LogFile, wanted: int, end: int) -> Iterator[Found | Hole]:
        """Walk the file in chunks; at damage the rest is taken in one piece."""
        offset, expected = self._places.get((file, wanted), FILE_HEADER_BYTES), wanted
        if offset == FILE_HEADER_BYTES:
            expected = file.first
        size = _CHUNK_BYTES
        while expected < end:
            data = self._store.read(file, offset, size)
            at = 0
            while expected < end:
                found = good_record(data, at, expected, wanted)
                if found is None or found.header.sequence != expected:
                    break
                yield Found(found.header, found.payload, offset + at, offset + found.end)
                at, expected = found.end, expected + 1
            offset += at
            if at:
                size = _CHUNK_BYTES
            elif len(data) == size and _is_cut(data):
                size = decode_header(data).record_bytes
            else:
                yield from self._rest(file, offset, expected, end, wanted)
                return

    def _rest(
        self, file: LogFile, offset: int, expected: int, end: int, wanted: int
    ) -> Iterator[Found | Hole]:
        data = self._store.read(file, offset)
        for item in scan(data, 0, expected, end, unchecked_below=wanted):
            yield item.shifted(offset)

    def _remember(self, file: LogFile, sequence: int, offset: int) -> None:
        self._places[file, sequence] = offset
        if len(self._places) > _PLACES_MAX:
            self._places.popitem(last=False)


def _add_hole(result: Reading, file: LogFile, hole: Hole) -> None:
    if hole.last >= result.next:
        result.holes.append((file, hole))
        result.next = hole.last + 1


def _add_record(result: Reading, file: LogFile, item: Found) -> None:
    header = item.header
    result.next = header.sequence + 1
    result.bytes_read += item.end - item.offset
    try:
        payload = decode_payload(header, item.payload)
    except Damaged:
        hole = Hole(header.sequence, header.sequence, item.offset, item.end - item.offset)
        result.holes.append((file, hole))
        return
    size = item.end - item.offset
    result.records.append(LogRecord(header.sequence, header.receive_ns, header.kind, payload, size))


def _is_cut(data: bytes) -> bool:
    """Does `data` begin with a good header whose record is longer than the chunk?"""
    try:
        return decode_header(data).record_bytes > len(data)
    except Damaged:
        return False
