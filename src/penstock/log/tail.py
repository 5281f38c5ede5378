"""LogTail: another process of the machine reads the log without asking the one that writes it.

It maps the watermark page and opens the files read-only; it holds nothing, so a
file that retention deletes meanwhile is missing from what it yields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from penstock.log.reader import FileReader
from penstock.log.store import FileStore
from penstock.log.watermark import WATERMARK_NAME, WatermarkPage, open_page_to_read
from penstock.world import Disk, SystemDisk

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.log.files import LogFile
    from penstock.log.record import LogRecord

log = structlog.get_logger(__name__)


class LogTail:
    """Read-only view of a partition that another process writes."""

    def __init__(self, folder: Path, *, disk: Disk | None = None) -> None:
        self._folder = folder
        self._store = FileStore(folder, disk if disk is not None else SystemDisk())
        self._page: WatermarkPage | None = None
        self._reader = FileReader(self._store)
        self._files: list[LogFile] = []
        self._listed_at = -1
        self._holes = 0

    @property
    def durable(self) -> int:
        """Last durable sequence; 0 as long as the log has never been opened."""
        self._page = self._page or open_page_to_read(self._folder / WATERMARK_NAME)
        mark = self._page.read() if self._page is not None else None
        return mark.sequence if mark is not None else 0

    def read(
        self, after: int, records_max: int = 256, bytes_max: int = 8 * 1024 * 1024
    ) -> list[LogRecord]:
        """Durable records behind `after`, in order; holes are left out, counted and logged."""
        durable = self.durable
        if after >= durable:
            return []
        if durable != self._listed_at:
            self._files = self._store.files()
            self._listed_at = durable
        reading = self._reader.read(self._files, after, durable, records_max, bytes_max)
        for file, hole in reading.holes:
            self._holes += 1
            log.warning("log_hole_read", file=file.name, first=hole.first, last=hole.last)
        return reading.records

    def statistics(self) -> dict[str, int]:
        """Counters of this view."""
        return {"durable": self.durable, "holes": self._holes}

    def close(self) -> None:
        """Unmap the page."""
        if self._page is not None:
            self._page.close()
            self._page = None
