"""Erasing: segments are written again without some rows; expired ones go, deleted ones aside.

A pure function over a disk, a folder and a manifest, as a compaction is; core commits what
it proposes, so that a crash leaves either all rows or none of those that had to go.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.codec.layout import Damaged
from penstock.historian.chunk import decode_chunk
from penstock.historian.compaction import Run
from penstock.historian.compaction_blocks import Copied
from penstock.historian.compaction_plan import Plan, Source, Unreadable, day_of, is_day_file
from penstock.historian.encode import DecimalHints
from penstock.historian.manifest import Proposal
from penstock.historian.segment import HEADER_BYTES, check_header, decode_table, kind_of
from penstock.historian.store import check_chunk
from penstock.historian.writer import PointRows
from penstock.model import ValueKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from penstock.historian.manifest import Manifest
    from penstock.historian.segment import ChunkTable, SegmentInfo
    from penstock.world import Disk

SEGMENTS_MAX = 64
"""Files that an expiry rewrites before it commits."""
WORTH_SHARE = 8
"""A file is written again for expired rows once they are an eighth of its bytes."""
ASIDE_GENERATION = 200_000
"""Far from those that compactions give, so that a file can come back under its name."""
_END_NS = 2**62


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of these points from `from_ns` up to but not including `to_ns`."""

    handles: npt.NDArray[np.uint32]
    from_ns: int
    to_ns: int

    def to_document(self) -> dict[str, Any]:
        """For the link between core and compute."""
        bits = np.zeros(int(self.handles.max(initial=0)) + 1, np.uint8)
        bits[self.handles] = 1
        packed = np.packbits(bits, bitorder="little").tobytes()
        handles = base64.b64encode(packed).decode()
        return {"handles": handles, "from_ns": str(self.from_ns), "to_ns": str(self.to_ns)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Part:
        """Back from the link."""
        packed = np.frombuffer(base64.b64decode(document["handles"]), np.uint8)
        handles = np.flatnonzero(np.unpackbits(packed, bitorder="little")).astype(np.uint32)
        return cls(handles, int(document["from_ns"]), int(document["to_ns"]))


@dataclass(frozen=True, slots=True)
class Erasure:
    """What goes: no point is in two parts; only rows of log records up to `until`.

    `is_strict`: every such row goes, also where that frees little (a deletion).
    """

    parts: tuple[Part, ...]
    until: int
    is_strict: bool


@dataclass(slots=True)
class Erased:
    """What was written; counts by number of the part, `withdrawn` are the files aside."""

    proposal: Proposal
    rows: list[int]
    freed_bytes: list[int]
    withdrawn: list[SegmentInfo] = field(default_factory=list)
    is_whole: bool = True


class _Spans:
    """Begin, end and part of every handle, as arrays."""

    def __init__(self, erasure: Erasure) -> None:
        size = max((int(part.handles.max(initial=0)) for part in erasure.parts), default=0) + 2
        self.begin = np.zeros(size, np.int64)
        self.end = np.zeros(size, np.int64)
        self.part = np.full(size, -1, np.int64)
        for number, part in enumerate(erasure.parts):
            self.begin[part.handles] = part.from_ns
            self.end[part.handles] = part.to_ns
            self.part[part.handles] = number
        self.until = erasure.until

    def place(self, point: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
        """Index into the arrays; the last place stands for all others."""
        return np.minimum(point, len(self.part) - 1).astype(np.int64)

    def hits(
        self,
        point: npt.NDArray[np.uint32],
        time_ns: npt.NDArray[np.int64],
        sequence: npt.NDArray[np.uint64],
    ) -> npt.NDArray[np.bool_]:
        """Rows that go."""
        at = self.place(point)
        is_in = (time_ns >= self.begin[at]) & (time_ns < self.end[at])
        found: npt.NDArray[np.bool_] = is_in & (sequence <= self.until) & (self.part[at] >= 0)
        return found

    def judge(self, table: ChunkTable) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """(chunks that go whole, chunks of which some rows may go). A Block goes by its begin."""
        at = self.place(table.point)
        begin, end = self.begin[at], self.end[at]
        is_block = table.kind == ValueKind.WAVEFORM
        last_ns = np.where(is_block, table.first_ns, table.last_ns)
        is_hit = (self.part[at] >= 0) & (last_ns >= begin) & (table.first_ns < end)
        is_hit &= table.first_sequence <= self.until
        is_whole = is_hit & (table.first_ns >= begin) & (last_ns < end)
        is_whole &= table.last_sequence <= self.until
        return is_whole, is_hit & ~is_whole


class _Filtered(Run):
    """Writes the rows of one segment that stay, or (`is_aside`) those that go."""

    def __init__(
        self, eraser: _Eraser, source: Source, target: Path, *, is_aside: bool, generation: int
    ) -> None:
        info = source.info
        days = [day_of(info.first_ns)] if is_day_file(info) else []
        plan = Plan((source,), _END_NS, np.array(days, np.int64), (generation,) * len(days))
        super().__init__(
            eraser.disk, eraser.folder, eraser.manifest, plan, DecimalHints(), {}, target
        )
        self._rest_generation = generation
        self._spans = eraser.spans
        self._source = source
        self._is_aside = is_aside
        self._is_strict = eraser.is_strict
        self.rows_taken = np.zeros(eraser.parts, np.int64)

    def _add(self, block: PointRows) -> None:
        rows = block.rows
        goes = self._spans.hits(block.point, rows.time_ns, rows.sequence)
        part = self._spans.part[self._spans.place(block.point[goes])]
        self.rows_taken += np.bincount(part, minlength=len(self.rows_taken))
        index = np.flatnonzero(goes if self._is_aside else ~goes)
        if len(index):
            super()._add(PointRows(block.kind, block.point[index], rows.take(index)))

    def _copy(self, block: Copied) -> None:
        is_whole, is_partial = self._spans.judge(block.table)
        is_wanted = is_whole if self._is_aside else ~is_whole & ~is_partial
        index = np.flatnonzero(is_wanted)
        if len(index):
            pieces = [block.pieces[n] for n in index.tolist()]
            super()._copy(Copied(block.table.take(index), pieces))
        for chunk in np.flatnonzero(is_partial).tolist():
            self._split(block, chunk)

    def _split(self, block: Copied, chunk: int) -> None:
        """A chunk of which some rows go."""
        table, data = block.table, block.pieces[chunk]
        kind, rows = kind_of(table, chunk), int(table.rows[chunk])
        first_ns, sequence = int(table.first_ns[chunk]), int(table.first_sequence[chunk])
        try:
            check_chunk(data, int(table.bytes[chunk]), int(table.crc[chunk]))
            found = decode_chunk(data, kind, rows, first_ns, sequence)
        except Damaged:
            # Nobody can say which rows are in it: a deletion must not leave it, an expiry may.
            if not self._is_strict and not self._is_aside:
                super()._copy(Copied(table.take(np.array([chunk])), [data]))
            return
        point = np.full(rows, table.point[chunk], np.uint32)
        self._add(PointRows(int(kind), point, found))


class _Eraser:
    def __init__(
        self, disk: Disk, folder: Path, manifest: Manifest, erasure: Erasure, aside: Path | None
    ) -> None:
        self.disk = disk
        self.folder = folder
        self.manifest = manifest
        self.spans = _Spans(erasure)
        self.parts = len(erasure.parts)
        self.is_strict = erasure.is_strict
        self.aside = aside
        self.rows = np.zeros(self.parts, np.int64)
        self.freed_bytes = np.zeros(self.parts, np.int64)
        self.removed: list[str] = []
        self.added: list[SegmentInfo] = []
        self.withdrawn: list[SegmentInfo] = []

    def source(self, order: int, info: SegmentInfo) -> Source:
        """A segment with its table; Unreadable."""
        try:
            check_header(self.disk.read(self.folder / info.name, 0, HEADER_BYTES))
            size = info.file_bytes - info.table_offset
            data = self.disk.read(self.folder / info.name, info.table_offset, size)
            return Source(info, decode_table(data, info.table_offset), order)
        except (Damaged, OSError) as error:
            raise Unreadable(info.name, str(error)) from error

    def take(self, source: Source, is_cancelled: Callable[[], bool]) -> bool:
        """Write what is left of one segment; False when nothing of it goes."""
        table, info = source.table, source.info
        is_whole, is_partial = self.spans.judge(table)
        gone = int(table.bytes[is_whole].sum(dtype=np.int64))
        is_worth = self.is_strict or is_whole.all() or gone * WORTH_SHARE >= info.file_bytes
        if not (is_whole.any() or is_partial.any()) or not is_worth:
            return False
        taken = np.zeros(self.parts, np.int64)
        kept = np.flatnonzero(~is_whole)
        if len(kept):
            part = replace(source, table=table.take(kept))
            taken = self._write(part, self.folder, is_cancelled, self.added, is_aside=False)
        if self.aside is not None:
            part = replace(source, table=table.take(np.flatnonzero(is_whole | is_partial)))
            self._write(part, self.aside, is_cancelled, self.withdrawn, is_aside=True)
        self._count(table, is_whole, taken)
        self.removed.append(info.name)
        return True

    def _write(
        self,
        source: Source,
        target: Path,
        is_cancelled: Callable[[], bool],
        into: list[SegmentInfo],
        *,
        is_aside: bool,
    ) -> npt.NDArray[np.int64]:
        generation = source.info.generation + (ASIDE_GENERATION if is_aside else 2)
        run = _Filtered(self, source, target, is_aside=is_aside, generation=generation)
        added = run.write(lambda _: None, is_cancelled)
        into += added or ()
        return run.rows_taken

    def _count(
        self,
        table: ChunkTable,
        is_whole: npt.NDArray[np.bool_],
        taken: npt.NDArray[np.int64],
    ) -> None:
        part = self.spans.part[self.spans.place(table.point[is_whole])]
        for number in range(self.parts):
            here = part == number
            self.rows[number] += int(table.rows[is_whole][here].sum(dtype=np.int64))
            self.freed_bytes[number] += int(table.bytes[is_whole][here].sum(dtype=np.int64))
        self.rows += taken

    def undo(self) -> None:
        """Remove what was written; nothing lists it."""
        for info in self.added:
            self.disk.remove(self.folder / info.name)
        for info in self.withdrawn:
            assert self.aside is not None
            self.disk.remove(self.aside / info.name)


def erase_once(
    disk: Disk,
    folder: Path,
    manifest: Manifest,
    erasure: Erasure,
    is_cancelled: Callable[[], bool],
    aside: Path | None = None,
) -> Erased:
    """Segments without what goes, as a proposal; what goes is written to `aside` if given.

    An expiry does SEGMENTS_MAX files at once (`is_whole` False: go on behind a commit) and
    leaves an unreadable one alone; for a deletion that is Unreadable. OSError or Unreadable:
    what was written is removed.
    """
    eraser = _Eraser(disk, folder, manifest, erasure, aside)
    is_done, is_whole = False, True
    try:
        for order, info in enumerate(_near(manifest.segments, erasure)):
            if is_cancelled():
                break
            if not erasure.is_strict and len(eraser.removed) >= SEGMENTS_MAX:
                is_whole = False
                break
            try:
                eraser.take(eraser.source(order, info), is_cancelled)
            except Unreadable:
                if erasure.is_strict:
                    raise
        is_done = not is_cancelled()
    finally:
        if not is_done:
            eraser.undo()
    proposal = Proposal(manifest.version, tuple(eraser.removed), tuple(eraser.added))
    return Erased(
        proposal, eraser.rows.tolist(), eraser.freed_bytes.tolist(), eraser.withdrawn, is_whole
    )


def _near(segments: Sequence[SegmentInfo], erasure: Erasure) -> list[SegmentInfo]:
    """Segments that may have rows of it, by what the manifest says."""
    found = []
    for info in segments:
        for part in erasure.parts:
            low, high = int(part.handles.min(initial=2**32 - 1)), int(part.handles.max(initial=0))
            is_in_time = info.first_ns < part.to_ns and info.last_ns >= part.from_ns
            if is_in_time and info.first_point <= high and info.last_point >= low:
                found.append(info)
                break
    return found
