"""Check: every row of a file becomes a sample of a prepared batch, or a reject with its reason.

Nothing is sent here. Rows of the hour that happens twice wait until the file is at its
end, because only their order tells which hour is which.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.historian.columns import join_values, take_values
from penstock.historian.imports.clock import Clock, Resolved
from penstock.historian.imports.double_hour import HELD_ROWS_MAX, is_second
from penstock.historian.imports.numbers import EMPTY, INFINITE, MISFIT, NO_VALUE
from penstock.historian.imports.options import Choice, Question
from penstock.historian.imports.prepared import PointCount, PreparedWriter, count_points
from penstock.historian.imports.rejects import Reject, Rejects
from penstock.historian.imports.rows import Column, columns_of
from penstock.historian.imports.source import connected
from penstock.model import Flag, Frame, Quality, TextColumn, ValueKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from penstock.historian.imports.settled import Settled
    from penstock.model.frame import Values
    from penstock.world import Disk

UNCERTAIN = int(Quality.UNCERTAIN)
_WHAT = {
    ValueKind.FLOAT: "is no number", ValueKind.INT: "is no integer of 64 bits",
    ValueKind.TEXT: "is longer than 64 KiB",
}  # fmt: skip
UNSETTLED = "has a decimal sign that the sample had not; say which one it is"
UNKNOWN_QUALITY = "is no known quality"
TOO_MANY = "has more cells than there are columns"
UNKNOWN_NAME = "is a name that the look has not seen"


@dataclass(frozen=True, slots=True)
class Targets:
    """Kinds of the import's points, and by name its place among them; -1 leaves it out."""

    kinds: Sequence[ValueKind]
    places: npt.NDArray[np.int32]


@dataclass(slots=True)
class Checked:
    """What a file gives: counts, rejects, questions; batches are in the prepared file."""

    rows: int = 0
    samples: int = 0
    empty: int = 0
    skipped: int = 0
    repeated: int = 0
    batches: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    points: list[PointCount] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)


class Check:
    """One pass over a file."""

    def __init__(
        self,
        folder: Path,
        settled: Settled,
        names: Sequence[str],
        targets: Targets,
        *,
        disk: Disk,
        target: Path,
        replace: bool,
        now_ns: int,
    ) -> None:
        self._folder = folder
        self._settled = settled
        self._names = names
        self._targets = targets
        self._clock = Clock(settled, now_ns)
        self._writer = PreparedWriter(disk, target)
        self._flags = np.uint8(Flag.HISTORICAL | (Flag.CORRECTION if replace else 0))
        self._rejects = Rejects()
        self._held: list[tuple[ValueKind, Frame, npt.NDArray[np.int64]]] = []
        self._held_rows = 0
        self._ends: list[int] = []
        self.found = Checked(points=[PointCount() for _ in targets.kinds])

    def run(
        self,
        memory_bytes: int,
        report: Callable[[int], None] = lambda _rows: None,
        check: Callable[[], None] = lambda: None,
    ) -> Checked:
        """Read all of it; `report` is told the rows so far, `check` raises to end it."""
        try:
            with connected(self._folder, memory_bytes) as connection:
                for part in columns_of(
                    connection, self._folder, self._settled, self._names, self._targets
                ):
                    check()
                    self._take_rows(part)
                    report(self.found.rows)
            self._release_held()
            self._writer.finish()
        finally:
            self._writer.close()
        return self._finished()

    def _finished(self) -> Checked:
        found, settled = self.found, self._settled
        found.batches, found.samples = self._writer.batches, self._writer.rows
        found.rejected = dict(self._rejects.counts)
        if settled.is_parquet:
            found.rejects = sorted(self._rejects.listed, key=lambda item: item.row)
        else:
            found.rejects = self._rejects.with_lines(
                self._folder / settled.file, settled.delimiter, settled.skipped_lines, found.rows
            )
        return found

    # --- rows

    def _take_rows(self, part: Column) -> None:
        """Some rows of some columns that share their times."""
        if part.is_first:
            self.found.rows += len(part.row)
        fits = np.ones(len(part.row), bool)
        self._drop(fits, part.is_over, TOO_MANY, part, part.time_text)
        self._drop(fits, part.is_unknown, UNKNOWN_NAME, part, part.time_text)
        resolved = self._clock.read(part)
        for reason, is_so in resolved.faults:
            self._drop(fits, is_so, reason, part, part.time_text)
        for cells in part.cells:
            self._take_cells(part, cells, resolved, fits)

    def _drop(
        self,
        fits: npt.NDArray[np.bool_],
        is_bad: npt.NDArray[np.bool_] | None,
        reason: str,
        part: Column,
        texts: TextColumn | None,
    ) -> None:
        """Whole rows; one reason a row."""
        if is_bad is None or not is_bad.any():
            return
        is_new = is_bad & fits
        fits &= ~is_bad
        if part.is_first:
            at = np.flatnonzero(is_new)
            self._rejects.add(reason, part.row, part.time_name, texts or [""], at)

    def _take_cells(
        self, part: Column, cells: Any, resolved: Resolved, fits: npt.NDArray[np.bool_]
    ) -> None:
        """Cells of one column, or of one kind of a long file."""
        state, quality = cells.state, part.quality
        is_ours = fits if cells.is_ours is None else fits & cells.is_ours
        is_empty = state == EMPTY
        if quality is not None:
            unknown = np.flatnonzero(is_ours & part.is_odd_quality)
            self._rejects.add(
                UNKNOWN_QUALITY, part.row, "quality", part.quality_text or [""], unknown
            )
            is_ours = is_ours & ~part.is_odd_quality
            is_empty = is_empty & (quality >= UNCERTAIN)
        is_bad = is_ours & (state == MISFIT)
        if is_bad.any():
            self._reject_values(part, cells, np.flatnonzero(is_bad))
        self.found.empty += int((is_ours & is_empty).sum())
        at = np.flatnonzero(is_ours & ~is_empty & (state != MISFIT))
        if len(at):
            self._put(
                cells,
                at,
                *self._judged(state[at], None if quality is None else quality[at]),
                resolved,
            )

    def _reject_values(self, part: Column, cells: Any, at: npt.NDArray[np.intp]) -> None:
        texts = cells.bad
        is_open = self._settled.decimal is None and cells.kind is not ValueKind.TEXT
        if is_open and not self._settled.is_parquet:
            signs = np.array([("." in t or "," in t) for t in texts.take(at).to_list()], bool)
            self._rejects.add(UNSETTLED, part.row, cells.name, texts, at[signs])
            at = at[~signs]
        self._rejects.add(_WHAT[cells.kind], part.row, cells.name, texts, at)

    def _judged(
        self, state: npt.NDArray[np.uint8], quality: npt.NDArray[np.uint8] | None
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """(quality, flags, has no value): infinity counts only where the file calls it good."""
        good = np.uint8(Quality.GOOD)
        given = np.full(len(state), good) if quality is None else quality
        is_void = (state == NO_VALUE) | (state == EMPTY)
        if quality is None:
            is_void |= state == INFINITE
        worse = np.where(given >= UNCERTAIN, np.uint8(Quality.BAD_NOT_AVAILABLE), given)
        flags = np.where(is_void, self._flags | np.uint8(Flag.NO_VALUE), self._flags)
        return np.where(is_void, worse, given), flags, is_void

    def _put(
        self,
        cells: Any,
        at: npt.NDArray[np.intp],
        quality: npt.NDArray[np.uint8],
        flags: npt.NDArray[np.uint8],
        is_void: npt.NDArray[np.bool_],
        resolved: Resolved,
    ) -> None:
        is_all = len(at) == len(resolved.first_ns)
        value = cells.value if is_all else take_values(cells.value, at)
        value = _without(value, is_void)
        point = cells.target if isinstance(cells.target, np.ndarray) else None
        places = np.full(len(at), cells.target, np.uint32) if point is None else point[at]
        first, second = resolved.first_ns[at], resolved.second_ns[at]
        frame = Frame(places, first, value, quality, flags)
        if not self._ends:
            self._ends = [int(first[0]), int(first[-1])]
        self._ends[1] = int(first[-1])
        is_double = first != second
        if is_double.any():
            rows = np.flatnonzero(is_double)
            self._hold(cells.kind, frame.take(rows), second[rows])
            frame = frame.take(np.flatnonzero(~is_double))
        self._write(frame)

    def _write(self, frame: Frame) -> None:
        """Ordered by point and time, so that flush and compaction find little to do."""
        if not len(frame):
            return
        point, time_ns = frame.point, frame.time_ns
        same = point[1:] == point[:-1]
        is_ordered = (point[1:] > point[:-1]) | (same & (time_ns[1:] >= time_ns[:-1]))
        if not is_ordered.all():
            frame = frame.take(_order(point, time_ns))
        count_points(self.found.points, frame.point, frame.time_ns)
        self.found.repeated += _repeated(frame)
        self._writer.write(frame)

    # --- the hour that happens twice

    def _hold(self, kind: ValueKind, frame: Frame, second_ns: npt.NDArray[np.int64]) -> None:
        self._held_rows += len(frame)
        if self._held_rows <= HELD_ROWS_MAX:
            self._held.append((kind, frame, second_ns))

    def _release_held(self) -> None:
        for kind in sorted({item[0] for item in self._held}):
            own = [item for item in self._held if item[0] is kind]
            frames = [frame for _, frame, _ in own]
            second = np.concatenate([item[2] for item in own])
            whole = Frame(
                np.concatenate([frame.point for frame in frames]),
                np.concatenate([frame.time_ns for frame in frames]),
                join_values([frame.value for frame in frames]),
                np.concatenate([frame.quality for frame in frames]),
                np.concatenate([frame.flags for frame in frames]),
            )
            is_rising = self._ends[1] >= self._ends[0]
            is_late, open_ = is_second(whole.point, whole.time_ns, is_rising=is_rising)
            if len(open_) or self._held_rows > HELD_ROWS_MAX:
                self.found.questions.append(_double_question(self._held_rows))
                return
            time_ns = np.where(is_late, second, whole.time_ns)
            self._write(Frame(whole.point, time_ns, whole.value, whole.quality, whole.flags))


def _without(value: Values, is_void: npt.NDArray[np.bool_]) -> Values:
    """NaN, 0 or "" where there is no value."""
    if not is_void.any():
        return value
    if isinstance(value, TextColumn):
        return value
    return np.where(is_void, np.nan if value.dtype == np.float64 else 0, value)


def _order(point: npt.NDArray[np.uint32], time_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Stable by point, then time; files are mostly ordered by time already."""
    small = point.astype(np.uint16) if int(point.max()) < 65_536 else point
    order = np.argsort(small, kind="stable")
    ordered, times = point[order], time_ns[order]
    falls = (ordered[1:] == ordered[:-1]) & (times[1:] < times[:-1])
    return np.lexsort((time_ns, point)) if falls.any() else order


def _repeated(frame: Frame) -> int:
    """Rows that are equal to the one before them, or to another of that moment in this part."""
    value = frame.value
    same = (frame.point[1:] == frame.point[:-1]) & (frame.time_ns[1:] == frame.time_ns[:-1])
    at = np.flatnonzero(same)
    if not len(at) or isinstance(value, TextColumn):
        return 0
    bits = value.view(np.uint64)
    is_equal = (bits[at] == bits[at + 1]) & (frame.quality[at] == frame.quality[at + 1])
    return int(is_equal.sum())


def _double_question(rows: int) -> Question:
    return Question(
        id="double_hour",
        text=f"{rows} rows lie in the hour that happens twice at the end of daylight saving, "
        "and their order does not tell which hour is meant.",
        choices=[
            Choice(value="first", meaning="all are of the first of the two hours (summer time)"),
            Choice(value="second", meaning="all are of the second (standard time)"),
        ],
    )
