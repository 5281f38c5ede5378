"""Reserve: the free space that nobody but the log may use.

The log keeps a ballast for its decisions, but samples need room as well: whoever else
fills the disk stops the plant's data. So every other writer asks here, before it begins
and while it writes; what only leaves less behind than it found (compressing, expiring)
may go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.model import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.world import Disk

RESERVE_BYTES = 256 * 1024 * 1024


def room(disk: Disk, folder: Path) -> int:
    """Bytes that may be written in the folder's file system without touching the reserve."""
    return max(0, disk.free_bytes(folder) - RESERVE_BYTES)


def check_room(disk: Disk, folder: Path, size: int = 1) -> None:
    """Refused("disk_full") if `size` more bytes would touch the reserve."""
    if room(disk, folder) < size:
        kept = RESERVE_BYTES // 2**20
        raise Refused("disk_full", f"The last {kept} MiB of the disk are kept for the log.")
