"""The outside world as it is injected everywhere: clock and disk.

A seeded simulation replaces both, so that a power cut between two system calls
is a test of a few milliseconds. Whoever calls time.time() or open() on the data
path has left the simulation and will be found by it. What a disk promises
(`SystemDisk`) stands apart from the system calls it makes (`FileCalls`), because the
order of those calls is what the promise rests on, and it has to be tried as well.
"""

from __future__ import annotations

import asyncio
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

    def settle(self, folder: Path) -> None:
        """Make the names in the folder durable, as they are now.

        A process whose sync of the folder failed leaves names that the next one can see
        and a power cut can take back: settle before anything rests on them.
        """
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

    def renew(self, path: Path, offset: int) -> None:
        """Write the bytes from `offset` again and sync them.

        After a failed sync the kernel may take pages for clean that have not reached the
        medium; whoever reads them later cannot tell, and no further sync would help.
        """
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


class FileCalls(Protocol):
    """System calls on files; none of them promises durability but the two syncs."""

    def open_to_append(self, path: Path) -> int:
        """Descriptor of the file, which is made if it is not there."""
        ...

    def write(self, file: int, buffers: Sequence[Buffer]) -> int:
        """Append by writev; the number of bytes, which may be fewer than were given."""
        ...

    def sync(self, file: int) -> None:
        """fdatasync: bytes and size survive a power cut; the name does not yet."""
        ...

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        """Replace bytes that are there."""
        ...

    def cut(self, file: int, size: int) -> None:
        """The call ftruncate."""
        ...

    def sync_whole(self, file: int) -> None:
        """fsync: also what reading the bytes does not need."""
        ...

    def close(self, file: int) -> None:
        """Close without syncing."""
        ...

    def sync_folder(self, path: Path) -> None:
        """Names that were made, replaced or removed in the folder survive a power cut."""
        ...

    def make_folder(self, path: Path) -> None:
        """Make it with mode 0700; it may be there already."""
        ...

    def replace(self, path: Path, target: Path) -> None:
        """Give the file another name, in place of whatever has it."""
        ...

    def remove(self, path: Path) -> None:
        """unlink; it may be gone already."""
        ...

    def is_there(self, path: Path) -> bool:
        """Is there a file or folder of this name?"""
        ...

    def names(self, folder: Path) -> list[str]:
        """Names in the folder, sorted; empty when there is none."""
        ...

    def size(self, path: Path) -> int:
        """Bytes of the file; FileNotFoundError."""
        ...

    def read(self, path: Path, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` (all the rest if negative)."""
        ...

    def free_bytes(self, path: Path) -> int:
        """Free space for an ordinary user."""
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


class SystemCalls:
    """The operating system's."""

    def open_to_append(self, path: Path) -> int:
        """O_APPEND, for the owner alone."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, file: int, buffers: Sequence[Buffer]) -> int:
        """One writev."""
        return os.writev(file, buffers[:_IOV_MAX])

    def sync(self, file: int) -> None:
        """fdatasync, or F_FULLFSYNC where that is what reaches the medium (macOS)."""
        if hasattr(os, "fdatasync"):
            os.fdatasync(file)
            return
        fcntl.fcntl(file, fcntl.F_FULLFSYNC)  # type: ignore[attr-defined,unused-ignore]

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        """By a descriptor of its own: with O_APPEND, Linux appends whatever the offset is."""
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            while data:
                written = os.pwrite(file, data, offset)
                offset, data = offset + written, data[written:]
        finally:
            os.close(file)

    def cut(self, file: int, size: int) -> None:
        """The call ftruncate."""
        os.ftruncate(file, size)

    def sync_whole(self, file: int) -> None:
        """The call fsync."""
        os.fsync(file)

    def close(self, file: int) -> None:
        """Give the descriptor back."""
        os.close(file)

    def sync_folder(self, path: Path) -> None:
        """The call fsync on the folder itself."""
        folder = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def make_folder(self, path: Path) -> None:
        """Mode 0700."""
        path.mkdir(mode=0o700, exist_ok=True)

    def replace(self, path: Path, target: Path) -> None:
        """The call rename."""
        path.replace(target)

    def remove(self, path: Path) -> None:
        """The call unlink."""
        path.unlink(missing_ok=True)

    def is_there(self, path: Path) -> bool:
        """The call stat."""
        return path.exists()

    def names(self, folder: Path) -> list[str]:
        """Sorted; empty when there is no folder."""
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []

    def size(self, path: Path) -> int:
        """Bytes of the file."""
        return path.stat().st_size

    def read(self, path: Path, offset: int, size: int) -> bytes:
        """A span of the file."""
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def free_bytes(self, path: Path) -> int:
        """Free space of the file system."""
        return shutil.disk_usage(path).free


class SystemAppendFile:
    """An open descriptor and the calls it is used with."""

    def __init__(self, calls: FileCalls, file: int) -> None:
        self._calls = calls
        self._file = file

    def append(self, buffers: Sequence[Buffer]) -> int:
        """Write all buffers; a partial write is continued, so that an error means the disk."""
        pending = [memoryview(buffer).cast("B") for buffer in buffers if len(buffer)]
        total = 0
        while pending:
            written = self._calls.write(self._file, pending)
            total += written
            while pending and written >= len(pending[0]):
                written -= len(pending.pop(0))
            if written:
                pending[0] = pending[0][written:]
        return total

    def sync(self) -> None:
        """Return when everything appended so far survives a power cut."""
        self._calls.sync(self._file)

    def truncate(self, size: int) -> None:
        """Cut to `size` bytes and sync."""
        self._calls.cut(self._file, size)
        self._calls.sync_whole(self._file)

    def close(self) -> None:
        """Close the descriptor."""
        self._calls.close(self._file)


class SystemDisk:
    """What durability rests on, made of system calls in the order that makes it true."""

    def __init__(self, calls: FileCalls | None = None) -> None:
        self._calls = SystemCalls() if calls is None else calls

    def make_folder(self, path: Path) -> None:
        """Make the folder and its parents and sync the parent of each."""
        if self._calls.is_there(path):
            return
        self.make_folder(path.parent)
        self._calls.make_folder(path)
        self._calls.sync_folder(path.parent)

    def list(self, folder: Path) -> list[str]:
        """Sorted names; empty when there is no folder."""
        return self._calls.names(folder)

    def settle(self, folder: Path) -> None:
        """Sync the folder."""
        self._calls.sync_folder(folder)

    def size(self, path: Path) -> int:
        """Bytes of the file."""
        return self._calls.size(path)

    def append_to(self, path: Path) -> SystemAppendFile:
        """Open for appending; syncs the folder when the file is new."""
        is_new = not self._calls.is_there(path)
        file = SystemAppendFile(self._calls, self._calls.open_to_append(path))
        if is_new:
            try:
                self._calls.sync_folder(path.parent)
            except OSError:
                file.close()
                raise
        return file

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        """Read a span of the file."""
        return self._calls.read(path, offset, size)

    def renew(self, path: Path, offset: int) -> None:
        """Make the pages dirty again, then sync."""
        self._calls.write_at(path, offset, self._calls.read(path, offset, -1))
        file = self.append_to(path)
        try:
            file.sync()
        finally:
            file.close()

    def write_whole(self, path: Path, buffers: Sequence[Buffer]) -> None:
        """Temporary file, sync, rename, sync of the folder."""
        temporary = path.with_name(path.name + ".tmp")
        self._calls.remove(temporary)
        file = SystemAppendFile(self._calls, self._calls.open_to_append(temporary))
        try:
            file.append(buffers)
            file.sync()
        finally:
            file.close()
        self._calls.replace(temporary, path)
        self._calls.sync_folder(path.parent)

    def remove(self, path: Path) -> None:
        """Remove and sync the folder."""
        self._calls.remove(path)
        self._calls.sync_folder(path.parent)

    def free_bytes(self, path: Path) -> int:
        """Free space of the file system."""
        return self._calls.free_bytes(path)
