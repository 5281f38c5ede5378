"""Receipts: which log record had come in by which time, for questions `as_of` a time.

One mark a minute of received data, in the file `receipts` beside the segments: i64 time,
u64 sequence, u32 crc of both, u32 zero; times and sequences only grow. A clock that was set
back repeats the newest time until it has caught up. A mark is written with the flush
that makes its rows durable; whatever is newer comes again from the log.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import TYPE_CHECKING

from penstock.codec.layout import crc
from penstock.model.time import MINUTE_NS, TIME_NS_MIN

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.world import Disk

NAME = "receipts"
_MARK = struct.Struct("<qQII")
_PAYLOAD = 16


class Receipts:
    """Marks of one log; `note`, `cut` and `sequence_at` belong to the event loop, `save` not."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self._path = folder / NAME
        self._fresh: list[tuple[int, int]] = []
        self._newest_ns = TIME_NS_MIN
        self._next_ns = TIME_NS_MIN
        self._saved = self._whole_marks()
        if self._saved:
            self._go_on_from(self._mark(self._saved - 1)[0])

    def note(self, receive_ns: int, sequence: int) -> None:
        """Log record `sequence` came in at that time."""
        self._newest_ns = max(self._newest_ns, receive_ns)
        if self._newest_ns >= self._next_ns:
            self._fresh.append((self._newest_ns, sequence))
            self._next_ns = self._newest_ns + MINUTE_NS

    def cut(self, sequence: int) -> None:
        """Forget marks behind a log record: the log will give them again, or lost them."""
        self._fresh = [mark for mark in self._fresh if mark[1] <= sequence]
        low, high = 0, self._saved
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._mark(middle)[1] <= sequence else (low, middle)
        if low < self._saved:
            self._truncate(low)
        newest = self._fresh[-1] if self._fresh else self._mark(low - 1) if low else None
        self._newest_ns = self._next_ns = TIME_NS_MIN
        if newest is not None:
            self._go_on_from(newest[0])

    def save(self) -> None:
        """Write the fresh marks durably. OSError: try again."""
        marks = list(self._fresh)
        if not marks:
            return
        file = self._disk.append_to(self._path)
        try:
            # What a full disk cut off the last time would shift all that follow.
            if self._disk.size(self._path) != self._saved * _MARK.size:
                file.truncate(self._saved * _MARK.size)
            file.append([_encode(*mark) for mark in marks])
            file.sync()
        finally:
            file.close()
        self._saved += len(marks)
        del self._fresh[: len(marks)]

    def sequence_at(self, time_ns: int) -> int | None:
        """The newest marked log record that had come in by then, 0 if none had; None: all have."""
        if time_ns >= self._newest_ns:
            return None
        fresh = self._fresh
        if fresh and fresh[0][0] <= time_ns:
            return fresh[bisect_right(fresh, time_ns, key=lambda mark: mark[0]) - 1][1]
        low, high = 0, self._saved
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._mark(middle)[0] <= time_ns else (low, middle)
        return self._mark(low - 1)[1] if low else 0

    def _go_on_from(self, time_ns: int) -> None:
        self._newest_ns, self._next_ns = time_ns, time_ns + MINUTE_NS

    def _mark(self, number: int) -> tuple[int, int]:
        data = self._disk.read(self._path, number * _MARK.size, _MARK.size)
        time_ns, sequence, _, _ = _MARK.unpack(data)
        return time_ns, sequence

    def _whole_marks(self) -> int:
        """Marks in the file; a torn or damaged end is cut off."""
        if NAME not in self._disk.list(self._path.parent):
            return 0
        size = self._disk.size(self._path)
        count = size // _MARK.size
        while count and not self._is_whole(count - 1):
            count -= 1
        if count * _MARK.size != size:
            self._truncate(count)
        return count

    def _is_whole(self, number: int) -> bool:
        data = self._disk.read(self._path, number * _MARK.size, _MARK.size)
        return len(data) == _MARK.size and _encode(*_MARK.unpack(data)[:2]) == data

    def _truncate(self, count: int) -> None:
        file = self._disk.append_to(self._path)
        try:
            file.truncate(count * _MARK.size)
        finally:
            file.close()
        self._saved = count


def _encode(time_ns: int, sequence: int) -> bytes:
    head = struct.pack("<qQ", time_ns, sequence)
    assert len(head) == _PAYLOAD
    return head + struct.pack("<II", crc(head), 0)
