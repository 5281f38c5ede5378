"""Stage: hard links to the files of a backup, so that the node may replace them meanwhile.

A segment or log file never changes, it is only removed, or grows at its end; a link
keeps what was there at no cost and holds nobody up, neither retention nor compaction.
Where the file system has no links the files are read where they lie.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

PREFIX = "backup-"
LOCK = "lock"


class Stage:
    """A folder `data/backup-<id>`; it goes with the block, or with the next stage or start."""

    def __init__(self, data: Path) -> None:
        clear_stages(data)
        self.folder = data / f"{PREFIX}{uuid.uuid4()}"
        self.folder.mkdir(mode=0o700)
        self._lock = _locked(self.folder)
        self._places: dict[str, Path] = {}

    def keep(self, path: Path) -> Path:
        """Where the file can be read from now on; FileNotFoundError when it is gone already."""
        known = self._places.get(path.name)
        if known is not None:
            return known
        place = self.folder / path.name
        try:
            os.link(path, place)
        except FileNotFoundError:
            raise
        except OSError:  # no links here, or the folder lies on another file system
            path.stat()
            place = path
        self._places[path.name] = place
        return place

    def new_path(self, name: str) -> Path:
        """For a file that is made for this backup alone."""
        return self.folder / name

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


def clear_stages(data: Path) -> None:
    """Remove what killed backups have left; those of living ones are locked and stay."""
    for folder in data.glob(f"{PREFIX}*"):
        try:
            file = _locked(folder)
        except OSError:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        os.close(file)


def _locked(folder: Path) -> int:
    file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file
