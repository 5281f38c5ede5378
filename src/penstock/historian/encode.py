"""Rows of many points to chunks: what can be decided for all chunks at once is, in numpy.

The cost of a chunk of a few hundred rows is its calls, not its bytes. So which form
each column of each chunk takes is worked out over the whole block, and the loop over
the chunks only compresses and joins (bench/history.py watches this).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penstock.codec.layout import column_bytes
from penstock.historian.chunk import DECIMALS_MAX, Form, Section, join_sections
from penstock.historian.packing import Shape, pack, pack_periodic
from penstock.historian.period import period_of
from penstock.model import TextColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from penstock.historian.columns import Columns
    from penstock.model.frame import Values

# Below this a pcodec header is as long as what it saves.
PACKED_ROWS_MIN = 24
# A step this much smaller than the spread makes differences cheaper than values.
_WALK_RATIO = 1.2
_EXACT = 2.0**53
_NO_DECIMALS = 255
_PROBED = 8


class DecimalHints:
    """How many decimals each point's values had last time: one byte by handle."""

    def __init__(self) -> None:
        self._digits = np.zeros(1_024, np.uint8)

    def of(self, handles: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
        """Decimals to try first; grows to the largest handle that was asked for."""
        needed = int(handles.max(initial=0)) + 1
        if needed > len(self._digits):
            grown = np.zeros(max(2 * len(self._digits), needed), np.uint8)
            grown[: len(self._digits)] = self._digits
            self._digits = grown
        return self._digits[handles]

    def remember(self, handles: npt.NDArray[np.uint32], digits: npt.NDArray[np.uint8]) -> None:
        """What was found; a point without decimals keeps its hint."""
        is_known = digits != _NO_DECIMALS
        self._digits[handles[is_known]] = digits[is_known]


@dataclass(frozen=True, slots=True)
class Chunks:
    """Where the chunks of some ordered rows begin and end, and whose they are."""

    point: npt.NDArray[np.uint32]
    starts: npt.NDArray[np.intp]
    ends: npt.NDArray[np.intp]

    @property
    def length(self) -> npt.NDArray[np.intp]:
        """Rows of each chunk."""
        return self.ends - self.starts


def encode_chunks(
    rows: Columns, chunks: Chunks, hints: DecimalHints, *, is_final: bool = False
) -> Iterator[bytes]:
    """Bytes of each chunk; rows are in (point, time) order. `is_final`: few bytes, not fast."""
    times = _times(rows.time_ns, chunks, is_final=is_final)
    value = _values(rows.value, chunks, hints, is_final=is_final)
    quality = _byte_sections(rows.quality, chunks)
    flags = _byte_sections(rows.flags, chunks)
    sequence = _sequences(rows.sequence, chunks)
    parts = (times, value, quality, flags, sequence)
    bounds = zip(chunks.starts.tolist(), chunks.ends.tolist(), strict=True)
    for chunk, (begin, end) in enumerate(bounds):
        yield join_sections([part(chunk, begin, end) for part in parts])


# --- times and sequences: offsets from the first


def _times(
    time_ns: npt.NDArray[np.int64], chunks: Chunks, *, is_final: bool
) -> Callable[[int, int, int], Section]:
    offset = time_ns - np.repeat(time_ns[chunks.starts], chunks.length)
    steps = _linear_steps(offset, chunks)
    power = np.zeros(len(chunks.starts), np.uint8)
    for digits in (3, 6, 9):
        is_whole = np.logical_and.reduceat(offset % 10**digits == 0, chunks.starts)
        power[is_whole] = digits
    units, unit = power.tolist(), 10 ** power.astype(np.int64)
    counted = offset // np.repeat(unit, chunks.length)

    def section(chunk: int, begin: int, end: int) -> Section:
        step = steps[chunk]
        if step is not None:
            return Section(Form.LINEAR, 0, struct.pack("<q", step))
        if end - begin < PACKED_ROWS_MIN:
            return Section(Form.RAW, 0, bytes(column_bytes(offset[begin:end])))
        return Section(Form.PACKED, units[chunk], packed(counted[begin:end]))

    packed = _pack_times if is_final else _pack_steps
    return section


def _pack_steps(counted: npt.NDArray[np.int64]) -> bytes:
    return pack(counted, Shape.WALK)


def _pack_times(counted: npt.NDArray[np.int64]) -> bytes:
    period = period_of(counted)
    return pack_periodic(counted, period) if period else pack(counted, Shape.TIMES)


def _sequences(
    sequence: npt.NDArray[np.uint64], chunks: Chunks
) -> Callable[[int, int, int], Section]:
    first = np.minimum.reduceat(sequence, chunks.starts)
    wide = sequence - np.repeat(first, chunks.length)
    assert int(wide.max(initial=0)) < 2**32
    offset = wide.astype(np.uint32)
    steps = _linear_steps(offset.astype(np.int64), chunks)

    def section(chunk: int, begin: int, end: int) -> Section:
        step = steps[chunk]
        if step is not None and step >= 0 and not offset[begin]:
            return Section(Form.LINEAR, 0, struct.pack("<I", step))
        if end - begin < PACKED_ROWS_MIN:
            return Section(Form.RAW, 0, bytes(column_bytes(offset[begin:end])))
        return Section(Form.PACKED, 0, pack(offset[begin:end], Shape.WALK))

    return section


def _linear_steps(offset: npt.NDArray[np.int64], chunks: Chunks) -> list[int | None]:
    """The step of each chunk whose rows are evenly spaced, else None."""
    step = np.diff(offset, append=offset[-1:])
    last = chunks.ends - 1
    step[last] = step[np.maximum(last - 1, chunks.starts)]
    step[last[chunks.length == 1]] = 0
    low = np.minimum.reduceat(step, chunks.starts)
    high = np.maximum.reduceat(step, chunks.starts)
    return [a if a == b else None for a, b in zip(low.tolist(), high.tolist(), strict=True)]


# --- quality and flags: nearly always one byte for all rows


def _byte_sections(
    column: npt.NDArray[np.uint8], chunks: Chunks
) -> Callable[[int, int, int], Section]:
    low = np.minimum.reduceat(column, chunks.starts).tolist()
    high = np.maximum.reduceat(column, chunks.starts).tolist()

    def section(chunk: int, begin: int, end: int) -> Section:
        usual = high[chunk]
        if low[chunk] == usual:
            return Section(Form.CONSTANT, usual, b"")
        part = column[begin:end]
        odd = np.flatnonzero(part != usual)
        if len(odd) * 3 >= len(part):
            return Section(Form.RAW, 0, part.tobytes())
        return Section(Form.SPARSE, usual, odd.astype("<u2").tobytes() + part[odd].tobytes())

    return section


# --- values


def _values(
    value: Values, chunks: Chunks, hints: DecimalHints, *, is_final: bool
) -> Callable[[int, int, int], Section]:
    if isinstance(value, TextColumn):
        texts = value
        return lambda _, begin, end: _text_section(texts, begin, end)
    if value.dtype == np.int64:
        whole = value.view(np.int64)
        shapes = _shapes(whole, chunks)
        return lambda chunk, begin, end: _number_section(whole[begin:end], shapes[chunk])
    return _floats(value.view(np.float64), chunks, hints, is_final=is_final)


def _number_section(part: npt.NDArray[np.float64] | npt.NDArray[np.int64], shape: Shape) -> Section:
    if len(part) < PACKED_ROWS_MIN:
        return Section(Form.RAW, 0, bytes(column_bytes(part)))
    return Section(Form.PACKED, 0, pack(part, shape))


def _floats(
    value: npt.NDArray[np.float64], chunks: Chunks, hints: DecimalHints, *, is_final: bool
) -> Callable[[int, int, int], Section]:
    """Integers of value x 10^d where that is exact for every bit, -0.0 and NaN included.

    Others are packed as floats in a file that stays, and left as they are in one that
    a compaction will read soon.
    """
    digits, whole = _decimals(value, chunks, hints)
    shapes = _shapes(whole, chunks)
    largest = np.maximum.reduceat(np.abs(whole), chunks.starts)
    narrow = (largest < 2**31).tolist()
    found = digits.tolist()

    def section(chunk: int, begin: int, end: int) -> Section:
        if found[chunk] == _NO_DECIMALS or end - begin < PACKED_ROWS_MIN:
            part = value[begin:end]
            if is_final and end - begin >= PACKED_ROWS_MIN:
                return Section(Form.PACKED, 0, pack(part, _float_shape(part)))
            return Section(Form.RAW, 0, bytes(column_bytes(part)))
        numbers, shape = whole[begin:end], shapes[chunk]
        if narrow[chunk]:
            data = b"\4" + pack(numbers.astype(np.int32), shape)
        else:
            data = b"\10" + pack(numbers, shape)
        return Section(Form.DECIMAL, found[chunk], data)

    return section


def _float_shape(value: npt.NDArray[np.float64]) -> Shape:
    """As `_shapes`, for one chunk; infinities and NaN leave it to pcodec."""
    with np.errstate(all="ignore"):
        step, spread = np.abs(np.diff(value)).mean(), value.std()
    if not np.isfinite(spread):
        return Shape.UNKNOWN
    return Shape.FLOAT_WALK if step < _WALK_RATIO * spread else Shape.FLOAT_LEVEL


def _decimals(
    value: npt.NDArray[np.float64], chunks: Chunks, hints: DecimalHints
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """(decimals of each chunk, scaled integers of each row); the hint first, then all from 0."""
    handles = chunks.point[chunks.starts]
    digits = hints.of(handles)
    scale = np.repeat(10.0**digits, chunks.length)
    is_exact, whole = _scaled(value, scale)
    found = np.where(np.logical_and.reduceat(is_exact, chunks.starts), digits, _NO_DECIMALS)
    failed = np.flatnonzero(found == _NO_DECIMALS)
    for chunk, tried in _candidates(value, chunks, failed):
        begin, end = int(chunks.starts[chunk]), int(chunks.ends[chunk])
        if found[chunk] == _NO_DECIMALS:
            is_exact, part = _scaled(value[begin:end], 10.0**tried)
            if is_exact.all():
                found[chunk], whole[begin:end] = tried, part
    found = found.astype(np.uint8)
    hints.remember(handles, found)
    return found, whole


def _candidates(
    value: npt.NDArray[np.float64], chunks: Chunks, failed: npt.NDArray[np.intp]
) -> list[tuple[int, int]]:
    """(chunk, decimals) that fit a few rows of the chunk, fewest decimals first.

    Most points without decimals are found out by these rows, all of them at once.
    """
    place = np.arange(_PROBED) * ((chunks.length[failed] - 1) / (_PROBED - 1))[:, None]
    probe = value[chunks.starts[failed][:, None] + place.astype(np.intp)]
    found: list[tuple[int, int]] = []
    for tried in range(DECIMALS_MAX + 1):
        is_exact, _ = _scaled(probe, 10.0**tried)
        found += [(chunk, tried) for chunk in failed[is_exact.all(axis=1)].tolist()]
    return found


def _scaled(
    value: npt.NDArray[np.float64], scale: npt.NDArray[np.float64] | float
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.rint(value * scale)
        is_small = np.abs(whole) < _EXACT
        number = np.where(is_small, whole, 0.0).astype(np.int64)
    back = number / scale
    return is_small & (back.view(np.int64) == value.view(np.int64)), number


def _shapes(whole: npt.NDArray[np.int64], chunks: Chunks) -> list[Shape]:
    """WALK where the mean step is small against the spread of the chunk."""
    value, length = whole.astype(np.float64), chunks.length
    mean = np.add.reduceat(value, chunks.starts) / length
    spread = np.add.reduceat((value - np.repeat(mean, length)) ** 2, chunks.starts) / length
    step = np.abs(np.diff(value, append=value[-1:]))
    step[chunks.ends - 1] = 0.0
    mean_step = np.add.reduceat(step, chunks.starts) / length
    is_walk = mean_step < _WALK_RATIO * np.sqrt(spread)
    return [Shape.WALK if walk else Shape.LEVEL for walk in is_walk.tolist()]


# --- texts


def _text_section(value: TextColumn, begin: int, end: int) -> Section:
    part = TextColumn(value.offset[begin : end + 1], value.data)
    if end - begin >= PACKED_ROWS_MIN:
        texts = part.to_list()
        words = dict.fromkeys(texts)
        if len(words) * 4 <= len(texts):
            return Section(Form.WORDS, 0, _words(texts, list(words)))
    return Section(Form.RAW, 0, _raw_text(part))


def _raw_text(value: TextColumn) -> bytes:
    first, last = int(value.offset[0]), int(value.offset[-1])
    offset = (value.offset - np.uint32(first)).astype("<u4")
    return offset.tobytes() + bytes(column_bytes(value.data[first:last]))


def _words(texts: list[str], words: list[str]) -> bytes:
    place = {word: number for number, word in enumerate(words)}
    index = pack(np.array([place[text] for text in texts], np.uint32), Shape.LEVEL)
    head = struct.pack("<II", len(words), len(index))
    return head + index + _raw_text(TextColumn.of(words))
