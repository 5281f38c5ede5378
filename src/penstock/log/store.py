"""The files of a partition in either form: plain, or rewritten compressed once they are sealed.

Both give the same bytes at the same offsets, so that nobody else has to know which one
it is. The plain file counts as long as it is there: it goes only when the other is durable.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from penstock.codec.layout import Damaged
from penstock.codec.log_archive import (
    ARCHIVE_HEADER_BYTES,
    BLOCK_HEADER_BYTES,
    Block,
    decode_archive_header,
    decode_block,
    decode_index,
    search_blocks,
)
from penstock.log.files import LogFile, hole_bytes, log_files

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.log.files import Hole
    from penstock.world import Disk

log = structlog.get_logger(__name__)
_ARCHIVES_MAX = 16
_BLOCKS_MAX = 3


@dataclass(frozen=True, slots=True)
class _Archive:
    """Where each block of a compressed file lies; `places` by plain offset."""

    places: list[tuple[int, Block]]
    starts: list[int]
    plain_bytes: int

    def overlapping(self, begin: int, end: int) -> list[tuple[int, Block]]:
        """Blocks with bytes of the plain span."""
        first = max(0, bisect_right(self.starts, begin) - 1)
        found = []
        for place in self.places[first:]:
            if place[1].plain_offset >= end:
                break
            if place[1].plain_offset + place[1].plain_bytes > begin:
                found.append(place)
        return found


class FileStore:
    """Reads, lists and removes log files of both forms; not shared between threads."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.folder = folder
        self.disk = disk
        self.damaged_blocks = 0
        self._archives: OrderedDict[LogFile, _Archive] = OrderedDict()
        self._blocks: OrderedDict[tuple[LogFile, int], bytes] = OrderedDict()

    def files(self) -> list[LogFile]:
        """All files, in the order of their records."""
        return log_files(self.disk.list(self.folder))

    def clean(self) -> None:
        """At the start: finish or undo what a crash has left between the two forms."""
        names = set(self.disk.list(self.folder))
        for name in names:
            is_second = name.endswith(".logz") and name.removesuffix("z") in names
            if name.endswith((".logz.new", ".logz.new.tmp", ".logz.tmp")) or is_second:
                self.disk.remove(self.folder / name)

    def is_there(self, file: LogFile) -> bool:
        """One of its forms is."""
        return self._has(file.name) or self._has(file.compressed_name)

    def is_compressed(self, file: LogFile) -> bool:
        """Only the compressed form is there."""
        try:
            self.disk.size(self.folder / file.name)
        except FileNotFoundError:
            return True
        return False

    def stored_bytes(self, file: LogFile) -> int:
        """What it takes on the disk; FileNotFoundError."""
        with contextlib.suppress(FileNotFoundError):
            return self.disk.size(self.folder / file.name)
        return self.disk.size(self.folder / file.compressed_name)

    def size(self, file: LogFile) -> int:
        """Bytes of its plain form; FileNotFoundError."""
        with contextlib.suppress(FileNotFoundError):
            return self.disk.size(self.folder / file.name)
        return self._archive(file).plain_bytes

    def read(self, file: LogFile, offset: int = 0, size: int = -1) -> bytes:
        """Up to `size` plain bytes from `offset`; zeros stand for a block that is damaged.

        FileNotFoundError when neither form is there (any more).
        """
        if file not in self._archives:
            with contextlib.suppress(FileNotFoundError):
                return self.disk.read(self.folder / file.name, offset, size)
        archive = self._archive(file)
        end = archive.plain_bytes if size < 0 else min(offset + size, archive.plain_bytes)
        parts, at = [], offset
        for place, block in archive.overlapping(offset, end):
            parts.append(bytes(max(0, block.plain_offset - at)))
            begin = max(at, block.plain_offset) - block.plain_offset
            parts.append(self._block(file, place, block)[begin : end - block.plain_offset])
            at = block.plain_offset + begin + len(parts[-1])
        parts.append(bytes(max(0, end - at)))
        return b"".join(parts)

    def hole_bytes(self, file: LogFile, hole: Hole) -> bytes:
        """What lies in a hole: damaged bytes as they are stored."""
        if not self.is_compressed(file):
            return hole_bytes(self.disk.read(self.folder / file.name), hole)
        archive, stored = self._archive(file), []
        end = archive.plain_bytes if hole.size < 0 else hole.offset + hole.size
        for place, block in archive.overlapping(hole.offset, end):
            if place >= 0 and not self._block(file, place, block).strip(b"\0"):
                stored.append(self._stored(file, place, block))
        return b"".join(stored) or hole_bytes(self.read(file), hole)

    def remove(self, file: LogFile) -> None:
        """Both forms go, the plain one first, so that a crash leaves a file that is whole."""
        self.disk.remove(self.folder / file.name)
        if self._archives.pop(file, None) or self._has(file.compressed_name):
            self.disk.remove(self.folder / file.compressed_name)

    def _has(self, name: str) -> bool:
        try:
            self.disk.size(self.folder / name)
        except FileNotFoundError:
            return False
        return True

    def _archive(self, file: LogFile) -> _Archive:
        found = self._archives.get(file)
        if found is None:
            found = self._load(file)
            self._archives[file] = found
            if len(self._archives) > _ARCHIVES_MAX:
                self._archives.popitem(last=False)
        return found

    def _load(self, file: LogFile) -> _Archive:
        path = self.folder / file.compressed_name
        try:
            header = decode_archive_header(self.disk.read(path, 0, ARCHIVE_HEADER_BYTES))
            size = header.blocks * BLOCK_HEADER_BYTES
            places = decode_index(header, self.disk.read(path, ARCHIVE_HEADER_BYTES, size))
        except Damaged as error:
            log.warning("log_index_damaged", file=path.name, error=str(error))
            places = search_blocks(self.disk.read(path))
        end = max((block.plain_offset + block.plain_bytes for _, block in places), default=0)
        return _Archive(places, [block.plain_offset for _, block in places], end)

    def _stored(self, file: LogFile, place: int, block: Block) -> bytes:
        return self.disk.read(self.folder / file.compressed_name, place, block.stored_bytes)

    def _block(self, file: LogFile, place: int, block: Block) -> bytes:
        """Decoded bytes, kept for the next reader of them."""
        key = (file, block.plain_offset)
        found = self._blocks.get(key)
        if found is None:
            found = self._decode(file, place, block)
            self._blocks[key] = found
            if len(self._blocks) > _BLOCKS_MAX:
                self._blocks.popitem(last=False)
        return found

    def _decode(self, file: LogFile, place: int, block: Block) -> bytes:
        try:
            return decode_block(block, self._stored(file, place, block) if place >= 0 else b"")
        except Damaged as error:
            self.damaged_blocks += 1
            name, sequence = file.compressed_name, block.sequence
            log.warning("log_block_damaged", file=name, sequence=sequence, error=str(error))
            return bytes(block.plain_bytes)
