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
from penstock.historian.items import batches
from penstock.historian.layout import Layout
from penstock.historian.query import Snapshot, rows_between
from penstock.historian.segment import ChunkFlag
from penstock.historian.waveform import waveform_envelope, waveform_gaps
from penstock.model import Refused, TextColumn, ValueKind
from penstock.model.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

if TYPE_CHECKING:
    import numpy.typing as npt

PX_MAX = 4_000
RAW_ROWS_MAX = 400_000
# A dozen small chunks cost one pass of numpy, not a dozen.
DRAWN_ROWS = 65_536
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
    layout = Layout(snapshot, np.array([handle], np.uint32), kind, grid.t0_ns, grid.end_ns)
    is_whole = _whole(layout, grid, snapshot.as_of)
    for part in batches(~is_whole, layout.column("rows"), layout.group, DRAWN_ROWS):
        entries = np.arange(part.start, part.stop)
        whole = entries[is_whole[part]]
        rows = layout.read(entries[~is_whole[part]]).rows
        drawing.add_gaps(layout.first_ns[whole], rows)
        drawing.add_chunks(layout, whole, kind)
        drawing.add_rows(rows)
    is_empty = not drawing.rows and not drawing.has_before
    return drawing.pen(kind, PenState.NO_SAMPLES if is_empty else PenState.OK)


def _whole(layout: Layout, grid: Grid, as_of: int | None) -> npt.NDArray[np.bool_]:
    """Chunks that lie within a column and have no bad row: the table says all of them."""
    is_whole: npt.NDArray[np.bool_] = layout.is_chunk & layout.is_alone
    is_whole &= layout.column("worst_quality") >= UNCERTAIN
    is_whole &= (layout.column("flags") & int(ChunkFlag.SIDE)) == 0
    first = (layout.first_ns - grid.t0_ns) // grid.dt_ns
    is_whole &= (first >= 0) & (first == (layout.last_ns - grid.t0_ns) // grid.dt_ns)
    if as_of is not None:
        is_whole &= layout.column("last_sequence") <= np.uint64(as_of)
    return is_whole


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
    gaps.add(rows.time_ns, rows.quality < UNCERTAIN)
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

    def add(self, time_ns: npt.NDArray[np.int64], is_bad: npt.NDArray[np.bool_]) -> None:
        """Moments in order, and which of them are bad."""
        if not len(time_ns):
            return
        if not is_bad.any():
            self._close(int(time_ns[0]))
            return
        was_bad = np.concatenate([[self.open_ns is not None], is_bad[:-1]])
        for row in np.flatnonzero(is_bad != was_bad).tolist():
            if is_bad[row]:
                self.open_ns = int(time_ns[row])
            else:
                self._close(int(time_ns[row]))

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
        self._before = float("nan")
        self._gaps = _Gaps(grid.t0_ns, grid.end_ns)
        self._minimum = np.full(grid.columns, np.nan)
        self._maximum = np.full(grid.columns, np.nan)
        self._quality = np.full(grid.columns, NO_SAMPLE, np.uint8)

    def begin(self, before: Columns) -> None:
        self.has_before = bool(len(before))
        self._before = before_value(before)
        self._gaps.begin(before)

    def add_gaps(self, whole_ns: npt.NDArray[np.int64], rows: Columns) -> None:
        """Begins of chunks without a bad row, and rows; all behind what was added before."""
        time_ns = np.concatenate([whole_ns, rows.time_ns])
        is_bad = np.concatenate([np.zeros(len(whole_ns), bool), rows.quality < UNCERTAIN])
        order = np.argsort(time_ns, kind="stable")
        self._gaps.add(time_ns[order], is_bad[order])

    def add_chunks(self, layout: Layout, entries: npt.NDArray[np.intp], kind: ValueKind) -> None:
        """Chunks by what the tables say of them."""
        if not len(entries):
            return
        self.rows += int(layout.column("rows")[entries].sum())
        column = (layout.first_ns[entries] - self._grid.t0_ns) // self._grid.dt_ns
        np.minimum.at(self._quality, column, layout.column("worst_quality")[entries])
        flags = layout.column("flags")[entries]
        valued = np.flatnonzero((flags & int(ChunkFlag.NO_VALUES)) == 0)
        entries, column = entries[valued], column[valued]
        lowest = values_of(layout.column("minimum")[entries], kind).astype(np.float64)
        highest = values_of(layout.column("maximum")[entries], kind).astype(np.float64)
        np.fmin.at(self._minimum, column, lowest)
        np.fmax.at(self._maximum, column, highest)

    def add_rows(self, rows: Columns) -> None:
        """Rows in time order."""
        if not len(rows):
            return
        self.rows += len(rows)
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
