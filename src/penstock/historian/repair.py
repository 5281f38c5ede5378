"""Repair: what is damaged in the history is built again from the log, where the log still has it.

A chunk is rebuilt from the records between its first and last sequence, and counts only
if it fits what the table (under a checksum of its own) says of the lost one. A segment
without a table is rebuilt whole, and counts only if it fits the manifest and the log has
not begun anew since the file was written. Everything else stays what it is: a named gap
of bad quality. Nothing is overwritten: the result is a new file beside the old one, and a
proposal to list it instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from penstock.codec.layout import Damaged
from penstock.historian.ahead import doubted, doubted_block
from penstock.historian.block_chunk import held
from penstock.historian.encode import DecimalHints
from penstock.historian.flush import write_segment
from penstock.historian.head import Head, clean, stored
from penstock.historian.last import LastTable
from penstock.historian.manifest import Proposal
from penstock.historian.names import QUARANTINE, taken_names
from penstock.historian.rebuild import Source, rebuild_chunks, write_mended
from penstock.historian.salvage import salvaged_table
from penstock.historian.segment import HEADER_BYTES, decode_header, decode_table
from penstock.log.files import end_of
from penstock.log.reader import FileReader
from penstock.log.store import FileStore
from penstock.model import Batch, Flag, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from penstock.historian.segment import SegmentInfo
    from penstock.historian.verify import Damage
    from penstock.log.record import LogRecord
    from penstock.world import Disk

    Pace = Callable[[int], None]

RECORDS = 256
BYTES = 8 * 1024 * 1024
ROWS_MAX = 4_000_000
QUARANTINE_BYTES_MAX = 1024 * 1024 * 1024


@dataclass(slots=True)
class Repaired:
    """What can be swapped in, and what stays damaged (place: why)."""

    proposal: Proposal | None = None
    mended: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)


class LogSpan:
    """Records of the log by sequence, for whoever needs each of them or none."""

    def __init__(self, disk: Disk, folder: Path, durable: int) -> None:
        store = FileStore(folder, disk)
        self._files = store.files()
        self._reader = FileReader(store)
        self.durable = durable

    def records(self, first: int, last: int, pace: Pace) -> Iterator[LogRecord]:
        """Every record of the span in order; Refused("not_found") at the first that is missing."""
        if last > self.durable:
            raise Refused("not_found", f"the log ends at record {self.durable}")
        after = first - 1
        while after < last:
            durable = min(last, self.durable)
            reading = self._reader.read(self._files, after, durable, RECORDS, BYTES)
            pace(reading.bytes_read)
            for record in reading.records:
                if record.sequence != after + 1:
                    break
                after = record.sequence
                yield record
            if not reading.records or after < reading.records[-1].sequence:
                raise Refused("not_found", f"the log does not have record {after + 1} any more")

    def incarnation_of(self, sequence: int) -> int:
        """Of the file that holds the record; 0 when there is none."""
        for index, file in enumerate(self._files):
            if file.first <= sequence < end_of(self._files, index):
                return file.incarnation
        return 0


def repair_segments(
    disk: Disk,
    folder: Path,
    segments: Sequence[SegmentInfo],
    version: int,
    damage: Sequence[Damage],
    log: LogSpan,
    pace: Pace,
) -> Repaired:
    """New files for the listed segments that are damaged; core or the doctor commits them.

    `version` is that of the manifest that lists them.
    OSError when the disk refuses a new file; nothing is changed then.
    """
    result = Repaired()
    remove: list[str] = []
    add: list[SegmentInfo] = []
    names = {info.name for info in segments}
    for info in segments:
        places = [item for item in damage if item.file == info.name]
        if not places:
            continue
        try:
            new = _repair_one(disk, folder, info, places, log, pace, names, result)
        except (Refused, Damaged) as error:
            detail = error.detail if isinstance(error, Refused) else str(error)
            result.left |= {item.place: detail for item in places}
            continue
        if new is not None:
            remove.append(info.name)
            add.append(new)
            names.add(new.name)
    if add:
        result.proposal = Proposal(version, tuple(remove), tuple(add))
    return result


def _repair_one(
    disk: Disk,
    folder: Path,
    info: SegmentInfo,
    places: Sequence[Damage],
    log: LogSpan,
    pace: Pace,
    names: Collection[str],
    result: Repaired,
) -> SegmentInfo | None:
    if not _has_table(disk, folder, info):
        new = _with_salvaged_table(disk, folder, info, log, pace, names, result)
        new = new or _rebuild_whole(disk, folder, info, log, pace, names)
        result.mended += [item.place for item in places]
        return new
    wanted = {item.chunk: item.place for item in places if item.chunk >= 0}
    source = Source(disk, folder, info)
    rebuilt, left = rebuild_chunks(source, [*wanted], log.records, pace)
    result.left |= {wanted[chunk]: why for chunk, why in left.items()}
    result.left |= {
        item.place: "the table itself was written wrong" for item in places if item.what == "table"
    }
    done = [item.place for item in places if item.place not in result.left]
    if not done:
        return None
    result.mended += done
    incarnation = _header_incarnation(disk, folder, info, log)
    return write_mended(source, rebuilt, incarnation, taken_names(disk, folder, names))


def _with_salvaged_table(
    disk: Disk,
    folder: Path,
    info: SegmentInfo,
    log: LogSpan,
    pace: Pace,
    names: Collection[str],
    result: Repaired,
) -> SegmentInfo | None:
    """A file with the same chunks, where its table can be told from the damaged one.

    A chunk that the log has no more stays damaged, with the checksum that tells it.
    """
    salvaged = salvaged_table(disk, folder, info, pace)
    if salvaged is None:
        return None
    table, chunks = salvaged
    source = Source(disk, folder, info, table)
    rebuilt, left = rebuild_chunks(source, chunks, log.records, pace)
    place = f"segments/{info.name}@"
    result.left |= {f"{place}{int(table.offset[chunk])}": why for chunk, why in left.items()}
    incarnation = _header_incarnation(disk, folder, info, log)
    return write_mended(source, rebuilt, incarnation, taken_names(disk, folder, names))


def _has_table(disk: Disk, folder: Path, info: SegmentInfo) -> bool:
    try:
        decode_table(disk.read(folder / info.name, info.table_offset), info.table_offset)
    except (Damaged, FileNotFoundError):
        return False
    return disk.size(folder / info.name) == info.file_bytes


def _header_incarnation(disk: Disk, folder: Path, info: SegmentInfo, log: LogSpan) -> int:
    """Incarnation for the new header: the old one's, or that of the log where it ended."""
    try:
        return decode_header(disk.read(folder / info.name, 0, HEADER_BYTES)).incarnation
    except (Damaged, FileNotFoundError):
        return log.incarnation_of(info.until)


def _rebuild_whole(
    disk: Disk,
    folder: Path,
    info: SegmentInfo,
    log: LogSpan,
    pace: Pace,
    names: Collection[str],
) -> SegmentInfo:
    """A flushed segment from all records that it holds; Refused if that is not what it was."""
    if info.rows > ROWS_MAX:
        raise Refused("too_large", f"{info.rows} rows are more than a head holds")
    head = Head(info.after)
    for record in log.records(info.after + 1, info.until, pace):
        if isinstance(record.payload, Batch):
            _append(head, record.payload, record)
        head.sequence = record.sequence
    incarnation = log.incarnation_of(info.until)
    if incarnation > _header_incarnation(disk, folder, info, log):
        raise Refused("not_found", "the log has given the sequences of the file again, to others")
    taken = taken_names(disk, folder, names)
    nothing = LastTable().all_rows()
    new = write_segment(disk, folder, head.view(), nothing, DecimalHints(), incarnation, taken)
    if new is None:
        raise Refused("not_found", "the log has no row of it")
    if not _is_same(new, info):
        disk.remove(folder / new.name)
        raise Refused("not_found", "what the log has is not what was in the file")
    return new


def _append(head: Head, batch: Batch, record: LogRecord) -> None:
    sequence, receive_ns = record.sequence, record.receive_ns
    for frame in batch.frames:
        head.append(stored(clean(doubted(frame, receive_ns))), sequence)
    for block in batch.blocks:
        item = held(doubted_block(block, receive_ns), sequence)
        if not item.block.flags & Flag.TRANSIENT:
            head.append_block(item)


def _is_same(new: SegmentInfo, old: SegmentInfo) -> bool:
    """The manifest knows what the lost file held; bytes may differ with the compressor."""
    free = {"generation": 0, "table_offset": 0, "file_bytes": 0}
    return replace(new, **free) == replace(old, **free)


# --- quarantine


def keep_in_quarantine(
    disk: Disk, data: Path, path: Path, bytes_max: int = QUARANTINE_BYTES_MAX
) -> str | None:
    """Copy a damaged file to `data/quarantine`; the oldest copies make room for it.

    The copy's name, None for a file that is gone or larger than the whole quarantine.
    """
    folder = data / QUARANTINE
    disk.make_folder(folder)
    try:
        content = disk.read(path)
    except FileNotFoundError:
        return None
    if len(content) > bytes_max:
        return None
    names = _by_number(disk.list(folder))
    sizes = {name: disk.size(folder / name) for name in names}
    while names and sum(sizes.values()) + len(content) > bytes_max:
        disk.remove(folder / names[0])
        del sizes[names.pop(0)]
    number = int(names[-1].partition("-")[0]) + 1 if names else 1
    name = f"{number:08d}-{path.name}"
    disk.write_whole(folder / name, [content])
    return name


def _by_number(names: Sequence[str]) -> list[str]:
    """Copies in the order in which they were made."""
    return sorted(name for name in names if name.partition("-")[0].isdigit())
