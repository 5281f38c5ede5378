"""Reading a backup, from its folder or its archive."""

from __future__ import annotations

import tarfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from penstock.codec.layout import Damaged
from penstock.node.backup.document import NAME, BackupDocument, decode
from penstock.node.backup.targets import CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO


class Source(Protocol):
    """The files of one backup."""

    document: BackupDocument

    def chunks(self, path: str) -> Iterator[bytes]:
        """Bytes of a file; Damaged when it is not there."""
        ...


class FolderSource:
    """A folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if not (folder / NAME).is_file():
            raise Damaged(f"{folder} is no backup: it has no {NAME}")
        self.document = decode((folder / NAME).read_bytes())

    def chunks(self, path: str) -> Iterator[bytes]:
        """Bytes of a file; Damaged when it is missing."""
        try:
            file = (self._folder / path).open("rb")
        except FileNotFoundError as error:
            raise Damaged(f"{path} is missing") from error
        with file:
            yield from _chunks(file)


class TarSource:
    """An archive; its file belongs to the caller."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        try:
            self._tar = tarfile.TarFile(fileobj=file, mode="r")
            self._members = {member.name: member for member in self._tar.getmembers()}
        except tarfile.TarError as error:
            raise Damaged(f"{path} is no whole archive: {error}") from error
        if NAME not in self._members:
            raise Damaged(f"{path} is no backup, or is cut: it has no {NAME}")
        self.document = decode(b"".join(self.chunks(NAME)))

    def chunks(self, path: str) -> Iterator[bytes]:
        """Bytes of a file; Damaged when it is missing."""
        member = self._members.get(path)
        file = self._tar.extractfile(member) if member is not None and member.isreg() else None
        if file is None:
            raise Damaged(f"{path} is missing")
        try:
            yield from _chunks(file)
        except tarfile.TarError as error:
            raise Damaged(f"{path} cannot be read: {error}") from error


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """A folder or an archive; Damaged when it is no whole backup."""
    if path.is_dir():
        yield FolderSource(path)
        return
    with path.open("rb") as file:
        yield TarSource(path, file)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
