"""A waveform as a chart sees it: min and max a column, or its samples when zoomed in.

A Block that lies within a column answers from the chunk table; only those that cross an
edge between columns are read, so that a chart costs about one Block a pixel at most.
Between two Blocks no line is drawn: nobody measured there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from penstock.codec.trend import NO_SAMPLE, EnvelopePen, PenState
from penstock.historian.block_chunk import wide
from penstock.historian.block_query import lost_spans, visible_blocks
from penstock.historian.columns import UNCERTAIN
from penstock.historian.segment import ChunkFlag
from penstock.model import Quality, ValueKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from penstock.historian.block_query import FoundBlocks
    from penstock.historian.blocks import BlockHeads
    from penstock.historian.envelope import Grid
    from penstock.historian.query import Snapshot
    from penstock.model import Block

# Read for one pen; what is beyond counts in each column that its Block touches.
SAMPLES_READ_MAX = 16 * 1024 * 1024
# Times of samples are rounded to whole ns, so that an edge may be off by as much.
_ROUNDING = 3
_LOST = int(Quality.BAD_DATA_LOST)
Spans = list[tuple[int, int]]


def waveform_envelope(snapshot: Snapshot, handle: int, grid: Grid) -> EnvelopePen:
    """One pen. `before` is NaN: a burst that ended does not hold its last sample."""
    found = visible_blocks(snapshot, handle, grid.t0_ns, grid.end_ns)
    drawing = _Drawing(grid)
    drawing.add_heads(found.heads.take(_fits(found.heads, grid)))
    budget = SAMPLES_READ_MAX
    for row in np.flatnonzero(~_fits(found.heads, grid)).tolist():
        samples = int(found.heads.samples[row])
        if samples > budget:
            drawing.add_wide(found.heads.take(np.array([row])))
            continue
        budget -= samples
        _draw(drawing, found, row)
    lost = lost_spans(snapshot, handle, grid.t0_ns, grid.end_ns)
    for begin_ns, end_ns in lost:
        drawing.worsen(begin_ns, end_ns - 1, _LOST)
    has_any = bool(len(found) or lost) or bool(len(snapshot.newest_before(handle, grid.t0_ns)))
    return EnvelopePen(
        int(ValueKind.WAVEFORM),
        drawing.minimum,
        drawing.maximum,
        drawing.quality,
        drawing.rows,
        block_gaps(found.heads, grid.t0_ns, grid.end_ns, grid.dt_ns) if has_any else [],
        state=PenState.OK if has_any else PenState.NO_SAMPLES,
    )


def _draw(drawing: _Drawing, found: FoundBlocks, row: int) -> None:
    block = found.read(row)
    if block is None:
        heads = found.heads
        drawing.worsen(int(heads.t0_ns[row]), int(heads.last_ns[row]), _LOST)
    else:
        drawing.add_block(block)


def block_gaps(heads: BlockHeads, from_ns: int, to_ns: int, gap_ns_min: float) -> Spans:
    """Spans of more than `gap_ns_min` in which no good Block lies; `heads` are in order.

    A sample holds for one dt; half a dt more is jitter of the clock and no gap.
    """
    good = heads.take((heads.quality >= UNCERTAIN) & (heads.samples > 0))
    covered = np.maximum.accumulate(good.last_ns + np.rint(1.5 * good.dt_ns).astype(np.int64))
    begin = np.concatenate([[from_ns], np.minimum(covered, to_ns)])
    end = np.concatenate([np.maximum(good.t0_ns, from_ns), [to_ns]])
    is_gap = end - begin > gap_ns_min
    return list(zip(begin[is_gap].tolist(), end[is_gap].tolist(), strict=True))


def waveform_gaps(snapshot: Snapshot, handle: int, from_ns: int, to_ns: int, bad: Spans) -> Spans:
    """Spans of bad samples together with those between Blocks, in order and without overlap."""
    heads = visible_blocks(snapshot, handle, from_ns, to_ns).heads
    joined: Spans = []
    for begin_ns, end_ns in sorted([*bad, *block_gaps(heads, from_ns, to_ns, 0)]):
        if joined and begin_ns <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end_ns)
        else:
            joined.append((begin_ns, end_ns))
    return joined


def _fits(heads: BlockHeads, grid: Grid) -> npt.NDArray[np.bool_]:
    """Does the table answer: within one column and without NaN, or bad as a whole?"""
    column = (heads.t0_ns - grid.t0_ns) // grid.dt_ns
    is_inside = column == (heads.last_ns - grid.t0_ns) // grid.dt_ns
    fits: npt.NDArray[np.bool_] = is_inside & (heads.worst >= UNCERTAIN)
    return fits | (heads.quality < UNCERTAIN)


class _Drawing:
    """The columns of one pen; Blocks come in any order and may overlap."""

    def __init__(self, grid: Grid) -> None:
        self.rows = 0
        self.minimum = np.full(grid.columns, np.nan)
        self.maximum = np.full(grid.columns, np.nan)
        self.quality = np.full(grid.columns, NO_SAMPLE, np.uint8)
        self._grid = grid

    def add_heads(self, heads: BlockHeads) -> None:
        """Blocks that the table answers for."""
        is_bad = heads.quality < UNCERTAIN
        for row in np.flatnonzero(is_bad).tolist():
            quality = int(heads.quality[row])
            self.worsen(int(heads.t0_ns[row]), int(heads.last_ns[row]), quality)
        self.rows += int(np.maximum(heads.samples, 1)[is_bad].sum())
        good = heads.take(~is_bad)
        self.rows += int(good.samples.sum())
        column = (good.t0_ns - self._grid.t0_ns) // self._grid.dt_ns
        np.minimum.at(self.quality, column, good.quality)
        is_valued = (good.chunk_flags & ChunkFlag.NO_VALUES) == 0
        np.fmin.at(self.minimum, column[is_valued], good.minimum[is_valued])
        np.fmax.at(self.maximum, column[is_valued], good.maximum[is_valued])

    def add_wide(self, heads: BlockHeads) -> None:
        """A Block that is not read: its extremes may lie in any of its columns."""
        first_ns, last_ns = int(heads.t0_ns[0]), int(heads.last_ns[0])
        cut = self._columns(first_ns, last_ns)
        self.rows += int(heads.samples[0])
        self.worsen(first_ns, last_ns, int(heads.worst[0]))
        if int(heads.count[0]):
            self.minimum[cut] = np.fmin(self.minimum[cut], heads.minimum[0])
            self.maximum[cut] = np.fmax(self.maximum[cut], heads.maximum[0])

    def add_block(self, block: Block) -> None:
        """Samples of a Block, each in its column."""
        cut = self._columns(block.t0_ns, block.last_ns)
        column = np.arange(cut.start, cut.stop + 1)
        edge = first_at(block, self._grid.t0_ns + column * self._grid.dt_ns)
        self.rows += int(edge[-1] - edge[0])
        column, start = column[:-1], edge[:-1]
        has_samples = edge[1:] > start
        column, start, end = column[has_samples], start[has_samples], int(edge[-1])
        if not len(column):
            return
        value = block.samples[:end]
        lowest = wide(np.fmin.reduceat(value, start))
        highest = wide(np.fmax.reduceat(value, start))
        self.minimum[column] = np.fmin(self.minimum[column], lowest)
        self.maximum[column] = np.fmax(self.maximum[column], highest)
        quality = np.full(len(column), block.quality, np.uint8)
        if value.dtype.kind == "f":
            is_void = np.logical_or.reduceat(np.isnan(value), start)
            quality[is_void] = np.minimum(quality[is_void], np.uint8(Quality.BAD_NOT_AVAILABLE))
        self.quality[column] = np.minimum(self.quality[column], quality)

    def worsen(self, first_ns: int, last_ns: int, quality: int) -> None:
        """At most this quality between two moments."""
        cut = self._columns(first_ns, last_ns)
        self.quality[cut] = np.minimum(self.quality[cut], np.uint8(quality))

    def _columns(self, first_ns: int, last_ns: int) -> slice:
        grid = self._grid
        first = max(0, (first_ns - grid.t0_ns) // grid.dt_ns)
        return slice(first, max(first, min(grid.columns, (last_ns - grid.t0_ns) // grid.dt_ns + 1)))


def first_at(block: Block, time_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Place of the first sample at or after each moment, without the time of every sample."""
    count = len(block.samples)
    place = np.floor((time_ns - block.t0_ns) / block.dt_ns).astype(np.int64) - 1
    for _ in range(_ROUNDING):
        place += block.t0_ns + np.rint(place * block.dt_ns).astype(np.int64) < time_ns
    return np.clip(place, 0, count).astype(np.intp)
