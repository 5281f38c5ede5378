"""Which files make one moment of a node, taken while it runs (or while it is off).

The order is what makes them fit: names of log files, manifest, database, watermark.
Whatever manifest and database have committed lies at or below the watermark, and the
log is cut there; see docs/reference/formats/backup.md, "One moment".
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.codec.dictionary import DictionaryEntry
from penstock.codec.layout import Damaged
from penstock.codec.log_file import FILE_HEADER_BYTES, Watermark, encode_watermark
from penstock.codec.record import RecordKind
from penstock.config.loader import FOLDER
from penstock.config.settings import FILE_NAME
from penstock.historian.manifest import manifest_name, read_newest
from penstock.historian.receipts import NAME as RECEIPTS
from penstock.historian.verify import durable_end
from penstock.log.files import SEQUENCE_END, Found, LogFile, log_files, scan
from penstock.log.receive_time import MARK_NAME
from penstock.log.recovery import has_head
from penstock.log.store import FileStore
from penstock.log.tail import LogTail
from penstock.log.watermark import WATERMARK_NAME
from penstock.node.backup.document import HOME
from penstock.security.keys import key_folder

if TYPE_CHECKING:
    from penstock.historian.manifest import Manifest
    from penstock.log.record import LogRecord
    from penstock.node.backup.stage import Stage
    from penstock.node.home import Home
    from penstock.world import Disk

ATTEMPTS = 8
STATE_NAME = "state.db"
DELETIONS = "deletions.json"
_DATA_FILES = ("FORMAT", "applied.json", "verification.json", "retention.json", DELETIONS)


class Moved(Exception):
    """The node has changed a file away, or made a point, while the set was gathered: again."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A file to copy: the first `size` bytes of `source` become `path` of the backup.

    `is_fixed`: its bytes never change, so that an earlier backup may have it already.
    """

    path: str
    source: Path
    size: int
    is_fixed: bool = False


@dataclass(slots=True)
class Collected:
    """A consistent set and what it says of itself."""

    pieces: list[Piece] = field(default_factory=list)
    keys: str = ""
    node: str = ""
    state_revision: str = ""
    incarnation: int = 0
    first_sequence: int = 0
    sequence: int = 0
    manifest_version: int = 0
    history_sequence: int = 0
    rows: int = 0
    segments: int = 0

    @property
    def total_bytes(self) -> int:
        """Bytes of all pieces."""
        return sum(piece.size for piece in self.pieces)


def collect(home: Home, disk: Disk, stage: Stage, *, is_running: bool) -> Collected:
    """A consistent set, kept by `stage`. Damaged when the node's own files are; OSError."""
    for attempt in range(ATTEMPTS):
        try:
            return _Attempt(home, disk, stage, is_running=is_running).run()
        except (Moved, FileNotFoundError):
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


class _Attempt:
    def __init__(self, home: Home, disk: Disk, stage: Stage, *, is_running: bool) -> None:
        self._home = home
        self._disk = disk
        self._stage = stage
        self._is_running = is_running
        self._log: dict[LogFile, Path] = {}
        self._result = Collected()

    def run(self) -> Collected:
        before, deletions = self._durable(), self._deletions()
        self._keep_log()
        manifest = self._take_manifest()
        state = self._take_state()
        sequence = self._watermark()
        self._keep_log()
        if self._is_running:
            self._check_dictionary(state, before, sequence)
        needed = min([manifest.sequence, sequence, *_positions(state)])
        self._take_log(needed, sequence)
        self._take_texts()
        if deletions != self._deletions():
            raise Moved("something was deleted meanwhile")
        self._result.pieces.sort(key=lambda piece: piece.path)
        return self._result

    # --- history

    def _take_manifest(self) -> Manifest:
        folder, result = self._home.segments, self._result
        manifest, damage = read_newest(self._disk, folder)
        if damage:
            raise Damaged(f"{damage[0]}; run `penstock doctor --repair` first")
        path = self._stage.new_path(manifest_name(manifest.version))
        if manifest.version:
            path.write_bytes(self._disk.read(folder / manifest_name(manifest.version)))
            self._add(f"data/segments/{path.name}", path)
        for info in manifest.segments:
            place = self._stage.keep(folder / info.name)
            if place.stat().st_size != info.file_bytes:
                raise Damaged(f"{folder / info.name} has another length than its manifest says")
            self._add(f"data/segments/{info.name}", place, is_fixed=True)
        if (folder / RECEIPTS).is_file():
            self._add(f"data/segments/{RECEIPTS}", self._stage.keep(folder / RECEIPTS))
        result.manifest_version, result.history_sequence = manifest.version, manifest.sequence
        result.rows = sum(info.rows for info in manifest.segments)
        result.segments = len(manifest.segments)
        return manifest

    # --- database

    def _take_state(self) -> Path:
        path, source = self._stage.new_path(STATE_NAME), self._home.data / STATE_NAME
        path.unlink(missing_ok=True)
        if not source.is_file():
            return path
        copy_database(source, path)
        self._add(f"data/{STATE_NAME}", path)
        with closing(sqlite3.connect(path)) as copy:
            self._result.state_revision = _scalar(copy, "SELECT version_num FROM alembic_version")
        return path

    def _check_dictionary(self, state: Path, before: int, sequence: int) -> None:
        """A point that the log names and the database does not would get its handle twice."""
        known = _handles(state)
        tail = LogTail(self._home.log, disk=self._disk)
        try:
            after = before
            while after < sequence and (records := tail.read(after)):
                for record in records:
                    if record.sequence <= sequence and not known.issuperset(_named(record)):
                        raise Moved("a point was made meanwhile")
                after = records[-1].sequence
        finally:
            tail.close()

    # --- log

    def _durable(self) -> int:
        return self._watermark() if self._is_running else 0

    def _watermark(self) -> int:
        """Newest durable sequence; of a node that is off, also what a power cut has left behind."""
        tail = LogTail(self._home.log, disk=self._disk)
        try:
            durable = tail.durable
        finally:
            tail.close()
        if not self._is_running:
            durable = max(durable, durable_end(self._disk, self._home.log))
        return durable

    def _keep_log(self) -> None:
        """Keep every log file that is there, in the form that was seen first."""
        folder = self._home.log
        names = set(self._disk.list(folder))
        for file in log_files(names):
            if file not in self._log:
                name = file.name if file.name in names else file.compressed_name
                self._log[file] = self._stage.keep(folder / name)

    def _take_log(self, needed: int, sequence: int) -> None:
        files = sorted(file for file in self._log if file.first <= sequence)
        result = self._result
        result.sequence = sequence
        if not files:
            return
        result.incarnation = max(file.incarnation for file in files)
        store = _StagedStore(self._log, self._disk)
        begin = max((n for n, file in enumerate(files) if file.first <= needed + 1), default=0)
        while begin and not has_head(store, files[begin], _end_of(files, begin)):
            begin -= 1
        result.first_sequence = files[begin].first
        for file in files[begin:-1]:
            self._add_log(file, self._log[file].stat().st_size, is_fixed=True)
        size = self._cut(files[-1], sequence)
        self._add_log(files[-1], size, is_fixed=False)
        self._add_marks(files[-1], sequence, size)

    def _cut(self, file: LogFile, sequence: int) -> int:
        """Bytes of the newest file up to record `sequence`; a compressed one is whole."""
        path = self._log[file]
        if path.name.endswith(".logz"):
            return path.stat().st_size
        data = path.read_bytes()
        items = scan(data, FILE_HEADER_BYTES, file.first, SEQUENCE_END)
        ends = (i for i in items if isinstance(i, Found) and i.header.sequence <= sequence)
        return max((item.end for item in ends), default=min(len(data), FILE_HEADER_BYTES))

    def _add_log(self, file: LogFile, size: int, *, is_fixed: bool) -> None:
        path = self._log[file]
        piece = Piece(f"{HOME}/data/log/0/{path.name}", path, size, is_fixed)
        self._result.pieces.append(piece)

    def _add_marks(self, newest: LogFile, sequence: int, size: int) -> None:
        mark = encode_watermark(Watermark(2, newest.incarnation, sequence, size))
        path = self._stage.new_path(WATERMARK_NAME)
        path.write_bytes(mark)
        self._add(f"data/log/0/{WATERMARK_NAME}", path)
        jumped = self._home.log / MARK_NAME
        if jumped.is_file():
            self._add_text(f"data/log/0/{MARK_NAME}", jumped)

    # --- texts

    def _deletions(self) -> bytes:
        """They must be of the same moment as the manifest, or deleted data would come back."""
        path = self._home.data / DELETIONS
        return path.read_bytes() if path.is_file() else b""

    def _take_texts(self) -> None:
        root, data = self._home.root, self._home.data
        for name in _DATA_FILES:
            if (data / name).is_file():
                self._add_text(f"data/{name}", data / name)
        if (root / FILE_NAME).is_file():
            self._add_text(FILE_NAME, root / FILE_NAME)
        for path in sorted((root / FOLDER).rglob("*")):
            if path.is_file() and not path.name.endswith(".tmp"):
                self._add_text(path.relative_to(root).as_posix(), path)
        self._result.keys = json.loads((data / "FORMAT").read_text())["keys"]
        identity = key_folder(self._result.keys) / "node.id"
        self._result.node = identity.read_text().strip() if identity.is_file() else ""

    def _add_text(self, path: str, source: Path) -> None:
        """A small file that may be replaced at any time: as it is now."""
        place = self._stage.new_path(f"text-{len(self._result.pieces)}")
        place.write_bytes(source.read_bytes())
        place.chmod(source.stat().st_mode & 0o777)
        self._add(path, place)

    def _add(self, path: str, source: Path, *, is_fixed: bool = False) -> None:
        piece = Piece(f"{HOME}/{path}", source, source.stat().st_size, is_fixed)
        self._result.pieces.append(piece)


class _StagedStore(FileStore):
    """Log files where the stage keeps them; each lies there under its own name."""

    def __init__(self, places: dict[LogFile, Path], disk: Disk) -> None:
        folders = {path.parent for path in places.values()}
        super().__init__(next(iter(folders), Path()), disk)


def _end_of(files: list[LogFile], index: int) -> int:
    return files[index + 1].first if index + 1 < len(files) else SEQUENCE_END


def copy_database(source: Path, target: Path) -> None:
    """One moment of a SQLite database that others write; Damaged when it is not sound."""
    with (
        closing(sqlite3.connect(source, timeout=30)) as origin,
        closing(sqlite3.connect(target)) as copy,
    ):
        origin.execute("PRAGMA query_only=ON")
        origin.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
        found = _scalar(copy, "PRAGMA quick_check(1)")
    if found != "ok":
        raise Damaged(f"{source}: {found}")


def _named(record: LogRecord) -> list[int]:
    """Handles that a dictionary record gives."""
    if record.kind != RecordKind.DICTIONARY or not isinstance(record.payload, list):
        return []
    return [entry.handle for entry in record.payload if isinstance(entry, DictionaryEntry)]


def _positions(state: Path) -> list[int]:
    """Where the projections are; what they have not taken must be in the log."""
    if not state.is_file():
        return []
    with closing(sqlite3.connect(state)) as copy:
        return [int(row[0]) for row in copy.execute("SELECT sequence FROM readers")]


def _handles(state: Path) -> set[int]:
    if not state.is_file():
        return set()
    with closing(sqlite3.connect(state)) as copy:
        return {int(row[0]) for row in copy.execute("SELECT handle FROM points")}


def _scalar(connection: sqlite3.Connection, query: str) -> str:
    row = connection.execute(query).fetchone()
    return "" if row is None else str(row[0])
