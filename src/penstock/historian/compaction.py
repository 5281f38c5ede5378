"""Compaction: raw segments become day files, and day files of a day that is over become one.

Pure functions over a disk, a folder and a manifest: compute runs them, core commits what
they propose. Nothing that exists is changed, so that a crash at any moment leaves
the old state and some files that no manifest lists.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import structlog

from penstock.historian.compaction_blocks import Copied, SourceChunks
from penstock.historian.compaction_plan import (
    DAY_NS,
    Plan,
    Source,
    Unreadable,
    cut_of,
    days_to_merge,
    make_plan,
    waiting,
)
from penstock.historian.last import LastTable
from penstock.historian.manifest import Manifest, Proposal
from penstock.historian.names import taken_names
from penstock.historian.segment import (
    SegmentInfo,
    encode_header,
    encode_table,
    join_tables,
    segment_name,
)
from penstock.historian.writer import PointRows, SegmentWriter
from penstock.model.time import format_ns

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from penstock.historian.config import HistorianSettings
    from penstock.historian.encode import DecimalHints
    from penstock.world import Disk

_log = structlog.get_logger(__name__)


def is_due(manifest: Manifest, settings: HistorianSettings, now_ns: int) -> bool:
    """Is it worth asking for a compaction? Cheap: reads no file."""
    cut_ns = cut_of(manifest, settings, now_ns)
    is_full = len(waiting(manifest, cut_ns)) >= settings.compaction_segments_min
    return is_full or bool(days_to_merge(manifest, now_ns))


def compact_once(
    disk: Disk,
    folder: Path,
    manifest: Manifest,
    settings: HistorianSettings,
    hints: DecimalHints,
    report: Callable[[dict[str, int]], None],
    is_cancelled: Callable[[], bool],
    *,
    now_ns: int,
) -> Proposal | None:
    """Write what should replace some segments; None when nothing is to be done (or cancelled).

    `report` gets rows done and in all, and damaged places. A segment that cannot be
    read is left where it is, and so are its rows. OSError when the disk does not
    take the new files: they are removed, and it may be tried again.
    """
    damage: dict[str, str] = {}
    unreadable: set[str] = set()
    while True:
        try:
            plan = make_plan(
                disk, folder, manifest, settings, now_ns, damage.__setitem__, unreadable
            )
            if plan is None:
                return None
            added = Run(disk, folder, manifest, plan, hints, damage).write(report, is_cancelled)
        except Unreadable as error:
            damage[error.name] = error.detail
            unreadable.add(error.name)
            continue
        for place, detail in damage.items():
            _log.error("compaction_met_damage", place=place, detail=detail)
        if added is None:
            return None
        names = tuple(source.info.name for source in plan.sources)
        return Proposal(manifest.version, names, added)


class Run:
    """One rewriting under way: its sources, and the files that it writes into `target`."""

    def __init__(
        self,
        disk: Disk,
        folder: Path,
        manifest: Manifest,
        plan: Plan,
        hints: DecimalHints,
        damage: dict[str, str],
        target: Path | None = None,
    ) -> None:
        self._disk = disk
        self._folder = folder
        self._target = target or folder
        self._rest_generation = 0
        self._manifest = manifest
        self._plan = plan
        self._hints = hints
        self._damage = damage
        self._files: dict[int, NewFile] = {}
        self._taken = taken_names(disk, folder, (info.name for info in manifest.segments))
        infos = [source.info for source in plan.sources]
        self._after = min(info.after for info in infos)
        self._until = max(info.until for info in infos)

    def write(
        self, report: Callable[[dict[str, int]], None], is_cancelled: Callable[[], bool]
    ) -> tuple[SegmentInfo, ...] | None:
        """The new files, durable; None when it was cancelled. Unless it succeeds, none is left."""
        added: tuple[SegmentInfo, ...] | None = None
        try:
            if self._write_blocks(report, is_cancelled):
                added = tuple(self._files[slot].finish() for slot in sorted(self._files))
        finally:
            if added is None:
                self._remove()
        return added

    def _write_blocks(
        self, report: Callable[[dict[str, int]], None], is_cancelled: Callable[[], bool]
    ) -> bool:
        chunks = SourceChunks(self._disk, self._folder, self._plan.sources)
        total, done = chunks.rows, 0
        for block in chunks.blocks(self._on_damage):
            if is_cancelled():
                return False
            if isinstance(block, Copied):
                self._copy(block)
                done += int(block.table.rows.sum())
            else:
                self._add(block)
                done += len(block.rows)
            report({"rows": done, "rows_total": total, "damaged": len(self._damage)})
        return True

    def _remove(self) -> None:
        """Take back what was written; what the disk refuses stays until the next start."""
        for file in self._files.values():
            file.abandon()

    def _on_damage(self, source: Source, offset: int) -> None:
        self._damage[f"{source.info.name}@{offset}"] = "chunk cannot be read; copied as it is"

    def _slots(self, time_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """Number of the day file that a row belongs to; that of the raw file is behind them."""
        days, cut_ns = self._plan.days, self._plan.cut_ns
        rest = len(days)
        if not rest:
            return np.zeros(len(time_ns), np.intp)
        day = time_ns // DAY_NS
        place = np.minimum(np.searchsorted(days, day), rest - 1)
        return np.where((days[place] == day) & (time_ns < cut_ns), place, rest)

    def _add(self, block: PointRows) -> None:
        time_ns = block.rows.time_ns
        if not len(time_ns):
            return
        ends = self._slots(np.array([time_ns.min(), time_ns.max()]))
        if ends[0] == ends[1] < len(self._plan.days):
            self._file(int(ends[0])).writer.add(block)
            return
        slots = self._slots(time_ns)
        order = np.argsort(slots.astype(np.uint16), kind="stable")
        bounds = np.flatnonzero(np.diff(slots[order])) + 1
        for index in np.split(order, bounds):
            part = PointRows(block.kind, block.point[index], block.rows.take(index))
            self._file(int(slots[index[0]])).writer.add(part)

    def _copy(self, block: Copied) -> None:
        slots = self._slots(block.table.first_ns)
        for slot in np.unique(slots).tolist():
            index = np.flatnonzero(slots == slot)
            pieces = [block.pieces[chunk] for chunk in index.tolist()]
            self._file(slot).writer.copy(block.table.take(index), pieces)

    def _file(self, slot: int) -> NewFile:
        if slot not in self._files:
            self._files[slot] = self._opened(slot)
        return self._files[slot]

    def _opened(self, slot: int) -> NewFile:
        """A new file under a name that means no other file."""
        plan = self._plan
        is_rest = slot == len(plan.days)
        first_sequence = min(source.info.first_sequence for source in plan.sources)
        if is_rest:
            oldest = min(source.info.first_ns for source in plan.sources)
            day, generation = _date_of(oldest), self._rest_generation
        else:
            day, generation = _date_of(int(plan.days[slot]) * DAY_NS), plan.generation[slot]
        while segment_name(day, first_sequence, generation) in self._taken:
            generation += 2
        self._taken.add(segment_name(day, first_sequence, generation))
        header = encode_header(
            day, generation, self._after, self._until, self._manifest.incarnation
        )
        name = (day, generation, first_sequence, self._after, self._until)
        return NewFile(self._disk, self._target, name, header, self._hints, is_final=not is_rest)


class NewFile:
    """A segment that is being written; `name` is what SegmentInfo begins with."""

    def __init__(
        self,
        disk: Disk,
        folder: Path,
        name: tuple[int, int, int, int, int],
        header: bytes,
        hints: DecimalHints,
        *,
        is_final: bool,
    ) -> None:
        day, generation, first_sequence, *_ = name
        self._disk = disk
        self._path = folder / segment_name(day, first_sequence, generation)
        self._name = name
        self._is_open = True
        self._file = disk.append_to(self._path)
        self.writer = SegmentWriter(self._file, LastTable().all_rows(), hints, is_final=is_final)
        self.writer.append([header])

    def finish(self) -> SegmentInfo:
        """Table and footer, durably."""
        table = join_tables(self.writer.tables)
        table_offset = self.writer.offset
        self.writer.append(encode_table(table, table_offset))
        self._file.sync()
        self._close()
        day, generation, first_sequence, after, until = self._name
        return SegmentInfo.of_table(
            table,
            day=day,
            generation=generation,
            first_sequence=first_sequence,
            after=after,
            until=until,
            table_offset=table_offset,
            file_bytes=self.writer.offset,
        )

    def abandon(self) -> None:
        """Close and remove; nothing lists it."""
        self._close()
        with contextlib.suppress(OSError):
            self._disk.remove(self._path)

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._file.close()


def _date_of(time_ns: int) -> int:
    """20261125 of a moment of that day."""
    return int(format_ns(time_ns)[:10].replace("-", ""))
