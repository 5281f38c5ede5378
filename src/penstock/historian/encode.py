"""Rows of many points to chunks at once: what can be decided for all chunks is, in numpy.

The cost of a chunk of a few hundred rows is its calls, not its bytes. So which form
each column of each chunk takes is worked out over the whole block, constant and
linear columns are written together, and only what is packed is a call a chunk
(bench/history.py and bench/ingest.py watch this).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penstock.codec.layout import column_bytes
from penstock.historian.chunk import DECIMALS_MAX, Form, Sections, join_sections
from penstock.historian.packing import Shape, pack, pack_periodic
from penstock.historian.period import period_of
from penstock.model import TextColumn

if TYPE_CHECKING:
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
_UNITS = (9, 6, 3)


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

    def spans(self, chosen: npt.NDArray[np.bool_]) -> list[tuple[int, int, int]]:
        """(chunk, begin, end) of the chosen ones."""
        index = np.flatnonzero(chosen)
        ends = self.ends[index].tolist()
        return list(zip(index.tolist(), self.starts[index].tolist(), ends, strict=True))


def encode_chunks(
    rows: Columns, chunks: Chunks, hints: DecimalHints, *, is_final: bool = False
) -> list[bytes]:
    """Bytes of each chunk; rows are in (point, time) order. `is_final`: few bytes, not fast."""
    return join_sections(
        (
            _times(rows.time_ns, chunks, is_final=is_final),
            _values(rows.value, chunks, hints, is_final=is_final),
            _bytes(rows.quality, chunks),
            _bytes(rows.flags, chunks),
            _sequences(rows.sequence, chunks),
        )
    )


# --- times and sequences: offsets from the first


def _times(time_ns: npt.NDArray[np.int64], chunks: Chunks, *, is_final: bool) -> Sections:
    offset = time_ns - np.repeat(time_ns[chunks.starts], chunks.length)
    sections = Sections.of(len(chunks.starts))
    step, is_linear = _linear(offset, chunks)
    sections.put_linear(is_linear, step)
    is_short = ~is_linear & (chunks.length < PACKED_ROWS_MIN)
    for chunk, begin, end in chunks.spans(is_short):
        sections.put(chunk, Form.RAW, 0, bytes(column_bytes(offset[begin:end])))
    is_packed = ~is_linear & ~is_short
    digits, counted = _units(offset, chunks, is_packed)
    packed = _pack_times if is_final else _pack_steps
    sections.params[is_packed] = digits[is_packed]
    sections.forms[is_packed] = Form.PACKED
    for chunk, begin, end in chunks.spans(is_packed):
        sections.data[chunk] = packed(counted[begin:end])
    return sections


def _units(
    offset: npt.NDArray[np.int64], chunks: Chunks, wanted: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """(power of ten of the largest unit that fits all times of a chunk, times in that unit).

    A few rows of each chunk say which unit it can be; floats divide faster and are
    exact where the product is.
    """
    digits = np.zeros(len(chunks.starts), np.uint8)
    probe = offset[_probes(chunks)]
    for power in reversed(_UNITS):
        digits[wanted & (probe % 10**power == 0).all(axis=1)] = power
    unit = np.repeat(10 ** digits.astype(np.int64), chunks.length)
    counted = np.rint(offset / unit).astype(np.int64) if digits.any() else offset.copy()
    is_exact = np.logical_and.reduceat(counted * unit == offset, chunks.starts)
    for chunk, begin, end in chunks.spans(~is_exact):
        part = offset[begin:end]
        smaller = (power for power in _UNITS if (part % 10**power == 0).all())
        digits[chunk] = next(smaller, 0)
        counted[begin:end] = part // 10 ** int(digits[chunk])
    return digits, counted


def _probes(
    chunks: Chunks, chosen: npt.NDArray[np.intp] | slice = slice(None)
) -> npt.NDArray[np.intp]:
    """Rows spread over each of the chosen chunks (chunks x _PROBED)."""
    share = (chunks.length[chosen] - 1) / (_PROBED - 1)
    place = (np.arange(_PROBED) * share[:, None]).astype(np.intp)
    return np.asarray(chunks.starts[chosen][:, None] + place)


def _pack_steps(counted: npt.NDArray[np.int64]) -> bytes:
    return pack(counted, Shape.WALK)


def _pack_times(counted: npt.NDArray[np.int64]) -> bytes:
    period = period_of(counted)
    return pack_periodic(counted, period) if period else pack(counted, Shape.TIMES)


def _sequences(sequence: npt.NDArray[np.uint64], chunks: Chunks) -> Sections:
    first = np.minimum.reduceat(sequence, chunks.starts)
    wide = sequence - np.repeat(first, chunks.length)
    assert int(wide.max(initial=0)) < 2**32
    offset = wide.astype(np.uint32)
    sections = Sections.of(len(chunks.starts))
    step, is_linear = _linear(wide.view(np.int64), chunks)
    is_linear &= (step >= 0) & (offset[chunks.starts] == 0)
    sections.put_linear(is_linear, step.astype(np.uint32))
    for chunk, begin, end in chunks.spans(~is_linear):
        part = offset[begin:end]
        if end - begin < PACKED_ROWS_MIN:
            sections.put(chunk, Form.RAW, 0, bytes(column_bytes(part)))
        else:
            sections.put(chunk, Form.PACKED, 0, pack(part, Shape.WALK))
    return sections


def _linear(
    offset: npt.NDArray[np.int64], chunks: Chunks
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """(a step of each chunk, whether all its steps are the same)."""
    step = np.diff(offset, append=offset[-1:])
    last = chunks.ends - 1
    step[last] = step[np.maximum(last - 1, chunks.starts)]
    step[last[chunks.length == 1]] = 0
    low = np.minimum.reduceat(step, chunks.starts)
    return low, low == np.maximum.reduceat(step, chunks.starts)


# --- quality and flags: nearly always one byte for all rows


def _bytes(column: npt.NDArray[np.uint8], chunks: Chunks) -> Sections:
    sections = Sections.of(len(chunks.starts))
    usual = np.maximum.reduceat(column, chunks.starts)
    sections.forms[:], sections.params[:] = Form.CONSTANT, usual
    is_mixed = np.minimum.reduceat(column, chunks.starts) != usual
    for chunk, begin, end in chunks.spans(is_mixed):
        part = column[begin:end]
        odd = np.flatnonzero(part != usual[chunk])
        if len(odd) * 3 >= len(part):
            sections.put(chunk, Form.RAW, 0, part.tobytes())
        else:
            data = odd.astype("<u2").tobytes() + part[odd].tobytes()
            sections.put(chunk, Form.SPARSE, int(usual[chunk]), data)
    return sections


# --- values


def _values(value: Values, chunks: Chunks, hints: DecimalHints, *, is_final: bool) -> Sections:
    sections = Sections.of(len(chunks.starts))
    every = np.ones(len(chunks.starts), bool)
    if isinstance(value, TextColumn):
        for chunk, begin, end in chunks.spans(every):
            sections.put(chunk, *_text_section(value, begin, end))
        return sections
    if value.dtype == np.float64:
        return _floats(value.view(np.float64), chunks, hints, is_final=is_final)
    whole = value.view(np.int64)
    shapes = _shapes(whole, chunks)
    for chunk, begin, end in chunks.spans(every):
        part = whole[begin:end]
        if end - begin < PACKED_ROWS_MIN:
            sections.put(chunk, Form.RAW, 0, bytes(column_bytes(part)))
        else:
            sections.put(chunk, Form.PACKED, 0, pack(part, shapes[chunk]))
    return sections


def _floats(
    value: npt.NDArray[np.float64], chunks: Chunks, hints: DecimalHints, *, is_final: bool
) -> Sections:
    """Integers of value x 10^d where that is exact for every bit, -0.0 and NaN included.

    Others are packed as floats in a file that stays, and left as they are in one that
    a compaction will read soon.
    """
    sections = Sections.of(len(chunks.starts))
    digits, whole = _decimals(value, chunks, hints)
    is_short = chunks.length < PACKED_ROWS_MIN
    is_decimal = (digits != _NO_DECIMALS) & ~is_short
    is_packed = ~is_decimal & ~is_short & is_final
    for chunk, begin, end in chunks.spans(~is_decimal & ~is_packed):
        sections.put(chunk, Form.RAW, 0, bytes(column_bytes(value[begin:end])))
    for chunk, begin, end in chunks.spans(is_packed):
        part = value[begin:end]
        sections.put(chunk, Form.PACKED, 0, pack(part, _float_shape(part)))
    shapes = _shapes(whole, chunks)
    largest = np.maximum.reduceat(np.abs(whole), chunks.starts)
    narrow = (largest < 2**31).tolist()
    sections.forms[is_decimal] = Form.DECIMAL
    sections.params[is_decimal] = digits[is_decimal]
    for chunk, begin, end in chunks.spans(is_decimal):
        numbers, shape = whole[begin:end], shapes[chunk]
        if narrow[chunk]:
            sections.data[chunk] = b"\4" + pack(numbers.astype(np.int32), shape)
        else:
            sections.data[chunk] = b"\10" + pack(numbers, shape)
    return sections


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
    probe = value[_probes(chunks, failed)]
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


def _text_section(value: TextColumn, begin: int, end: int) -> tuple[Form, int, bytes]:
    part = TextColumn(value.offset[begin : end + 1], value.data)
    if end - begin >= PACKED_ROWS_MIN:
        texts = part.to_list()
        words = dict.fromkeys(texts)
        if len(words) * 4 <= len(texts):
            return Form.WORDS, 0, _words(texts, list(words))
    return Form.RAW, 0, _raw_text(part)


def _raw_text(value: TextColumn) -> bytes:
    first, last = int(value.offset[0]), int(value.offset[-1])
    offset = (value.offset - np.uint32(first)).astype("<u4")
    return offset.tobytes() + bytes(column_bytes(value.data[first:last]))


def _words(texts: list[str], words: list[str]) -> bytes:
    place = {word: number for number, word in enumerate(words)}
    index = pack(np.array([place[text] for text in texts], np.uint32), Shape.LEVEL)
    head = struct.pack("<II", len(words), len(index))
    return head + index + _raw_text(TextColumn.of(words))
