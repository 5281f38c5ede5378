"""What the log does when the disk is full: new samples are refused, decisions go on.

A ballast file keeps some space aside. It is released when the disk refuses, so that
events, commands and checkpoints can still be written, and set aside again before
batches are taken back.
"""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

from penstock.model import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.world import Disk

BALLAST_NAME = "ballast"
_CHUNK = bytes(1024 * 1024)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_full_error(error: OSError) -> bool:
    """Did the disk refuse for want of space?"""
    return error.errno in _FULL


class Space:
    """Ballast and the state "full", owned by the writer."""

    def __init__(self, folder: Path, disk: Disk, ballast_bytes: int) -> None:
        self._path = folder / BALLAST_NAME
        self._disk = disk
        self._bytes = ballast_bytes
        self.is_full = False

    @property
    def has_ballast(self) -> bool:
        """Is the whole ballast in place?"""
        return not self._bytes or self._size() >= self._bytes

    def prepare(self) -> None:
        """Set the ballast aside if that leaves room to work."""
        if not self.has_ballast and self._has_room():
            self._fill()

    def on_full(self) -> None:
        """Release the ballast."""
        self.is_full = True
        with contextlib.suppress(OSError):
            self._disk.remove(self._path)

    def check(self) -> None:
        """Leave the state "full" once there is room and the ballast is in place again."""
        if self.is_full and self._has_room() and self._fill():
            self.is_full = False

    def refusal(self) -> Refused:
        """What a sender of samples is told meanwhile."""
        return Refused("disk_full")

    def _size(self) -> int:
        try:
            return self._disk.size(self._path)
        except FileNotFoundError:
            return 0

    def _has_room(self) -> bool:
        return self._disk.free_bytes(self._path.parent) >= 2 * self._bytes - self._size()

    def _fill(self) -> bool:
        """Real bytes, because a sparse file sets nothing aside."""
        missing = self._bytes - self._size()
        if missing <= 0:
            return True
        try:
            file = self._disk.append_to(self._path)
        except OSError:
            return False
        try:
            while missing > 0:
                missing -= file.append([_CHUNK[: min(missing, len(_CHUNK))]])
            file.sync()
        except OSError:
            return False
        finally:
            file.close()
        return True
