"""Which segments a compaction reads and which day files it writes; nothing is written here.

Raw segments become files of one UTC day each. Rows younger than a cut stay behind, so
that the files of a day follow each other in time; a few late rows stay behind until
enough of them are there to be worth a new generation of their day.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penstock.codec.layout import Damaged, crc
from penstock.historian.chunk import decode_chunk
from penstock.historian.segment import (
    HEADER_BYTES,
    ChunkTable,
    SegmentInfo,
    check_header,
    decode_table,
    kind_of,
)
from penstock.model.time import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    import numpy.typing as npt

    from penstock.historian.config import HistorianSettings
    from penstock.historian.manifest import Manifest
    from penstock.world import Disk

    Report = Callable[[str, str], None]

DAY_NS = 86_400 * SECOND_NS
HOUR_NS = 3_600 * SECOND_NS
CUT_AGE_NS = 600 * SECOND_NS
"""Rows younger than this are still arriving."""
FAST_SEGMENTS = 3
"""So many times the segments of a compaction are too many to wait for a whole hour."""
DAYS_MAX = 200
"""Day files that are written at the same time."""
DAY_FILES_MAX = 8
"""Files of one day; more are merged before the day is over."""
LATE_SHARE = 16
"""Late rows of a day are worth a new generation at a sixteenth of the day's rows."""
LATE_ROWS = 65_536
"""So many late rows are worth it in any case."""
CHUNKS_MAX = 250_000
"""Chunk tables in memory at the same time: 133 bytes each. Files of a day with more stay apart."""
_OLD_DAY_ROWS = 4_096
_KINDS_WITH_ROWS = 3


@dataclass(frozen=True, slots=True)
class Source:
    """A segment that a compaction reads; `order` is its place in the manifest."""

    info: SegmentInfo
    table: ChunkTable
    order: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Sources in manifest order; rows of `days` before `cut_ns` go to day files, others stay raw.

    `generation` is that of each day's new file.
    """

    sources: tuple[Source, ...]
    cut_ns: int
    days: npt.NDArray[np.int64]
    generation: tuple[int, ...]


def day_of(time_ns: int) -> int:
    """Days since 1970."""
    return time_ns // DAY_NS


def is_day_file(info: SegmentInfo) -> bool:
    """Day files have odd generations, raw segments even ones."""
    return info.generation % 2 == 1


def cut_of(manifest: Manifest, settings: HistorianSettings, now_ns: int) -> int:
    """Rows from it on stay behind: a whole hour, at least CUT_AGE_NS ago.

    Whole hours keep the hourly chunks of two files apart. Where so much comes that an
    hour would be too many segments, it is whole ten minutes.
    """
    cut_ns = (now_ns - CUT_AGE_NS) // CUT_AGE_NS * CUT_AGE_NS
    is_fast = len(waiting(manifest, cut_ns)) >= FAST_SEGMENTS * settings.compaction_segments_min
    return cut_ns if is_fast else cut_ns // HOUR_NS * HOUR_NS


def waiting(manifest: Manifest, cut_ns: int) -> list[SegmentInfo]:
    """Raw segments that have rows before the cut, oldest first."""
    return [i for i in manifest.segments if not is_day_file(i) and i.first_ns < cut_ns]


def day_files(manifest: Manifest) -> dict[int, list[SegmentInfo]]:
    """The files of each day; a day without one has an empty list."""
    files: dict[int, list[SegmentInfo]] = defaultdict(list)
    for info in manifest.segments:
        if is_day_file(info):
            files[day_of(info.first_ns)].append(info)
    return files


def days_to_merge(manifest: Manifest, now_ns: int) -> dict[int, list[SegmentInfo]]:
    """Days whose files are to become one: the day is over, or there are too many."""
    today = day_of(now_ns - CUT_AGE_NS)
    return {
        day: found
        for day, found in day_files(manifest).items()
        if sum(info.chunks for info in found) <= CHUNKS_MAX
        and (len(found) >= DAY_FILES_MAX or (day < today and _is_worth_merging(found)))
    }


def _is_worth_merging(files: list[SegmentInfo]) -> bool:
    largest = max(info.rows for info in files)
    rest = sum(info.rows for info in files) - largest
    return len(files) > 1 and (rest * LATE_SHARE >= largest or rest >= LATE_ROWS)


def make_plan(
    disk: Disk,
    folder: Path,
    manifest: Manifest,
    settings: HistorianSettings,
    now_ns: int,
    report: Report,
    skipped: Collection[str] = (),
) -> Plan | None:
    """What to do now; None when it is not worth it yet. Segments in `skipped` stay as they are."""
    reader = _Reader(disk, folder, manifest, report, skipped)
    cut_ns = cut_of(manifest, settings, now_ns)
    infos = waiting(manifest, cut_ns)
    is_full = len(infos) >= settings.compaction_segments_min
    raws = reader.sources(infos) if is_full else []
    raws = [raw for raw in raws if _is_mostly_before(raw.table, cut_ns)]
    fresh = _rows_by_day(disk, folder, raws, cut_ns)
    chosen = _choose(day_files(manifest), days_to_merge(manifest, now_ns), fresh, cut_ns)
    raws = [raw for raw in raws if _has_rows_of(raw, chosen, cut_ns)]
    files = {day: reader.sources(infos) for day, infos in chosen.items()}
    files = {day: found for day, found in files.items() if day in fresh or len(found) > 1}
    sources = _in_order(manifest, [*raws, *(file for found in files.values() for file in found)])
    if not sources:
        return None
    numbers = sorted(files)
    newest = {day: [info.generation for info in day_files(manifest)[day]] for day in numbers}
    generation = tuple(max([-1, *newest[day]]) + 2 for day in numbers)
    return Plan(sources, cut_ns, np.array(numbers, np.int64), generation)


def _choose(
    files: dict[int, list[SegmentInfo]],
    merged: dict[int, list[SegmentInfo]],
    fresh: dict[int, int],
    cut_ns: int,
) -> dict[int, list[SegmentInfo]]:
    """Days to write, each with the files that its new file replaces."""
    today = day_of(cut_ns)
    chosen = dict(merged)
    strays: dict[int, list[SegmentInfo]] = {}
    for day, rows in fresh.items():
        there = sum(info.rows for info in files[day])
        if day in chosen:
            continue
        if day >= today or sum(info.chunks for info in files[day]) > CHUNKS_MAX:
            chosen[day] = []
        elif rows >= LATE_ROWS or _is_enough(rows, there, is_recent=day >= today - 1):
            chosen[day] = files[day]
        else:
            strays[day] = files[day]
    if not chosen or sum(fresh[day] for day in strays) >= LATE_ROWS:
        chosen |= strays
    return {day: chosen[day] for day in sorted(chosen)[:DAYS_MAX]}


def _is_enough(rows: int, there: int, *, is_recent: bool) -> bool:
    """Are these rows of a day that is over worth its first file, or its next generation?"""
    if not there:
        return is_recent or rows >= _OLD_DAY_ROWS
    return rows * LATE_SHARE >= there


# --- rows by day


def _rows_by_day(disk: Disk, folder: Path, raws: Iterable[Source], cut_ns: int) -> dict[int, int]:
    """Rows before the cut by day; chunks that reach over several days are looked into."""
    total: dict[int, int] = defaultdict(int)
    for raw in raws:
        table = raw.table
        first, last = table.first_ns // DAY_NS, table.last_ns // DAY_NS
        is_whole = (first == last) & (table.last_ns < cut_ns)
        for day, rows in _sums(first[is_whole], table.rows[is_whole]):
            total[day] += rows
        for chunk in np.flatnonzero(~is_whole & (table.first_ns < cut_ns)).tolist():
            for day, rows in _sums(*_days_within(disk, folder, raw, chunk, cut_ns)):
                total[day] += rows
    return dict(total)


def _days_within(
    disk: Disk, folder: Path, raw: Source, chunk: int, cut_ns: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """(day, 1) of each row before the cut; a Block or a damaged chunk counts with its begin."""
    table = raw.table
    begin = int(table.first_ns[chunk])
    time_ns = np.array([begin], np.int64)
    if int(table.kind[chunk]) <= _KINDS_WITH_ROWS:
        offset, size = int(table.offset[chunk]), int(table.bytes[chunk])
        data = read_bytes(disk, folder, raw.info, offset, size)
        if crc(data) == int(table.crc[chunk]):
            rows, sequence = int(table.rows[chunk]), int(table.first_sequence[chunk])
            time_ns = decode_chunk(data, kind_of(table, chunk), rows, begin, sequence).time_ns
    days = time_ns[time_ns < cut_ns] // DAY_NS
    return days, np.ones(len(days), np.uint32)


def _sums(days: npt.NDArray[np.int64], rows: npt.NDArray[np.uint32]) -> Iterable[tuple[int, int]]:
    found, place = np.unique(days, return_inverse=True)
    total = np.bincount(place, rows, len(found))
    return zip(found.tolist(), total.astype(np.int64).tolist(), strict=True)


def _is_mostly_before(table: ChunkTable, cut_ns: int) -> bool:
    """A segment that is mostly younger waits whole, so that few rows are written twice."""
    length = np.maximum(table.last_ns - table.first_ns, 1).astype(np.float64)
    share = np.clip((cut_ns - table.first_ns) / length, 0.0, 1.0)
    return 2 * float((table.rows * share).sum()) >= int(table.rows.sum())


def _has_rows_of(raw: Source, chosen: Collection[int], cut_ns: int) -> bool:
    """May the segment have a row that goes to a day file? Then it is rewritten."""
    table = raw.table
    days = np.array(sorted(chosen), np.int64)
    first, last = table.first_ns // DAY_NS, np.minimum(table.last_ns, cut_ns - 1) // DAY_NS
    place = np.searchsorted(days, first)
    is_hit = (place < len(days)) & (days[np.minimum(place, len(days) - 1)] <= last)
    return bool((is_hit & (table.first_ns < cut_ns)).any())


# --- reading


class Unreadable(Exception):
    """The disk does not give a source's bytes: the segment stays where it is."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.name = name
        self.detail = detail


def read_bytes(disk: Disk, folder: Path, info: SegmentInfo, offset: int, size: int) -> bytes:
    """Bytes of a source; Unreadable when the disk does not give all of them."""
    try:
        data = disk.read(folder / info.name, offset, size)
    except OSError as error:
        raise Unreadable(info.name, str(error)) from error
    if len(data) != size:
        raise Unreadable(info.name, f"only {len(data)} of {size} bytes at {offset}")
    return data


class _Reader:
    """Reads chunk tables; a segment without a sound table is named and left where it is."""

    def __init__(
        self,
        disk: Disk,
        folder: Path,
        manifest: Manifest,
        report: Report,
        skipped: Collection[str],
    ) -> None:
        self._disk = disk
        self._folder = folder
        self._order = {info.name: n for n, info in enumerate(manifest.segments)}
        self._report = report
        self._skipped = set(skipped)
        self._chunks = 0

    def sources(self, infos: Iterable[SegmentInfo]) -> list[Source]:
        """Those that can be read, as many as fit into memory."""
        found: list[Source] = []
        for info in infos:
            if info.name in self._skipped:
                continue
            if self._chunks and self._chunks + info.chunks > CHUNKS_MAX:
                break
            table = self._table(info)
            if table is not None:
                self._chunks += info.chunks
                found.append(Source(info, table, self._order[info.name]))
        return found

    def _table(self, info: SegmentInfo) -> ChunkTable | None:
        path = self._folder / info.name
        try:
            check_header(self._disk.read(path, 0, HEADER_BYTES))
            size = info.file_bytes - info.table_offset
            return decode_table(self._disk.read(path, info.table_offset, size), info.table_offset)
        except (Damaged, OSError) as error:
            self._report(info.name, str(error))
            self._skipped.add(info.name)
            return None


def _in_order(manifest: Manifest, sources: list[Source]) -> tuple[Source, ...]:
    """Sources by place, without those whose log sequences an earlier segment has that stays.

    A log that lost its end gives sequences twice; then the place decides between rows.
    """
    chosen = {source.order: source for source in sources}
    found: list[Source] = []
    until = -1
    for order, info in enumerate(manifest.segments):
        if order in chosen and info.first_sequence > until:
            found.append(chosen[order])
        elif not is_day_file(info):
            until = max(until, info.until)
    return tuple(found)
