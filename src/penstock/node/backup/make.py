"""Making a backup: collect, copy with checksums at a bounded rate, and count it at the end."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock import __version__
from penstock.node.backup.collect import collect
from penstock.node.backup.document import (
    KEYS_NAME,
    NAME,
    BackupDocument,
    BackupFile,
    decode,
    encode,
)
from penstock.node.backup.stage import Stage
from penstock.node.backup.targets import CHUNK_BYTES, open_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from penstock.node.backup.collect import Piece
    from penstock.node.backup.targets import Target
    from penstock.node.home import Home
    from penstock.world import Disk

    Report = Callable[[int, int], None]

MB = 1_000_000
ROOM_BYTES = 16 * MB
_SAMPLE_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted; `base` is an earlier backup's folder, `sealed` what keys.sealed holds.

    `mb_per_s` 0 is no limit.
    """

    to: Path
    base: Path | None = None
    sealed: bytes | None = None
    mb_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Made:
    """The backup; `shared_bytes` of it are hard links to its base."""

    document: BackupDocument
    shared_bytes: int


def make_backup(home: Home, disk: Disk, order: Order, report: Report, *, is_running: bool) -> Made:
    """Write a whole backup, or nothing: OSError (disk full, a name that is there), Damaged.

    While the node runs nothing waits for this; while it is off the caller holds the lock.
    """
    base = _Base(order.base)
    with Stage(home.data) as stage:
        target, is_whole = open_target(order.to), False
        try:
            collected = collect(home, disk, stage, is_running=is_running)
            copier = _Copier(target, base, collected.total_bytes, report, order.mb_per_s)
            files = [copier.copy(piece) for piece in collected.pieces]
            if order.sealed is not None:
                files.append(copier.put(KEYS_NAME, order.sealed))
            document = BackupDocument(
                time.time_ns(),
                __version__,
                collected.node,
                collected.keys,
                collected.state_revision,
                collected.incarnation,
                collected.first_sequence,
                collected.sequence,
                collected.manifest_version,
                collected.history_sequence,
                collected.rows,
                collected.segments,
                base.name if copier.shared_bytes else None,
                order.sealed is not None,
                tuple(sorted(files, key=lambda file: file.path)),
            )
            copier.put(NAME, encode(document))
            target.commit()
            is_whole = True
        finally:
            if not is_whole:
                target.abandon()
    return Made(document, copier.shared_bytes)


class _Base:
    """An earlier backup in a folder; what it has and what never changes is not copied again."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._files: dict[str, BackupFile] = {}
        if folder is not None:
            document = decode((folder / NAME).read_bytes())
            self._files = {file.path: file for file in document.files}

    @property
    def name(self) -> str | None:
        """Of its folder."""
        return None if self._folder is None else self._folder.name

    def find(self, piece: Piece) -> tuple[BackupFile, Path] | None:
        """The same file there, by name, length, head and end.

        Head and end hold the checksums of all that lies between.
        """
        known = self._files.get(piece.path)
        if self._folder is None or known is None or not piece.is_fixed:
            return None
        place = self._folder / piece.path
        if known.bytes != piece.size or not place.is_file():
            return None
        is_same = _sample(place, piece.size) == _sample(piece.source, piece.size)
        return (known, place) if is_same else None


def _sample(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        head = file.read(_SAMPLE_BYTES)
        file.seek(max(0, size - _SAMPLE_BYTES))
        return head + file.read(_SAMPLE_BYTES)


class _Copier:
    def __init__(
        self, target: Target, base: _Base, total: int, report: Report, mb_per_s: float
    ) -> None:
        self._target = target
        self._base = base
        self._total = total
        self._report = report
        self._bytes_per_s = mb_per_s * MB
        self._began = time.monotonic()
        self._done = self._copied = 0
        self.shared_bytes = 0
        report(0, total)

    def copy(self, piece: Piece) -> BackupFile:
        found = self._base.find(piece)
        if found is not None and self._target.share(piece.path, found[1]):
            self.shared_bytes += piece.size
            self._note(piece.size)
            return found[0]
        if self._target.free_bytes() < piece.size + ROOM_BYTES:
            raise OSError(28, "has not enough free space; nothing is left of this backup")
        digest = hashlib.sha256()
        mode = piece.source.stat().st_mode & 0o777
        self._target.add(piece.path, piece.size, mode, self._chunks(piece, digest.update))
        return BackupFile(piece.path, piece.size, digest.hexdigest(), mode)

    def put(self, path: str, data: bytes) -> BackupFile:
        """A file that is in memory."""
        self._target.add(path, len(data), 0o600, iter([data]))
        return BackupFile(path, len(data), hashlib.sha256(data).hexdigest(), 0o600)

    def _chunks(self, piece: Piece, update: Callable[[bytes], None]) -> Iterator[bytes]:
        left = piece.size
        with piece.source.open("rb") as file:
            while left:
                chunk = file.read(min(CHUNK_BYTES, left))
                if not chunk:
                    raise OSError(5, "became shorter while it was copied", str(piece.source))
                update(chunk)
                left -= len(chunk)
                yield chunk
                self._copied += len(chunk)
                self._note(len(chunk))
                self._pace()

    def _note(self, size: int) -> None:
        self._done += size
        self._report(self._done, self._total)

    def _pace(self) -> None:
        if self._bytes_per_s:
            ahead_s = self._copied / self._bytes_per_s - (time.monotonic() - self._began)
            if ahead_s > 0:
                time.sleep(ahead_s)
