"""Head: the newest samples as numpy columns in the order of arrival, and the newest Blocks.

There is one set of columns a value kind; Blocks of waveforms are kept whole beside them.
Columns double from 64 Ki rows on and are never changed below their row count, so
that a view is a snapshot without a lock or a copy. Numpy's memory is untouched
until written: an idle node pays for the rows it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.historian.columns import Columns, empty_values, take_values
from penstock.model import Flag, Frame, Quality, TextColumn, ValueKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from penstock.historian.block_chunk import HeldBlock
    from penstock.model.frame import Values

ROWS_MIN = 65_536
BLOCKS_MIN = 256
# What a Block costs besides its samples: its objects and its share of the columns.
BLOCK_BYTES = 1_024
SEQUENCES_MAX = 2**32 - 1
_NAN = np.array([np.nan])


@dataclass(frozen=True, slots=True)
class HeadRows:
    """Rows of one value kind in the order of arrival; `sequence` u32 counts from `base`."""

    kind: ValueKind
    base: int
    point: npt.NDArray[np.uint32]
    time_ns: npt.NDArray[np.int64]
    value: Values
    quality: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.uint8]
    sequence: npt.NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.point)

    def take(self, index: npt.NDArray[np.intp]) -> Columns:
        """Rows by index, their sequences whole."""
        return Columns(
            self.time_ns[index],
            take_values(self.value, index),
            self.quality[index],
            self.flags[index],
            self.sequence[index] + np.uint64(self.base),
        )


@dataclass(frozen=True, slots=True)
class HeadBlocks:
    """Blocks in the order of arrival: `point` u32[n]; `items` may grow behind n meanwhile."""

    point: npt.NDArray[np.uint32]
    items: Sequence[HeldBlock]

    def __len__(self) -> int:
        return len(self.point)


NO_BLOCKS = HeadBlocks(np.zeros(0, np.uint32), ())


@dataclass(frozen=True, slots=True)
class HeadView:
    """A snapshot of a head: log records `after` < sequence <= `sequence` are in it."""

    kinds: tuple[HeadRows, ...]
    after: int
    sequence: int
    blocks: HeadBlocks = NO_BLOCKS

    @property
    def rows(self) -> int:
        """Rows of all kinds; a Block is none."""
        return sum(len(rows) for rows in self.kinds)

    @property
    def is_empty(self) -> bool:
        """Nothing to write."""
        return not self.rows and not len(self.blocks)

    def columns_of(
        self, handles: npt.NDArray[np.uint32]
    ) -> Iterator[tuple[int, ValueKind, Columns]]:
        """Rows of each handle in the order of arrival; one pass for all of them."""
        for rows in self.kinds:
            index = rows_of(rows.point, handles)
            point = rows.point[index]
            begin = np.flatnonzero(point[1:] != point[:-1]) + 1
            for group in np.split(index, begin):
                if len(group):
                    yield int(rows.point[group[0]]), rows.kind, rows.take(group)


def rows_of(point: npt.NDArray[np.uint32], handles: npt.NDArray[np.uint32]) -> npt.NDArray[np.intp]:
    """Rows of the handles, grouped by point, in the order of arrival within each."""
    if len(handles) <= 4:
        return np.concatenate([np.flatnonzero(point == h) for h in sorted(set(handles.tolist()))])
    is_wanted = np.zeros(int(max(handles.max(), point.max(initial=0))) + 1, bool)
    is_wanted[handles] = True
    index = np.flatnonzero(is_wanted[point])
    return index[np.argsort(point[index], kind="stable")]


class Head:
    """Growing columns of all kinds; `append` belongs to the event loop."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.sequence = after
        self.rows = 0
        self.text_bytes = 0
        self.block_bytes = 0
        self._blocks: list[HeldBlock] = []
        self._block_point = np.empty(0, np.uint32)
        self._kinds: dict[ValueKind, _Growing] = {}

    def append(self, frame: Frame, sequence: int) -> None:
        """Add the rows of a clean frame (see `clean`) of log record `sequence`."""
        assert self.after < sequence <= self.after + SEQUENCES_MAX
        assert sequence >= self.sequence
        self.sequence = sequence
        if not len(frame):
            return
        kind = frame.kind
        if kind not in self._kinds:
            self._kinds[kind] = _Growing(kind)
        self._kinds[kind].append(frame, sequence - self.after)
        self.rows += len(frame)
        if isinstance(frame.value, TextColumn):
            self.text_bytes += int(frame.value.offset[-1] - frame.value.offset[0])

    def append_block(self, item: HeldBlock) -> None:
        """Add a Block (see `held`) of log record `item.sequence`."""
        assert max(self.sequence, self.after + 1) <= item.sequence <= self.after + SEQUENCES_MAX
        self.sequence = item.sequence
        used = len(self._blocks)
        self._block_point = _with_room(self._block_point, used, used + 1, BLOCKS_MIN)
        self._block_point[used] = item.block.point
        self._blocks.append(item)
        self.block_bytes += item.block.samples.nbytes + BLOCK_BYTES

    def view(self) -> HeadView:
        """A snapshot that later appends do not change."""
        kinds = tuple(self._kinds[kind].view(self.after) for kind in sorted(self._kinds))
        blocks = HeadBlocks(self._block_point[: len(self._blocks)], self._blocks)
        return HeadView(kinds, self.after, self.sequence, blocks)

    def bytes_reserved(self) -> int:
        """Memory of columns and Blocks (for `statistics()`)."""
        columns = sum(growing.bytes_reserved() for growing in self._kinds.values())
        return columns + self.block_bytes


def stored(frame: Frame) -> Frame:
    """The rows that history keeps: a transient sample is for now and not for later.

    It moves the live value and nothing else (Sparkplug B, `is_transient`: "should not be
    stored in a historian").
    """
    is_transient = (frame.flags & Flag.TRANSIENT) != 0
    return frame.take(np.flatnonzero(~is_transient)) if is_transient.any() else frame


def clean(frame: Frame) -> Frame:
    """The same rows, with the promise that a sample without a value is bad.

    NaN that claims to be good would poison every mean behind it; all NaN get the
    same bits, so that two of them are one sample.
    """
    is_void = (frame.flags & Flag.NO_VALUE) != 0
    value = frame.value
    if not isinstance(value, TextColumn) and value.dtype == np.float64:
        is_void = is_void | np.isnan(value)
        if is_void.any():
            value = np.where(np.isnan(value), _NAN, value)
    if not is_void.any():
        return frame
    is_lie = is_void & (frame.quality >= Quality.UNCERTAIN)
    quality = np.where(is_lie, np.uint8(Quality.BAD_NOT_AVAILABLE), frame.quality)
    flags = np.where(is_lie, frame.flags | np.uint8(Flag.NO_VALUE), frame.flags)
    return Frame(frame.point, frame.time_ns, value, quality, flags)


def rms_frame(blocks: Sequence[HeldBlock]) -> Frame:
    """One row a Block for the newest values: at its t0, the RMS of its samples."""
    rms = np.array([item.numbers.rms for item in blocks])
    flags = np.array([item.block.flags for item in blocks], np.uint8)
    return clean(
        Frame(
            np.array([item.block.point for item in blocks], np.uint32),
            np.array([item.block.t0_ns for item in blocks], np.int64),
            rms,
            np.array([item.block.quality for item in blocks], np.uint8),
            flags,
        )
    )


class _Growing:
    """Columns of one kind with room at their end."""

    def __init__(self, kind: ValueKind) -> None:
        self.rows = 0
        self._kind = kind
        value = empty_values(kind)
        self._columns: dict[str, npt.NDArray[Any]] = {
            "point": np.empty(0, np.uint32),
            "time_ns": np.empty(0, np.int64),
            "quality": np.empty(0, np.uint8),
            "flags": np.empty(0, np.uint8),
            "sequence": np.empty(0, np.uint32),
        }
        if isinstance(value, TextColumn):
            self._offset = np.zeros(1, np.uint32)
            self._data = np.empty(0, np.uint8)
            self._data_bytes = 0
        else:
            self._columns["value"] = value

    def append(self, frame: Frame, sequence: int) -> None:
        begin, end = self.rows, self.rows + len(frame)
        for name, column in self._columns.items():
            self._columns[name] = _with_room(column, begin, end, ROWS_MIN)
        columns = self._columns
        columns["point"][begin:end] = frame.point
        columns["time_ns"][begin:end] = frame.time_ns
        columns["quality"][begin:end] = frame.quality
        columns["flags"][begin:end] = frame.flags
        columns["sequence"][begin:end] = sequence
        if isinstance(frame.value, TextColumn):
            self._append_text(frame.value, begin, end)
        else:
            columns["value"][begin:end] = frame.value
        self.rows = end

    def _append_text(self, value: TextColumn, begin: int, end: int) -> None:
        first, last = int(value.offset[0]), int(value.offset[-1])
        used, size = self._data_bytes, last - first
        self._data = _with_room(self._data, used, used + size, ROWS_MIN)
        self._data[used : used + size] = value.data[first:last]
        self._offset = _with_room(self._offset, begin + 1, end + 1, ROWS_MIN)
        offset = value.offset[1:] - np.uint32(first) + np.uint32(used)
        self._offset[begin + 1 : end + 1] = offset
        self._data_bytes = used + size

    def view(self, base: int) -> HeadRows:
        columns = {name: column[: self.rows] for name, column in self._columns.items()}
        value: Values
        if self._kind is ValueKind.TEXT:
            value = TextColumn(self._offset[: self.rows + 1], self._data[: self._data_bytes])
        else:
            value = columns.pop("value")
        return HeadRows(kind=self._kind, base=base, value=value, **columns)

    def bytes_reserved(self) -> int:
        is_text = self._kind is ValueKind.TEXT
        text = self._data.nbytes + self._offset.nbytes if is_text else 0
        return text + sum(column.nbytes for column in self._columns.values())


def _with_room(column: npt.NDArray[Any], used: int, needed: int, size_min: int) -> npt.NDArray[Any]:
    if needed <= len(column):
        return column
    grown = np.empty(max(2 * len(column), needed, size_min), column.dtype)
    grown[:used] = column[:used]
    return grown
