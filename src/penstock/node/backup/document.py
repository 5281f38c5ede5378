"""BACKUP.json: what a backup holds, with a checksum of each file and one over itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from penstock.codec.layout import Damaged

NAME = "BACKUP.json"
WHAT = "penstock backup"
FORMAT = 1
KEYS_NAME = "keys.sealed"
HOME = "home"
FILES_MAX = 2_000_000


@dataclass(frozen=True, slots=True)
class BackupFile:
    """One file: `path` is relative to the backup, `mode` its permission bits."""

    path: str
    bytes: int
    sha256: str
    mode: int


@dataclass(frozen=True, slots=True)
class BackupDocument:
    """What a backup says of itself; all accepted records up to `sequence` are inside."""

    made_ns: int
    penstock: str
    node: str
    keys: str
    state_revision: str
    incarnation: int
    first_sequence: int
    sequence: int
    manifest_version: int
    history_sequence: int
    rows: int
    segments: int
    base: str | None
    has_keys: bool
    files: tuple[BackupFile, ...]

    @property
    def file_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)


def encode(document: BackupDocument) -> bytes:
    """The file, readable by people."""
    plain = _plain(document)
    return (json.dumps({**plain, "digest": _digest(plain)}, indent=1) + "\n").encode()


def decode(data: bytes) -> BackupDocument:
    """Damaged unless it is whole, of a known format, and its paths stay inside the backup."""
    try:
        found = json.loads(data)
        digest = found.pop("digest")
        if found["what"] != WHAT:
            raise Damaged(f"{NAME} is about {found['what']!r}")
        if found["format"] != FORMAT:
            raise Damaged(f"{NAME} is of format {found['format']}; this Penstock knows {FORMAT}")
        if digest != _digest(found):
            raise Damaged(f"{NAME} was changed: its digest does not fit")
        return _document(found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{NAME} cannot be read: {error!r}") from error


def _plain(document: BackupDocument) -> dict[str, Any]:
    return {
        "what": WHAT,
        "format": FORMAT,
        "made_ns": str(document.made_ns),
        "penstock": document.penstock,
        "node": document.node,
        "keys": document.keys,
        "state_revision": document.state_revision,
        "log": {
            "incarnation": document.incarnation,
            "first_sequence": str(document.first_sequence),
            "sequence": str(document.sequence),
        },
        "history": {
            "manifest_version": document.manifest_version,
            "sequence": str(document.history_sequence),
            "rows": document.rows,
            "segments": document.segments,
        },
        "base": document.base,
        "has_keys": document.has_keys,
        "files": [asdict(file) for file in document.files],
    }


def _document(found: dict[str, Any]) -> BackupDocument:
    log, history = found["log"], found["history"]
    files = tuple(BackupFile(**item) for item in found["files"])
    for file in files:
        _check_path(file.path)
    return BackupDocument(
        int(found["made_ns"]),
        str(found["penstock"]),
        str(found["node"]),
        str(found["keys"]),
        str(found["state_revision"]),
        int(log["incarnation"]),
        int(log["first_sequence"]),
        int(log["sequence"]),
        int(history["manifest_version"]),
        int(history["sequence"]),
        int(history["rows"]),
        int(history["segments"]),
        found["base"],
        bool(found["has_keys"]),
        files,
    )


def _check_path(path: str) -> None:
    parts = path.split("/")
    is_ours = path == KEYS_NAME or parts[0] == HOME
    if not is_ours or any(part in ("", ".", "..") for part in parts) or "\0" in path:
        raise Damaged(f"{NAME} names {path!r}, which is no place in a backup")


def _digest(plain: dict[str, Any]) -> str:
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
