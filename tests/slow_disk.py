"""A real disk whose sync waits for the test."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from penstock.world import AppendFile, SystemDisk


class HeldFile:
    """A file whose fdatasync returns when the test lets it."""

    def __init__(self, file: AppendFile, released: threading.Event) -> None:
        self._file = file
        self._released = released
        self.append, self.truncate, self.close = file.append, file.truncate, file.close

    def sync(self) -> None:
        self._released.wait()
        self._file.sync()


class HeldDisk(SystemDisk):
    """A real disk that takes its time: `released.clear()` holds every sync back."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()
        self.released.set()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """No sync returns while the block runs; it ends them whatever happens in it."""
        self.released.clear()
        try:
            yield
        finally:
            self.released.set()

    def append_to(self, path: Path) -> HeldFile:  # type: ignore[override]
        return HeldFile(super().append_to(path), self.released)
