"""The durable watermark: 64 bytes of shared memory that tell other processes how far to read.

The page is never synced. After a kill it is exact, after a power cut it may be
older than the files, but never newer: what it names as durable must be there.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from penstock.codec.layout import Damaged
from penstock.codec.log_file import WATERMARK_BYTES, Watermark, decode_watermark, encode_watermark

if TYPE_CHECKING:
    from penstock.world import Disk

WATERMARK_NAME = "watermark"
_TURN = slice(8, 16)
_REST = slice(16, WATERMARK_BYTES)
_READS_MAX = 1000


@runtime_checkable
class MapsPages(Protocol):
    """A disk with shared pages of its own (FakeDisk); others map the real file."""

    def map_page(self, path: Path, size: int) -> memoryview:
        """The page as writable memory, zeroed when it is new."""
        ...


class WatermarkPage:
    """Writer's and reader's view of the page."""

    def __init__(self, page: memoryview | mmap.mmap) -> None:
        self._page = page
        mark = self.read()
        self._turn = mark.turn if mark is not None else 0

    def write(self, incarnation: int, sequence: int, size: int) -> None:
        """Publish; the turn is odd while the fields change."""
        turn = self._turn + 2
        encoded = encode_watermark(Watermark(turn, incarnation, sequence, size))
        self._page[_TURN] = struct.pack("<Q", turn - 1)
        self._page[_REST] = encoded[_REST]
        self._page[:8] = encoded[:8]
        self._page[_TURN] = encoded[_TURN]
        self._turn = turn

    def read(self) -> Watermark | None:
        """The mark at rest; None when there is none yet or it is damaged."""
        for _ in range(_READS_MAX):
            try:
                mark = decode_watermark(bytes(self._page[:WATERMARK_BYTES]))
            except Damaged:
                if not any(self._page[:8]):
                    return None
                continue
            if mark.turn % 2 == 0:
                return mark
        return None

    def close(self) -> None:
        """Unmap."""
        if isinstance(self._page, mmap.mmap):
            self._page.close()


def open_page(disk: Disk, path: Path) -> WatermarkPage:
    """Page of the writer; its block is allocated first, because a full disk kills a mapping."""
    if isinstance(disk, MapsPages):
        return WatermarkPage(disk.map_page(path, WATERMARK_BYTES))
    if not path.exists() or path.stat().st_size != WATERMARK_BYTES:
        disk.write_whole(path, [bytes(WATERMARK_BYTES)])
    with path.open("r+b") as file:
        return WatermarkPage(mmap.mmap(file.fileno(), WATERMARK_BYTES))


def open_page_to_read(path: Path) -> WatermarkPage | None:
    """Page for another process; None until the log has been opened once."""
    if not path.exists() or path.stat().st_size != WATERMARK_BYTES:
        return None
    with path.open("rb") as file:
        return WatermarkPage(mmap.mmap(file.fileno(), WATERMARK_BYTES, access=mmap.ACCESS_READ))
