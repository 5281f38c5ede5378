"""A disk in memory that knows what a power cut leaves of it.

A power cut keeps everything synced and, of what was not, any prefix; the newest
bytes of that prefix may be zeros, as file systems leave them. A call that was under
way when the power went may have had its effect or not.
"""

from __future__ import annotations

import errno
import random
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.world import Buffer

_BLOCK_BYTES = 64


class PowerCut(Exception):
    """The machine is off; call `power_cut` and open everything again."""


class _Content:
    """Bytes of a file: `data` as programs see it, the first `durable` survive.

    After a failed sync the kernel takes the pages for clean (`is_stuck`): further
    syncs succeed and make nothing durable.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.durable = 0
        self.is_stuck = False


class FakeDisk:
    """The Disk protocol in memory, with faults at chosen calls.

    `calls` counts every call that reaches the medium; `fail_at(n, error)` raises at the
    n-th from now on (an OSError, or PowerCut). `capacity_bytes` makes ENOSPC.
    """

    def __init__(self, capacity_bytes: int | None = None) -> None:
        self.capacity_bytes = capacity_bytes
        self.calls = 0
        self.syncs = 0
        self._files: dict[Path, _Content] = {}
        self._pages: dict[Path, bytearray] = {}
        self._faults: dict[int, BaseException] = {}
        self._is_off = False
        self._released = threading.Event()
        self._released.set()

    # --- what tests do

    def fail_at(self, call: int, error: BaseException) -> None:
        """Raise `error` at the `call`-th call from now (1 is the next)."""
        self._faults[self.calls + call] = error

    @contextmanager
    def hold_sync(self) -> Iterator[None]:
        """Syncs do not return while the block runs."""
        self._released.clear()
        try:
            yield
        finally:
            self._released.set()

    def power_cut(self, seed: int) -> None:
        """Forget what was not durable, as `seed` decides; the disk can be used again."""
        chance = random.Random(seed)  # noqa: S311
        for content in self._files.values():
            _lose_tail(content, chance)
        for page in self._pages.values():
            if chance.random() < 0.5:
                page[:] = bytes(len(page))
        self._faults.clear()
        self._is_off = False

    def used_bytes(self) -> int:
        """Bytes of all files."""
        return sum(len(content.data) for content in self._files.values())

    def flip_bit(self, path: Path, offset: int, bit: int = 0) -> None:
        """Damage a durable byte."""
        self._files[path].data[offset] ^= 1 << bit

    # --- the Disk protocol

    def make_folder(self, path: Path) -> None:
        """Folders are names only."""

    def list(self, folder: Path) -> list[str]:
        """Names in the folder, sorted."""
        return sorted(path.name for path in self._files if path.parent == folder)

    def size(self, path: Path) -> int:
        """Bytes of the file."""
        return len(self._content(path).data)

    def append_to(self, path: Path) -> FakeAppendFile:
        """Open for appending; a new name is durable when this returns."""
        error = self._fault()
        if error is None or (isinstance(error, PowerCut) and self.calls % 2):
            self._files.setdefault(path, _Content())
        self._raise(error)
        return FakeAppendFile(self, self._files[path])

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        """Up to `size` bytes from `offset`."""
        data = self._content(path).data
        return bytes(data[offset:] if size < 0 else data[offset : offset + size])

    def write_whole(self, path: Path, buffers: Sequence[Buffer]) -> None:
        """Replace the file atomically and durably: the old one or the new one."""
        error = self._fault()
        data = b"".join(bytes(buffer) for buffer in buffers)
        old = len(self._files[path].data) if path in self._files else 0
        if error is None and self._room() + old < len(data):
            error = OSError(errno.ENOSPC, "the fake disk is full")
        if error is None or (isinstance(error, PowerCut) and self.calls % 2):
            content = _Content()
            content.data, content.durable = bytearray(data), len(data)
            self._files[path] = content
        self._raise(error)

    def remove(self, path: Path) -> None:
        """Remove the file durably."""
        error = self._fault()
        if error is None or (isinstance(error, PowerCut) and self.calls % 2):
            self._files.pop(path, None)
        self._raise(error)

    def free_bytes(self, path: Path) -> int:  # noqa: ARG002
        """Capacity less use."""
        return self._room()

    def map_page(self, path: Path, size: int) -> memoryview:
        """Shared memory that outlives a kill; a power cut may bring back an older state."""
        return memoryview(self._pages.setdefault(path, bytearray(size)))

    # --- inside

    def _content(self, path: Path) -> _Content:
        if path not in self._files:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        return self._files[path]

    def _room(self) -> int:
        if self.capacity_bytes is None:
            return 2**40
        return max(0, self.capacity_bytes - self.used_bytes())

    def _fault(self) -> BaseException | None:
        if self._is_off:
            raise PowerCut
        self.calls += 1
        error = self._faults.pop(self.calls, None)
        self._is_off = isinstance(error, PowerCut)
        return error

    @staticmethod
    def _raise(error: BaseException | None) -> None:
        if error is not None:
            raise error


class FakeAppendFile:
    """An open file of FakeDisk."""

    def __init__(self, disk: FakeDisk, content: _Content) -> None:
        self._disk = disk
        self._content = content

    def append(self, buffers: Sequence[Buffer]) -> int:
        """Write at the end; a fault or a full disk leaves a part of it, as writev does."""
        error = self._disk._fault()  # noqa: SLF001
        data = b"".join(bytes(buffer) for buffer in buffers)
        room = self._disk._room()  # noqa: SLF001
        if error is None and room < len(data):
            data, error = data[:room], OSError(errno.ENOSPC, "the fake disk is full")
        elif error is not None and not isinstance(error, PowerCut):
            data = data[: len(data) // 2]
        self._content.data += data
        self._disk._raise(error)  # noqa: SLF001
        return len(data)

    def sync(self) -> None:
        """Make durable; after a fault nothing is, and the next sync would not help."""
        error = self._disk._fault()  # noqa: SLF001
        self._disk._released.wait()  # noqa: SLF001
        self._content.is_stuck |= isinstance(error, OSError)
        is_done = error is None or (isinstance(error, PowerCut) and self._disk.calls % 2)
        if is_done and not self._content.is_stuck:
            self._content.durable = len(self._content.data)
        self._disk._raise(error)  # noqa: SLF001
        self._disk.syncs += 1

    def truncate(self, size: int) -> None:
        """Cut durably."""
        error = self._disk._fault()  # noqa: SLF001
        if error is None or (isinstance(error, PowerCut) and self._disk.calls % 2):
            del self._content.data[size:]
            self._content.is_stuck &= size > self._content.durable
            self._content.durable = min(size, len(self._content.data))
        self._disk._raise(error)  # noqa: SLF001

    def close(self) -> None:
        """Nothing to do; what was not synced stays so."""


def _lose_tail(content: _Content, chance: random.Random) -> None:
    loose = len(content.data) - content.durable
    kept = chance.choice((0, loose, chance.randint(0, loose)))
    del content.data[content.durable + kept :]
    if kept and chance.random() < 0.3:
        zeros = chance.randint(1, min(kept, _BLOCK_BYTES))
        content.data[-zeros:] = bytes(zeros)
    content.durable = len(content.data)
