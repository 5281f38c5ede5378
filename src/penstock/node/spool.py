"""Spool: big results on their way from compute to core, as files below `data/spool`.

A file lives from its question to the end of its answer, under its name, so that it is
counted; whatever a start finds there belongs to nobody any more. When the disk gets
short, it is the first thing that goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from penstock.log import reserve
from penstock.model import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.world import Disk

FOLDER = "spool"
BYTES_MAX = 2 * 1024 * 1024 * 1024


class Spool:
    """The folder and its limit; used by both ends."""

    def __init__(self, disk: Disk, data: Path, bytes_max: int = BYTES_MAX) -> None:
        self.folder = data / FOLDER
        self.bytes_max = bytes_max
        self._disk = disk

    def clear(self) -> None:
        """At a start: make the folder and remove what is in it."""
        self._disk.make_folder(self.folder)
        for name in self._disk.list(self.folder):
            self._disk.remove(self.folder / name)

    def check_room(self) -> None:
        """Refused("busy") while the folder is full, "disk_full" while the disk is short."""
        self.check_disk()
        if self.used_bytes() >= self.bytes_max:
            raise Refused("busy", "Other results are still being fetched.")

    def new_path(self, suffix: str) -> Path:
        """A name that nobody has had; Refused as `check_room` does."""
        self.check_room()
        return self.folder / f"{uuid4()}{suffix}"

    def free_bytes(self) -> int:
        """What may still be written: by the folder's limit, and without the log's reserve."""
        left = self.bytes_max - self.used_bytes()
        return max(0, min(left, reserve.room(self._disk, self.folder)))

    @property
    def is_short(self) -> bool:
        """The log has nothing left but its reserve."""
        return not reserve.room(self._disk, self.folder)

    def check_disk(self) -> None:
        """Refused("disk_full") while the disk is short; a writer asks now and then."""
        reserve.check_room(self._disk, self.folder)

    def used_bytes(self) -> int:
        """Bytes of all files."""
        used = 0
        for name in self._disk.list(self.folder):
            try:
                used += self._disk.size(self.folder / name)
            except FileNotFoundError:
                continue  # fetched meanwhile
        return used
