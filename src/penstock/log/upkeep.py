"""Upkeep: sealed files that are still kept become compressed ones, one at a time.

Another process does the work and writes a proposal; what is decided here is which file,
and the swap. Neither ever makes the writer wait: it skips a deletion while a swap is on.
"""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import structlog

from penstock.codec.layout import Damaged
from penstock.codec.log_archive import (
    ARCHIVE_HEADER_BYTES,
    BLOCK_HEADER_BYTES,
    body_of,
    decode_archive_header,
    decode_index,
)
from penstock.codec.log_file import FILE_HEADER_BYTES, decode_file_header
from penstock.log.compress import PROPOSAL, compress_file
from penstock.log.files import end_of
from penstock.log.store import FileStore
from penstock.model import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from penstock.log.compress import Compressed
    from penstock.log.config import LogSettings
    from penstock.log.files import LogFile
    from penstock.log.writer import LogWriter
    from penstock.world import Clock, Disk

    Compress = Callable[[LogFile, int], Awaitable[Compressed]]

log = structlog.get_logger(__name__)
PERIOD_NS = 10 * 1_000_000_000
# Nothing is wrong with the file: ask again in the next period.
_LATER = frozenset({"compute_away", "busy", "cancelled", "too_slow", "disk_full"})
# A proposal and its copy, at worst as large as the file itself.
_ROOM_FILES = 2


class Upkeep:
    """Chooses, has compressed, adopts. Made with the log; `run` is a task of core."""

    def __init__(
        self, folder: Path, disk: Disk, settings: LogSettings, writer: LogWriter, clock: Clock
    ) -> None:
        self._folder = folder
        self._disk = disk
        self._settings = settings
        self._writer = writer
        self._clock = clock
        self._done: set[LogFile] = set()
        self.compressed_files = self.saved_bytes = self.failures = 0

    async def run(self, compress: Compress) -> None:
        """For ever; `compress` does the work somewhere (Refused: later)."""
        while True:
            while await self.step(compress):
                continue
            await self._clock.wait_until(self._clock.monotonic_ns() + PERIOD_NS)

    async def step(self, compress: Compress) -> bool:
        """One file; False when there is none now, or when it could not be done."""
        chosen = await asyncio.to_thread(self.choose)
        if chosen is None:
            return False
        try:
            proposal = await compress(*chosen)
            await asyncio.to_thread(self.adopt, proposal, chosen[1])
        except (OSError, Damaged, Refused) as error:
            if isinstance(error, Refused) and error.code in _LATER:
                return False
            self.failures += 1
            self._done.add(chosen[0])
            log.warning("log_compress_failed", file=chosen[0].name, error=str(error))
            return False
        return True

    async def in_thread(self, file: LogFile, end: int) -> Compressed:
        """The work in a thread of this process, where there is no other."""
        return await asyncio.to_thread(compress_file, self._disk, self._folder, file, end)

    def choose(self) -> tuple[LogFile, int] | None:
        """Oldest sealed file that is due, and the sequence at which it ends."""
        writer = self._writer
        if not self._settings.compress or writer.space.is_full:
            return None
        files = writer.files
        self._done.intersection_update(files)
        for index, (file, following) in enumerate(pairwise(files)):
            if file in self._done:
                continue
            try:
                size = self._disk.size(self._folder / file.name)
                if size <= FILE_HEADER_BYTES:
                    self._done.add(file)
                    continue
            except FileNotFoundError:
                self._done.add(file)
                continue
            if not self._is_due(following):
                return None
            if self._disk.free_bytes(self._folder) < _ROOM_FILES * size:
                return None
            return file, end_of(files, index)
        return None

    def adopt(self, proposal: Compressed, end: int) -> None:
        """Swap the file for its proposal; Damaged if that is not what was asked for."""
        file = proposal.file
        self._done.add(file)
        if not proposal.is_smaller:
            return
        path = self._folder / (file.compressed_name + PROPOSAL)
        data = self._disk.read(path)
        check_archive(data, file, end, proposal.plain_bytes)
        with self._writer.sealed_lock:
            if file in self._writer.files:
                self._disk.write_whole(self._folder / file.compressed_name, [data])
                self._disk.remove(self._folder / file.name)
                self._writer.sizes[file] = len(data)
                self.compressed_files += 1
                self.saved_bytes += proposal.plain_bytes - len(data)
        self._disk.remove(path)
        log.info("log_file_compressed", file=file.name, to_bytes=len(data))

    def statistics(self) -> dict[str, int]:
        """Counters since the start."""
        return {
            "compressed_files": self.compressed_files,
            "compress_saved_bytes": self.saved_bytes,
            "compress_failures": self.failures,
        }

    def _is_due(self, following: LogFile) -> bool:
        """The file was sealed when the next one began; a clock set back makes nothing wait."""
        begin = FileStore(self._folder, self._disk).read(following, 0, FILE_HEADER_BYTES)
        try:
            age_ns = self._clock.now_ns() - decode_file_header(begin).created_ns
        except Damaged:
            return True
        return not 0 <= age_ns < self._settings.compress_after_s * 1e9


def check_archive(data: bytes, file: LogFile, end: int, plain_bytes: int) -> None:
    """Damaged unless `data` is the whole compressed form of the file, by every checksum."""
    header = decode_archive_header(data)
    found = (header.incarnation, header.first, header.last + 1, header.plain_bytes)
    if found != (file.incarnation, file.first, end, plain_bytes):
        raise Damaged(f"{file.compressed_name} is about another file: {found}")
    behind = ARCHIVE_HEADER_BYTES + header.blocks * BLOCK_HEADER_BYTES
    for place, block in decode_index(header, data[ARCHIVE_HEADER_BYTES:behind]):
        body_of(block, data[place : place + block.stored_bytes])
