"""Restore: everything is copied beside and verified before the home gets its name.

The world may have seen more of this node than the backup holds. So that nothing is
taken for something else, the log goes on in an incarnation that the node cannot have
had: a pair of incarnation and sequence, or of origin and sequence, never comes twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.codec.layout import Damaged
from penstock.codec.log_file import LogFileHeader, encode_file_header
from penstock.log.files import LogFile, log_files
from penstock.model import Refused
from penstock.node.backup.document import HOME, KEYS_NAME, BackupFile
from penstock.node.backup.sealed_keys import open_keys_file, write_keys
from penstock.node.backup.targets import sync_folder
from penstock.node.home import Home, lock, lock_holder
from penstock.node.offline import verify_offline
from penstock.security.keys import key_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.node.backup.document import BackupDocument
    from penstock.node.backup.sources import Source
    from penstock.world import Disk

    Report = Callable[[int, int], None]

INCARNATION_STEP = 100_000
"""More starts and failed syncs than a node has since a backup; there is room for 999 restores."""
NOTE_NAME = "restored.json"
_ANCHOR = "audit.head"
_NAMED_MAX = 20


class BackupDamaged(Exception):
    """The backup must not be restored; `places` name each damaged file."""

    def __init__(self, places: list[str]) -> None:
        super().__init__(f"{len(places)} damaged")
        self.places = places


@dataclass(frozen=True, slots=True)
class Restored:
    """Where the keys are looked for and whether they are there; where the old home went."""

    keys: Path
    has_keys: bool
    moved_aside: Path | None
    incarnation: int


def verify_backup(source: Source, disk: Disk, folder: Path, report: Report) -> None:
    """Every checksum, by copying the files to `folder`; BackupDamaged names what is wrong.

    The folder is left to the caller, whole or not.
    """
    document, bad, done = source.document, list[str](), 0
    for file in document.files:
        try:
            _copy(source, file, folder / file.path)
        except Damaged as error:
            bad.append(str(error))
        done += file.bytes
        report(done, document.file_bytes)
    if not bad:
        bad = _wrong_content(Home(folder / HOME), disk)
    if bad:
        raise BackupDamaged(bad)


def verify_in_place(source: Source, folder: Path, disk: Disk, report: Report) -> None:
    """The same for a backup that is a folder: nothing is written. BackupDamaged."""
    document, bad, done = source.document, list[str](), 0
    for file in document.files:
        try:
            _check(source, file)
        except Damaged as error:
            bad.append(str(error))
        done += file.bytes
        report(done, document.file_bytes)
    bad = bad or _wrong_content(Home(folder / HOME), disk)
    if bad:
        raise BackupDamaged(bad)


def restore(
    source: Source,
    home: Home,
    disk: Disk,
    report: Report,
    *,
    is_replacing: bool,
    passphrase: str | None = None,
) -> Restored:
    """Make `home` what the backup holds. BackupDamaged, Refused or OSError: nothing is changed."""
    root = home.root
    held = _check_target(home, is_replacing=is_replacing)
    try:
        part = root.with_name(f"{root.name}.restoring")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700, parents=True)
        try:
            verify_backup(source, disk, part, report)
            keys = _keys_of(source, passphrase)
            incarnation = _leap(Home(part / HOME), disk, source.document, home)
            _note(Home(part / HOME), source.document, disk)
            _sync_tree(part / HOME)
            aside = _swap(part / HOME, root)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    finally:
        if held is not None:
            os.close(held)
    folder = key_folder(source.document.keys)
    if keys and not (folder / "node.key").is_file():
        write_keys(folder, keys)
    _set_back_anchor(folder)
    return Restored(folder, (folder / "node.key").is_file(), aside, incarnation)


# --- before anything is touched


def _check_target(home: Home, *, is_replacing: bool) -> int | None:
    """The lock of a home that is there (None for a new one)."""
    if not home.root.exists() or not any(home.root.iterdir()):
        return None
    if not is_replacing:
        detail = f"{home.root} is not empty; --replace moves it aside."
        raise Refused("conflict", detail)
    held = lock(home)
    if held is None:
        raise Refused("conflict", f"Penstock runs there (process {lock_holder(home)}); stop it.")
    return held


def _copy(source: Source, file: BackupFile, place: Path) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(place, flags, 0o600), "wb") as out:
        _check(source, file, out.write)
    place.chmod((file.mode & 0o777) | 0o600)


def _check(
    source: Source, file: BackupFile, write: Callable[[bytes], object] = lambda _: None
) -> None:
    digest, size = hashlib.sha256(), 0
    for chunk in source.chunks(file.path):
        digest.update(chunk)
        size += len(chunk)
        write(chunk)
    if size != file.bytes:
        raise Damaged(f"{file.path} has {size} bytes instead of {file.bytes}")
    if digest.hexdigest() != file.sha256:
        raise Damaged(f"{file.path} was changed: its SHA-256 does not fit")


def _wrong_content(home: Home, disk: Disk) -> list[str]:
    """What the formats' own checksums say: history, log, database."""
    report = verify_offline(home, disk)
    found = [f"{item.place}: {item.detail}" for item in report.damage[:_NAMED_MAX]]
    state = home.data / "state.db"
    if state.is_file():
        with closing(
            sqlite3.connect(f"{state.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if answer != "ok":
            found.append(f"{state.name}: {answer}")
    return found


def _keys_of(source: Source, passphrase: str | None) -> dict[str, bytes]:
    if passphrase is None or not source.document.has_keys:
        return {}
    return open_keys_file(b"".join(source.chunks(KEYS_NAME)), passphrase)


# --- the new home


def _leap(home: Home, disk: Disk, document: BackupDocument, old: Home) -> int:
    """An empty log file says that all incarnations up to its own are used up."""
    before = [file.incarnation for file in log_files(disk.list(old.log))]
    incarnation = max([document.incarnation, *before]) + INCARNATION_STEP
    file = LogFile(incarnation, document.sequence + 1)
    header = encode_file_header(LogFileHeader(incarnation, file.first, time.time_ns()))
    disk.make_folder(home.log)
    disk.write_whole(home.log / file.name, [header])
    return incarnation


def _note(home: Home, document: BackupDocument, disk: Disk) -> None:
    """For the audit of the first start."""
    head = key_folder(document.keys) / _ANCHOR
    note = {
        "made_ns": str(document.made_ns),
        "sequence": str(document.sequence),
        "node": document.node,
        "audit_head": head.read_text().strip() if head.is_file() else "",
    }
    disk.write_whole(home.data / NOTE_NAME, [json.dumps(note).encode()])


def _set_back_anchor(folder: Path) -> None:
    """The keys know a later end of the audit than the backup has: it is kept, and noted."""
    head = folder / _ANCHOR
    if head.is_file():
        head.replace(folder / f"{_ANCHOR}.before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")


def _swap(new: Path, root: Path) -> Path | None:
    aside = None
    root.parent.mkdir(parents=True, exist_ok=True)
    if root.exists() and any(root.iterdir()):
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        aside = root.with_name(f"{root.name}.before-{stamp}")
        root.rename(aside)
    elif root.exists():
        root.rmdir()
    try:
        new.rename(root)
    except OSError:
        if aside is not None:
            aside.rename(root)
        raise
    sync_folder(root.parent)
    return aside


def _sync_tree(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(file)
        finally:
            os.close(file)
