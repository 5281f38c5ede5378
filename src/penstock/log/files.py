"""Names and order of log files, and the walk over the bytes of one.

A file's records end where the next file begins, whatever lies behind that: a tail
whose sync failed is written again, under the same sequences, into the next file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from penstock.codec.layout import Damaged
from penstock.codec.record import RecordHeader, decode_header, find_magic, payload_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NAME = re.compile(r"^(\d{8})-(\d{20})\.logz?$")
_ALIGNMENT = 8
SEQUENCE_END = 2**64


@dataclass(frozen=True, slots=True, order=True)
class LogFile:
    """A log file by what its name says."""

    incarnation: int
    first: int

    @property
    def name(self) -> str:
        """`<incarnation, 8 digits>-<first sequence, 20 digits>.log`."""
        return f"{self.incarnation:08d}-{self.first:020d}.log"

    @property
    def compressed_name(self) -> str:
        """The same, rewritten compressed: `….logz`."""
        return f"{self.name}z"


@dataclass(frozen=True, slots=True)
class Found:
    """A good record; `end` is the offset behind it."""

    header: RecordHeader
    payload: memoryview
    offset: int
    end: int

    def shifted(self, by: int) -> Found:
        """The same record where its bytes were a part of more bytes."""
        return replace(self, offset=self.offset + by, end=self.end + by)


@dataclass(frozen=True, slots=True)
class Hole:
    """Records `first` to `last` are missing; `size` damaged bytes at `offset` stand for them.

    `last` is `first - 1` where nothing says that a record is missing (a torn tail).
    """

    first: int
    last: int
    offset: int
    size: int

    def shifted(self, by: int) -> Hole:
        """The same hole where its bytes were a part of more bytes."""
        return replace(self, offset=self.offset + by)


def log_files(names: Iterable[str]) -> list[LogFile]:
    """The log files among `names`, of either form, in the order of their records."""
    matches = (_NAME.match(name) for name in names)
    return sorted({LogFile(int(match[1]), int(match[2])) for match in matches if match})


def end_of(files: list[LogFile] | tuple[LogFile, ...], index: int) -> int:
    """First sequence that no longer belongs to file `index`."""
    return min((file.first for file in files[index + 1 :]), default=SEQUENCE_END)


def scan(
    data: bytes, offset: int, expected: int, end: int, *, unchecked_below: int = 0
) -> Iterator[Found | Hole]:
    """Records `expected` to `end - 1` of a whole file from `offset`, and what is missing.

    Payloads of records below `unchecked_below` are not verified (they are skipped).
    """
    while expected < end and offset < len(data):
        begin = offset
        found = good_record(data, offset, expected, unchecked_below)
        if found is None:
            found = _next_good_record(data, _behind(data, offset), expected, end)
        if found is None:
            yield Hole(expected, (end if end < SEQUENCE_END else expected) - 1, begin, -1)
            return
        if found.header.sequence > expected or found.offset > begin:
            last = min(found.header.sequence, end) - 1
            yield Hole(expected, last, begin, found.offset - begin)
        if found.header.sequence >= end:
            return
        yield found
        offset, expected = found.end, found.header.sequence + 1
    if expected < end < SEQUENCE_END:
        yield Hole(expected, end - 1, min(offset, len(data)), 0)


def good_record(data: bytes, offset: int, expected: int, unchecked_below: int = 0) -> Found | None:
    """The record at `offset` if it is whole and not older than `expected`."""
    try:
        header = decode_header(data, offset)
        if header.sequence < expected:
            return None
        end = offset + header.record_bytes
        if header.sequence < unchecked_below and end <= len(data):
            return Found(header, memoryview(b""), offset, end)
        return Found(header, payload_of(header, data, offset), offset, end)
    except Damaged:
        return None


def hole_bytes(data: bytes, hole: Hole) -> bytes:
    """The damaged bytes of a hole; all the rest of the file where its end is unknown."""
    size = len(data) - hole.offset if hole.size < 0 else hole.size
    return data[hole.offset : hole.offset + size]


def _behind(data: bytes, offset: int) -> int:
    """Where to search on: a good header still tells the length of its damaged payload."""
    try:
        return offset + decode_header(data, offset).record_bytes
    except Damaged:
        return offset + _ALIGNMENT


def _next_good_record(data: bytes, offset: int, expected: int, end: int) -> Found | None:
    """Behind damage a record counts only if its sequence fits: a payload may hold such bytes."""
    at = find_magic(data, offset)
    while at >= 0:
        found = good_record(data, at, expected)
        if found is not None and found.header.sequence < end:
            return found
        at = find_magic(data, at + _ALIGNMENT)
    return None
