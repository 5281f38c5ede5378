"""Envelope: min and max of a point per pixel column, and the spans without a line.

Column widths come from a fixed ladder and columns begin at multiples of their
width since 1970, so that a chart that moves shows the same columns again. The
span of a request is widened to whole columns for the same reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from penstock.codec.trend import NO_SAMPLE, EnvelopePen, PenState, RawPen
from penstock.historian.columns import UNCERTAIN, Columns, empty_columns, join, values_of
from penstock.historian.piece import ChunkRef
from penstock.historian.query import Snapshot, groups, rows_between
from penstock.historian.segment import ChunkFlag
from penstock.historian.waveform import waveform_envelope, waveform_gaps
from penstock.model import Refused, TextColumn, ValueKind
from penstock.model.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

if TYPE_CHECKING:
    import numpy.typing as npt

    from penstock.historian.piece import Piece

PX_MAX = 4_000
RAW_ROWS_MAX = 400_000
# A dozen small chunks cost one pass of numpy, not a dozen.
DRAWN_ROWS = 32_768
RAW_POINTS_PER_PX = 4

_DECADES = [step * 10**power for power in range(9) for step in (1, 2, 5)]
_SECONDS = [SECOND_NS * n for n in (1, 2, 5, 10, 15, 30)]
_MINUTES = [MINUTE_NS * n for n in (1, 2, 5, 10, 15, 30)]
_HOURS = [HOUR_NS * n for n in (1, 2, 3, 6, 12)]
_DAYS = [DAY_NS * n for n in (1, 2, 7, 14, 28, 56, 112, 224, 448, 896, 1792, 3584, 7168, 14336)]
LADDER_NS = (*_DECADES, *_SECONDS, *_MINUTES, *_HOURS, *_DAYS)


@dataclass(frozen=True, slots=True)
class Grid:
    """`columns` columns of `dt_ns` from `t0_ns`, a multiple of dt_ns."""

    t0_ns: int
    dt_ns: int
    columns: int

    @property
    def end_ns(self) -> int:
        """First moment behind the last column."""
        return self.t0_ns + self.dt_ns * self.columns


def grid_of(from_ns: int, to_ns: int, px: int) -> Grid:
    """Narrowest columns of the ladder of which at most `px` (plus one cut by the edge) fit."""
    assert from_ns < to_ns
    assert 0 < px <= PX_MAX
    dt_ns = next((step for step in LADDER_NS if step * px >= to_ns - from_ns), LADDER_NS[-1])
    first = from_ns // dt_ns
    return Grid(first * dt_ns, dt_ns, -(-to_ns // dt_ns) - first)


def envelope(snapshot: Snapshot, handle: int, grid: Grid) -> EnvelopePen:
    """One pen; chunks that lie within a column and are not bad answer from the table."""
    kind = snapshot.kind(handle)
    drawing = _Drawing(grid)
    if kind is None:
        return drawing.pen(ValueKind.FLOAT, PenState.NO_SAMPLES)
    if kind is ValueKind.WAVEFORM:
        return waveform_envelope(snapshot, handle, grid)
    drawing.begin(snapshot.newest_before(handle, grid.t0_ns))
    for group in groups(snapshot.pieces(handle, grid.t0_ns, grid.end_ns)):
        if len(group) > 1 or not drawing.add_statistics(kind, group[0]):
            drawing.add(snapshot.load(group).between(grid.t0_ns, grid.end_ns))
    drawing.draw()
    is_empty = not drawing.rows and not drawing.has_before
    return drawing.pen(kind, PenState.NO_SAMPLES if is_empty else PenState.OK)


def raw_pen(
    snapshot: Snapshot, handle: int, from_ns: int, to_ns: int, rows_max: int = RAW_ROWS_MAX
) -> RawPen:
    """Every sample of the span; Refused when they are too many for a chart."""
    kind = snapshot.kind(handle)
    pieces, count = [], 0
    for rows in rows_between(snapshot, handle, from_ns, to_ns):
        pieces.append(rows)
        count += len(rows)
        if count > rows_max:
            raise Refused(
                "too_large",
                f"More than {rows_max} samples of a point. Ask for a shorter span or an envelope.",
            )
    rows = join(pieces) if pieces else empty_columns(kind or ValueKind.FLOAT)
    gaps = _Gaps(from_ns, to_ns)
    before = snapshot.newest_before(handle, from_ns)
    gaps.begin(before)
    gaps.add(rows)
    spans, value = gaps.spans(), before_value(before)
    if kind is ValueKind.WAVEFORM:
        spans, value = waveform_gaps(snapshot, handle, from_ns, to_ns, spans), float("nan")
    is_empty = not len(rows) and not len(before)
    return RawPen(
        int(kind or ValueKind.FLOAT),
        rows.time_ns,
        np.where(rows.quality >= UNCERTAIN, numbers(rows), np.nan),
        rows.quality,
        spans,
        value,
        PenState.NO_SAMPLES if is_empty else PenState.OK,
    )


def rows_estimate(snapshot: Snapshot, handle: int, from_ns: int, to_ns: int) -> int:
    """About how many rows the span has, from the table alone (an even rate within a chunk)."""
    total = 0.0
    for piece in snapshot.pieces(handle, from_ns, to_ns):
        shared = min(to_ns, piece.last_ns + 1) - max(from_ns, piece.first_ns)
        total += piece.rows * shared / (piece.last_ns + 1 - piece.first_ns)
    return round(total)


def numbers(rows: Columns) -> npt.NDArray[np.float64]:
    """Values as float64 for drawing; text has none."""
    if isinstance(rows.value, TextColumn):
        return np.full(len(rows), np.nan)
    return rows.value.astype(np.float64, copy=False)


def before_value(before: Columns) -> float:
    """Value that a line begins with at the left edge; NaN if there is none or it is bad."""
    if not len(before) or before.quality[-1] < UNCERTAIN:
        return float("nan")
    return float(numbers(before)[-1])


@dataclass(slots=True)
class _Gaps:
    """Bad spans between two moments: the first bad row opens, the first other row closes."""

    from_ns: int
    to_ns: int
    open_ns: int | None = None
    _found: list[tuple[int, int]] = field(default_factory=list)

    def begin(self, before: Columns) -> None:
        if len(before) and before.quality[-1] < UNCERTAIN:
            self.open_ns = self.from_ns

    def add(self, rows: Columns) -> None:
        if not len(rows):
            return
        is_bad = rows.quality < UNCERTAIN
        if not is_bad.any():
            self._close(int(rows.time_ns[0]))
            return
        was_bad = np.concatenate([[self.open_ns is not None], is_bad[:-1]])
        for row in np.flatnonzero(is_bad != was_bad).tolist():
            if is_bad[row]:
                self.open_ns = int(rows.time_ns[row])
            else:
                self._close(int(rows.time_ns[row]))

    def close_at(self, time_ns: int) -> None:
        self._close(time_ns)

    def spans(self) -> list[tuple[int, int]]:
        self._close(self.to_ns)
        return self._found

    def _close(self, time_ns: int) -> None:
        if self.open_ns is not None and self.open_ns < time_ns:
            self._found.append((self.open_ns, time_ns))
        self.open_ns = None


class _Drawing:
    """The columns of one pen while they are filled from left to right."""

    def __init__(self, grid: Grid) -> None:
        self.rows = 0
        self.has_before = False
        self._grid = grid
        self._waiting: list[Columns] = []
        self._waiting_rows = 0
        self._before = float("nan")
        self._gaps = _Gaps(grid.t0_ns, grid.end_ns)
        self._minimum = np.full(grid.columns, np.nan)
        self._maximum = np.full(grid.columns, np.nan)
        self._quality = np.full(grid.columns, NO_SAMPLE, np.uint8)

    def begin(self, before: Columns) -> None:
        self.has_before = bool(len(before))
        self._before = before_value(before)
        self._gaps.begin(before)

    def add_statistics(self, kind: ValueKind, piece: Piece) -> bool:
        """Use the chunk's statistics; False if it must be read."""
        grid, source = self._grid, piece.source
        if not isinstance(source, ChunkRef) or not source.has_statistics:
            return False
        column = (piece.first_ns - grid.t0_ns) // grid.dt_ns
        if column < 0 or column != (piece.last_ns - grid.t0_ns) // grid.dt_ns:
            return False
        table, chunk = source.table, source.chunk
        self.draw()
        self.rows += piece.rows
        self._gaps.close_at(piece.first_ns)
        quality = table.worst_quality[chunk]
        self._quality[column] = min(self._quality[column], quality)
        if not table.flags[chunk] & ChunkFlag.NO_VALUES:
            cut = slice(chunk, chunk + 1)
            lowest = float(values_of(table.minimum[cut], kind)[0])
            highest = float(values_of(table.maximum[cut], kind)[0])
            self._minimum[column] = np.fmin(self._minimum[column], lowest)
            self._maximum[column] = np.fmax(self._maximum[column], highest)
        return True

    def add(self, rows: Columns) -> None:
        """Rows in time order, behind all that were added before; drawn some chunks at a time."""
        if not len(rows):
            return
        self._waiting.append(rows)
        self._waiting_rows += len(rows)
        if self._waiting_rows >= DRAWN_ROWS:
            self.draw()

    def draw(self) -> None:
        """Take the rows that wait into the columns."""
        if not self._waiting:
            return
        rows = join(self._waiting)
        self._waiting, self._waiting_rows = [], 0
        self.rows += len(rows)
        self._gaps.add(rows)
        column = (rows.time_ns - self._grid.t0_ns) // self._grid.dt_ns
        at, starts = _runs(column)
        worst = np.minimum.reduceat(rows.quality, starts)
        self._quality[at] = np.minimum(self._quality[at], worst)
        if isinstance(rows.value, TextColumn):
            return
        is_valued = rows.quality >= UNCERTAIN
        value = rows.value if is_valued.all() else rows.value[is_valued]
        if not len(value):
            return
        at, starts = _runs(column if is_valued.all() else column[is_valued])
        lowest = np.minimum.reduceat(value, starts).astype(np.float64)
        highest = np.maximum.reduceat(value, starts).astype(np.float64)
        self._minimum[at] = np.fmin(self._minimum[at], lowest)
        self._maximum[at] = np.fmax(self._maximum[at], highest)

    def pen(self, kind: ValueKind, state: PenState) -> EnvelopePen:
        return EnvelopePen(
            int(kind),
            self._minimum,
            self._maximum,
            self._quality,
            self.rows,
            self._gaps.spans(),
            self._before,
            state,
        )


def _runs(column: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp]]:
    """(column, first row) of each run of equal columns."""
    is_first = np.ones(len(column), bool)
    is_first[1:] = column[1:] != column[:-1]
    starts = np.flatnonzero(is_first)
    return column[starts], starts
