"""Verification: every byte of the history is read and judged, and each damage has a place.

Pure over a Disk and a list of segments, so that the same runs in compute at night and
in `penstock doctor` beside a node that is off. Checksums find what a disk has changed;
the table against its decoded rows finds what a program has written wrong.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from penstock.codec.layout import Damaged
from penstock.codec.log_archive import ARCHIVE_HEADER_BYTES, decode_archive_header
from penstock.codec.log_file import FILE_HEADER_BYTES, decode_file_header
from penstock.historian.manifest import decode_manifest, manifest_names
from penstock.historian.verify_segment import Finding, check_segment
from penstock.log.files import SEQUENCE_END, Found, LogFile, end_of
from penstock.log.reader import FileReader
from penstock.log.record import decode_payload
from penstock.log.store import FileStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from penstock.historian.segment import SegmentInfo
    from penstock.model.event import Json
    from penstock.world import Disk

    Pace = Callable[[int], None]
    Document = dict[str, Json]

DAMAGE_MAX = 1_000
SEGMENTS, LOG = "segments", "log/0"


@dataclass(frozen=True, slots=True)
class Damage:
    """One damaged place: `place` is `folder/file@offset` below the data folder.

    What it says about samples is known where a chunk is damaged whose table is whole;
    -1 everywhere else.
    """

    place: str
    what: str
    detail: str
    file: str
    chunk: int = -1
    point: int = -1
    first_ns: int = -1
    last_ns: int = -1
    first_sequence: int = -1
    last_sequence: int = -1


@dataclass(slots=True)
class Report:
    """What was verified, and the damage; of very much damage the first DAMAGE_MAX places."""

    manifests: int = 0
    segments: int = 0
    chunks: int = 0
    rows: int = 0
    log_files: int = 0
    log_records: int = 0
    bytes: int = 0
    damage_total: int = 0
    damage: list[Damage] = field(default_factory=list)

    def add(self, damage: Damage) -> None:
        """Count it, and keep it while there is room."""
        self.damage_total += 1
        if len(self.damage) < DAMAGE_MAX:
            self.damage.append(damage)

    def to_document(self) -> Document:
        """For the link and the API."""
        return asdict(self)

    @property
    def places(self) -> set[str]:
        """Names of the damaged files."""
        return {item.file for item in self.damage}


def verify_manifests(disk: Disk, folder: Path, report: Report, pace: Pace) -> None:
    """Every manifest in the folder, also the one kept before the newest."""
    for name in manifest_names(disk, folder):
        try:
            data = disk.read(folder / name)
            pace(len(data))
            report.bytes += len(data)
            report.manifests += 1
            decode_manifest(data)
        except FileNotFoundError:
            continue  # the next one was committed meanwhile
        except Damaged as error:
            report.add(Damage(f"{SEGMENTS}/{name}", "manifest", str(error), name))


def verify_segments(
    disk: Disk, folder: Path, infos: Sequence[SegmentInfo], report: Report, pace: Pace
) -> None:
    """Every byte of the listed segments; nobody removes them meanwhile (a pin, or a node off)."""
    for info in infos:
        report.segments += 1
        report.bytes += info.file_bytes
        report.rows += info.rows
        report.chunks += info.chunks
        for finding in check_segment(disk, folder, info, pace):
            report.add(_damage_of(info.name, finding))


def verify_log(disk: Disk, folder: Path, durable: int, report: Report, pace: Pace) -> None:
    """Every record up to `durable` in the files of a partition, of either form.

    Files that retention takes meanwhile are passed by.
    """
    store = FileStore(folder, disk)
    files = store.files()
    for index, file in enumerate(files):
        end = min(end_of(files, index), durable + 1)
        try:
            report.bytes += store.stored_bytes(file)
            report.log_files += 1
            _verify_log_file(store, file, end, report, pace)
        except FileNotFoundError:
            continue


def _verify_log_file(store: FileStore, file: LogFile, end: int, report: Report, pace: Pace) -> None:
    _verify_log_head(store, file, report)
    at = 0
    for item in FileReader(store).items(file, file.first, end):
        if not isinstance(item, Found):
            if item.last >= item.first:
                report.add(_log_damage(file, item.offset, item.first, item.last, "is missing"))
            continue
        report.log_records += 1
        pace(item.end - at)
        at = item.end
        try:
            decode_payload(item.header, item.payload)
        except Damaged as error:
            sequence = item.header.sequence
            report.add(_log_damage(file, item.offset, sequence, sequence, str(error)))


def _verify_log_head(store: FileStore, file: LogFile, report: Report) -> None:
    name = file.compressed_name if store.is_compressed(file) else file.name
    try:
        if name == file.compressed_name:
            path = store.folder / name
            decode_archive_header(store.disk.read(path, 0, ARCHIVE_HEADER_BYTES))
        header = decode_file_header(store.read(file, 0, FILE_HEADER_BYTES))
    except Damaged as error:
        report.add(Damage(f"{LOG}/{name}", "log", str(error), name))
        return
    if (header.incarnation, header.first_sequence) != (file.incarnation, file.first):
        report.add(Damage(f"{LOG}/{name}", "log", "the file's head is that of another file", name))


def _log_damage(file: LogFile, offset: int, first: int, last: int, detail: str) -> Damage:
    records = f"record {first}" if first == last else f"records {first} to {last}"
    return Damage(
        f"{LOG}/{file.name}@{offset}",
        "log",
        f"{records}: {detail}",
        file.name,
        first_sequence=first,
        last_sequence=last,
    )


def _damage_of(name: str, finding: Finding) -> Damage:
    place = f"{SEGMENTS}/{name}@{finding.offset}"
    damage = Damage(place, finding.what, finding.detail, name, finding.chunk)
    table, chunk = finding.table, finding.chunk
    if table is None or chunk < 0:
        return damage
    return Damage(
        place,
        finding.what,
        finding.detail,
        name,
        chunk,
        int(table.point[chunk]),
        int(table.first_ns[chunk]),
        int(table.last_ns[chunk]),
        int(table.first_sequence[chunk]),
        int(table.last_sequence[chunk]),
    )


def durable_end(disk: Disk, folder: Path) -> int:
    """Last sequence of a log that nobody writes: all good records at the end of its files count."""
    store = FileStore(folder, disk)
    files = store.files()
    for file in reversed(files):
        items = FileReader(store).items(file, file.first, SEQUENCE_END)
        last = max((i.header.sequence for i in items if isinstance(i, Found)), default=0)
        if last:
            return last
    return 0
