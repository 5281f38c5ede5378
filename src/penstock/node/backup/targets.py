"""Where a backup goes: a folder or a tar archive, under another name until it is whole."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

PART = ".part"
CHUNK_BYTES = 1024 * 1024


class Target(Protocol):
    """Takes files; the backup counts from `commit` on, `abandon` leaves nothing."""

    def add(self, path: str, size: int, mode: int, chunks: Iterator[bytes]) -> None:
        """One file of `size` bytes."""
        ...

    def share(self, path: str, origin: Path) -> bool:
        """Take a file of an earlier backup by a hard link; False where that cannot be."""
        ...

    def commit(self) -> None:
        """Durable under its own name."""
        ...

    def abandon(self) -> None:
        """Remove what was written."""
        ...

    def free_bytes(self) -> int:
        """Space on its file system."""
        ...


class FolderTarget:
    """A folder that must not exist yet."""

    def __init__(self, folder: Path) -> None:
        if folder.exists():
            raise FileExistsError(17, "is there already; give a new name", str(folder))
        self._folder = folder
        self._part = folder.with_name(folder.name + PART)
        shutil.rmtree(self._part, ignore_errors=True)
        self._part.mkdir(mode=0o700, parents=True)

    def add(self, path: str, size: int, mode: int, chunks: Iterator[bytes]) -> None:
        """One file."""
        place = self._place(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(place, flags, 0o600), "wb") as file:
            written = sum(file.write(chunk) for chunk in chunks)
            assert written == size, (path, written, size)
            file.flush()
            os.fsync(file.fileno())
        place.chmod(mode)

    def share(self, path: str, origin: Path) -> bool:
        """By a hard link, if there may be one."""
        try:
            os.link(origin, self._place(path))
        except OSError:
            return False
        return True

    def commit(self) -> None:
        """Sync everything, then rename."""
        for folder in [self._part, *(p for p in self._part.rglob("*") if p.is_dir())]:
            sync_folder(folder)
        self._part.rename(self._folder)
        sync_folder(self._folder.parent)

    def abandon(self) -> None:
        """Remove what is there."""
        shutil.rmtree(self._part, ignore_errors=True)

    def free_bytes(self) -> int:
        """Space for an ordinary user."""
        return shutil.disk_usage(self._part).free

    def _place(self, path: str) -> Path:
        place = self._part / path
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return place


class TarTarget:
    """One archive that must not exist yet."""

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise FileExistsError(17, "is there already; give a new name", str(path))
        self._path = path
        self._part = path.with_name(path.name + PART)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._part.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self._part, flags, 0o600), "wb")
        self._tar = tarfile.TarFile(
            fileobj=self._file,
            mode="w",
            format=tarfile.PAX_FORMAT,
            copybufsize=CHUNK_BYTES,  # as large as the chunks: none is cut and joined again
        )

    def add(self, path: str, size: int, mode: int, chunks: Iterator[bytes]) -> None:
        """One file."""
        member = tarfile.TarInfo(path)
        member.size, member.mode = size, mode
        self._tar.addfile(member, _Reader(chunks))

    def share(self, path: str, origin: Path) -> bool:  # noqa: ARG002
        """By a hard link, if there may be one."""
        return False

    def commit(self) -> None:
        """Sync everything, then rename."""
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.rename(self._path)
        sync_folder(self._path.parent)

    def abandon(self) -> None:
        """Remove what is there."""
        with suppress(OSError, ValueError):
            self._file.close()
        self._part.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Space for an ordinary user."""
        return shutil.disk_usage(self._part.parent).free


class _Reader(io.RawIOBase):
    """Chunks as a file, for tarfile."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        assert size >= 0
        while len(self._rest) < size and (chunk := next(self._chunks, b"")):
            self._rest += chunk
        found, self._rest = self._rest[:size], self._rest[size:]
        return found


def open_target(path: Path) -> Target:
    """By its name; FileExistsError when something is there."""
    return TarTarget(path) if path.name.endswith(".tar") else FolderTarget(path)


def sync_folder(path: Path) -> None:
    """Names in the folder survive a power cut."""
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
