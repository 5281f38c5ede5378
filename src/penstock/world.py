"""The outside world as it is injected everywhere: clock and disk.

A seeded simulation replaces both, so that a power cut between two system calls
is a test of a few milliseconds. Whoever calls time.time() or open() on the data
path has left the simulation and will be found by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Buffer = bytes | bytearray | memoryview


class Clock(Protocol):
    """UTC and monotonic time in integer nanoseconds."""

    def now_ns(self) -> int:
        """UTC, may jump."""
        ...

    def monotonic_ns(self) -> int:
        """Never jumps, has no relation to UTC."""
        ...

    async def wait_until(self, monotonic_ns: int) -> None:
        """Return when the monotonic clock has reached `monotonic_ns`."""
        ...


class AppendFile(Protocol):
    """A file that only grows at its end, except for a cut of its torn tail."""

    def append(self, buffers: Sequence[Buffer]) -> int:
        """Write all buffers at the end; the number of bytes. OSError when the disk refuses."""
        ...

    def sync(self) -> None:
        """Return when everything appended so far survives a power cut (fdatasync)."""
        ...

    def truncate(self, size: int) -> None:
        """Cut to `size` bytes and sync."""
        ...

    def close(self) -> None:
        """Close without syncing."""
        ...


class Disk(Protocol):
    """The few file operations that durability rests on."""

    def make_folder(self, path: Path) -> None:
        """Make the folder and its parents durably; it may be there already."""
        ...

    def list(self, folder: Path) -> list[str]:
        """Names in the folder, sorted; empty when there is no folder."""
        ...

    def size(self, path: Path) -> int:
        """Bytes of the file; FileNotFoundError."""
        ...

    def append_to(self, path: Path) -> AppendFile:
        """Open for appending; a new file's name is durable when this returns."""
        ...

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        """Up to `size` bytes from `offset` (all the rest if negative)."""
        ...

    def write_whole(self, path: Path, buffers: Sequence[Buffer]) -> None:
        """Replace the file atomically and durably (temporary file, sync, rename, sync folder)."""
        ...

    def remove(self, path: Path) -> None:
        """Remove the file durably; it may be gone already."""
        ...

    def free_bytes(self, path: Path) -> int:
        """Free space of the file system for an ordinary user."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ns(self) -> int:
        """UTC of the operating system."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    async def wait_until(self, monotonic_ns: int) -> None:
        """Sleep on the event loop; returns at once for a moment that has passed."""
        await asyncio.sleep(max(0, monotonic_ns - time.monotonic_ns()) / 1e9)


_IOV_MAX = 1024


class SystemAppendFile:
    """A POSIX file descriptor opened with O_APPEND."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def append(self, buffers: Sequence[Buffer]) -> int:
        """Write all buffers; a partial write is continued, so that an error means the disk."""
        pending = [memoryview(buffer).cast("B") for buffer in buffers if len(buffer)]
        total = 0
        while pending:
            written = os.writev(self._file, pending[:_IOV_MAX])
            total += written
            while pending and written >= len(pending[0]):
                written -= len(pending.pop(0))
            if written:
                pending[0] = pending[0][written:]
        return total

    def sync(self) -> None:
        """fdatasync, or F_FULLFSYNC where that is what reaches the medium (macOS)."""
        _sync_data(self._file)

    def truncate(self, size: int) -> None:
        """Cut to `size` bytes and sync."""
        os.ftruncate(self._file, size)
        os.fsync(self._file)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._file)


class SystemDisk:
    """The machine's file system."""

    def make_folder(self, path: Path) -> None:
        """Make the folder and its parents with mode 0700 and sync the parent."""
        if path.is_dir():
            return
        self.make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(path.parent)

    def list(self, folder: Path) -> list[str]:
        """Sorted names; empty when there is no folder."""
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []

    def size(self, path: Path) -> int:
        """Bytes of the file."""
        return path.stat().st_size

    def append_to(self, path: Path) -> SystemAppendFile:
        """Open for appending; syncs the folder when the file is new."""
        is_new = not path.exists()
        file = SystemAppendFile(path)
        if is_new:
            _sync_folder(path.parent)
        return file

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        """Read a span of the file."""
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def write_whole(self, path: Path, buffers: Sequence[Buffer]) -> None:
        """Temporary file, sync, rename, sync of the folder."""
        temporary = path.with_name(path.name + ".tmp")
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        file = SystemAppendFile(temporary)
        try:
            file.append(buffers)
            file.sync()
        finally:
            file.close()
        temporary.replace(path)
        _sync_folder(path.parent)

    def remove(self, path: Path) -> None:
        """Remove and sync the folder."""
        path.unlink(missing_ok=True)
        _sync_folder(path.parent)

    def free_bytes(self, path: Path) -> int:
        """Free space of the file system."""
        return shutil.disk_usage(path).free


def _sync_data(file: int) -> None:
    if hasattr(os, "fdatasync"):
        os.fdatasync(file)
        return
    fcntl.fcntl(file, fcntl.F_FULLFSYNC)  # type: ignore[attr-defined,unused-ignore]


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
