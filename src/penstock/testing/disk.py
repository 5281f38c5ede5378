"""A disk in memory that knows what a power cut leaves of it.

The disk is the product's own (`SystemDisk`); only the system calls under it are
replaced, so that a promise which rests on their order is tried and not assumed.
What a power cut leaves: of each file everything synced, and of the rest any
512-byte sectors, those that are missing read as zeros or are cut off; of each
folder the names that were synced, and of the changes since then any. A call that was
under way when the power went may have had its effect or not.
"""

from __future__ import annotations

import errno
import random
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.world import SystemDisk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from penstock.world import Buffer

SECTOR_BYTES = 512
_ROOM_MAX = 2**40


class PowerCut(Exception):
    """The machine is off; call `power_cut` and open everything again."""


class _Content:
    """Bytes of a file: `data` as programs see it, the first `durable` survive.

    After a failed sync the kernel takes the pages for clean (`is_stuck`): further
    syncs succeed and make nothing durable. `cut_away` are durable bytes that a cut has
    taken and no sync has confirmed: a power cut may bring them back.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.durable = 0
        self.is_stuck = False
        self.cut_away = b""

    def sync(self) -> None:
        """What is there survives, unless the kernel has forgotten that it is dirty."""
        self.cut_away = b""
        if not self.is_stuck:
            self.durable = len(self.data)

    def cut(self, size: int) -> None:
        """ftruncate; pages that a failed sync has spoilt are gone when they are cut off."""
        if size < self.durable:
            self.cut_away = bytes(self.data[size : self.durable]) + self.cut_away
            self.durable = size
        del self.data[size:]
        self.is_stuck &= size > self.durable

    def lose_unsynced(self, chance: random.Random) -> None:
        """What the power cut leaves."""
        if self.cut_away and chance.random() < 0.5:
            self.data[self.durable :] = self.cut_away
        else:
            _lose_sectors(self.data, self.durable, chance)
        self.durable = len(self.data)
        self.is_stuck, self.cut_away = False, b""


class FakeCalls:
    """System calls on files and folders in memory, with faults at chosen calls.

    `calls` counts those that reach the medium. A folder is a name in its parent.
    """

    def __init__(self, capacity_bytes: int | None) -> None:
        self.capacity_bytes = capacity_bytes
        self.calls = self.syncs = 0
        self.files: dict[Path, _Content] = {}
        self.pages: dict[Path, bytearray] = {}
        self.faults: dict[int, BaseException] = {}
        self.released = threading.Event()
        self.released.set()
        self._durable: dict[Path, _Content] = {}
        self._changes: dict[Path, list[dict[Path, _Content | None]]] = {}
        self._old_pages: dict[Path, bytes] = {}
        self._open: dict[int, _Content] = {}
        self._is_off = False

    # --- the protocol FileCalls

    def open_to_append(self, path: Path) -> int:
        """Descriptor; a new name is not durable yet."""

        def work() -> None:
            if path not in self.files:
                self._change(path.parent, {path: _Content()})

        if not self.is_there(path.parent):
            raise FileNotFoundError(errno.ENOENT, "no such folder", str(path.parent))
        self._call(work)
        file = len(self._open) + 3
        self._open[file] = self.files[path]
        return file

    def write(self, file: int, buffers: Sequence[Buffer]) -> int:
        """Write at the end; a fault or a full disk leaves a part of it, as writev does."""
        content, error = self._open[file], self._fault()
        data = b"".join(bytes(buffer) for buffer in buffers)
        room = self.room()
        if error is None and room < len(data):
            data = data[:room]
            error = None if data else OSError(errno.ENOSPC, "the fake disk is full")
        elif error is not None and not isinstance(error, PowerCut):
            data = data[: len(data) // 2]
        content.data += data
        _raise(error)
        return len(data)

    def sync(self, file: int) -> None:
        """Make durable; after a fault nothing is, and the next sync would not help."""
        content, error = self._open[file], self._fault()
        self.released.wait()
        content.is_stuck |= isinstance(error, OSError)
        if self._is_done(error):
            content.sync()
        self._remember_pages()
        _raise(error)
        self.syncs += 1

    sync_whole = sync

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        """The same bytes again: the kernel knows once more that they are dirty."""
        content = self.content(path)
        assert bytes(content.data[offset : offset + len(data)]) == data

        def work() -> None:
            if offset <= content.durable:
                content.is_stuck = False

        self._call(work)

    def cut(self, file: int, size: int) -> None:
        """Cut; a power cut before the sync may bring the durable bytes back."""
        self._call(lambda: self._open[file].cut(size))

    def close(self, file: int) -> None:
        """What was not synced stays so."""
        self._open[file] = _Content()

    def sync_folder(self, path: Path) -> None:
        """The names in the folder become durable."""

        def work() -> None:
            for change in self._changes.pop(path, []):
                _apply(self._durable, change)

        self._call(work)

    def make_folder(self, path: Path) -> None:
        """A name without bytes."""
        self._call(lambda: self._change(path.parent, {path: _Content()}))

    def replace(self, path: Path, target: Path) -> None:
        """Rename: the two names change together or not at all."""
        content = self.content(path)
        self._call(lambda: self._change(target.parent, {path: None, target: content}))

    def remove(self, path: Path) -> None:
        """Unlink."""
        if path in self.files:
            self._call(lambda: self._change(path.parent, {path: None}))

    def is_there(self, path: Path) -> bool:
        """The root always is."""
        return path in self.files or path == path.parent

    def names(self, folder: Path) -> list[str]:
        """Names in the folder, sorted."""
        return sorted(path.name for path in self.files if path.parent == folder)

    def size(self, path: Path) -> int:
        """Bytes of the file."""
        return len(self.content(path).data)

    def read(self, path: Path, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`."""
        data = self.content(path).data
        return bytes(data[offset:] if size < 0 else data[offset : offset + size])

    def free_bytes(self, path: Path) -> int:  # noqa: ARG002
        """Capacity less use."""
        return self.room()

    # --- what the disk of the test does

    def power_cut(self, seed: int) -> None:
        """Forget what was not durable, as `seed` decides."""
        chance = random.Random(seed)  # noqa: S311
        for changes in self._changes.values():
            for change in changes:
                if chance.random() < 0.5:
                    _apply(self._durable, change)
        self._changes.clear()
        self._drop_orphans()
        self.files = dict(self._durable)
        for path in sorted(self.files):
            self.files[path].lose_unsynced(chance)
        for path, page in self.pages.items():
            old = chance.choice((bytes(len(page)), self._old_pages.get(path), bytes(page)))
            page[:] = bytes(len(page)) if old is None else old
        self._old_pages.clear()
        self.faults.clear()
        self._is_off = False

    def content(self, path: Path) -> _Content:
        """FileNotFoundError."""
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        return self.files[path]

    def used_bytes(self) -> int:
        """Bytes of all files."""
        return sum(len(content.data) for content in self.files.values())

    def room(self) -> int:
        """Bytes that can still be written."""
        if self.capacity_bytes is None:
            return _ROOM_MAX
        return max(0, self.capacity_bytes - self.used_bytes())

    # --- inside

    def _change(self, folder: Path, change: dict[Path, _Content | None]) -> None:
        _apply(self.files, change)
        self._changes.setdefault(folder, []).append(change)

    def _drop_orphans(self) -> None:
        """A folder whose name was lost takes along what was made in it."""
        for path in sorted(self._durable):
            parent = path.parent
            if parent not in self._durable and parent != parent.parent:
                del self._durable[path]

    def _call(self, work: Callable[[], None]) -> None:
        error = self._fault()
        if self._is_done(error):
            work()
        _raise(error)

    def _is_done(self, error: BaseException | None) -> bool:
        """A call under way when the power goes has its effect every second time."""
        return error is None or (isinstance(error, PowerCut) and self.calls % 2 == 1)

    def _fault(self) -> BaseException | None:
        if self._is_off:
            raise PowerCut
        self.calls += 1
        error = self.faults.pop(self.calls, None)
        self._is_off = isinstance(error, PowerCut)
        return error

    def _remember_pages(self) -> None:
        """The kernel writes a mapped page back whenever it likes: now and then, here."""
        if self.calls % 7 == 0:
            self._old_pages.update((path, bytes(page)) for path, page in self.pages.items())


class FakeDisk(SystemDisk):
    """The Disk protocol in memory, with faults at chosen system calls.

    `calls` counts every call that reaches the medium; `fail_at(n, error)` raises at the
    n-th from now on (an OSError, or PowerCut). `capacity_bytes` makes ENOSPC.
    """

    def __init__(self, capacity_bytes: int | None = None) -> None:
        self.medium = FakeCalls(capacity_bytes)
        super().__init__(self.medium)

    @property
    def capacity_bytes(self) -> int | None:
        """Bytes of all files at which writes are refused; None = never."""
        return self.medium.capacity_bytes

    @capacity_bytes.setter
    def capacity_bytes(self, limit: int | None) -> None:
        self.medium.capacity_bytes = limit

    @property
    def calls(self) -> int:
        """System calls so far."""
        return self.medium.calls

    @property
    def syncs(self) -> int:
        """Files that were synced."""
        return self.medium.syncs

    def fail_at(self, call: int, error: BaseException) -> None:
        """Raise `error` at the `call`-th call from now (1 is the next)."""
        self.medium.faults[self.medium.calls + call] = error

    @contextmanager
    def hold_sync(self) -> Iterator[None]:
        """Syncs do not return while the block runs."""
        self.medium.released.clear()
        try:
            yield
        finally:
            self.medium.released.set()

    def power_cut(self, seed: int) -> None:
        """Forget what was not durable, as `seed` decides; the disk can be used again."""
        self.medium.power_cut(seed)

    def used_bytes(self) -> int:
        """Bytes of all files."""
        return self.medium.used_bytes()

    def flip_bit(self, path: Path, offset: int, bit: int = 0) -> None:
        """Damage a durable byte."""
        self.medium.content(path).data[offset] ^= 1 << bit

    def map_page(self, path: Path, size: int) -> memoryview:
        """Shared memory that outlives a kill; a power cut may bring back an older state."""
        return memoryview(self.medium.pages.setdefault(path, bytearray(size)))


def _apply(names: dict[Path, _Content], change: dict[Path, _Content | None]) -> None:
    for path, content in change.items():
        if content is None:
            names.pop(path, None)
        else:
            names[path] = content


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error


def _lose_sectors(data: bytearray, durable: int, chance: random.Random) -> None:
    """Of what lies behind `durable` keep any size, and within it any sectors."""
    loose = len(data) - durable
    kept = chance.choice((0, loose, chance.randint(0, loose)))
    del data[durable + kept :]
    if not kept or chance.random() < 0.5:
        return
    share = chance.random()
    for sector in range(durable // SECTOR_BYTES, -(-len(data) // SECTOR_BYTES)):
        begin, end = max(durable, sector * SECTOR_BYTES), (sector + 1) * SECTOR_BYTES
        if chance.random() < share:
            lost = len(data[begin:end])
            data[begin : begin + lost] = bytes(lost)
