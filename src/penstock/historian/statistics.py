"""Statistics of chunks, all chunks of a block at once: what the table of a segment says.

Only rows that are not bad count. Integers are compared as integers and averaged
as float64. The time integral holds each value until the next row of its chunk;
the gap behind the last row stays open, so that chunks can be joined.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penstock.historian.columns import UNCERTAIN
from penstock.historian.segment import ChunkFlag
from penstock.model import TextColumn

if TYPE_CHECKING:
    import numpy.typing as npt

    from penstock.historian.columns import Columns

_NS = 1e-9


@dataclass(frozen=True, slots=True)
class Statistics:
    """One row a chunk; NaN appears nowhere. `flags` holds NO_VALUES and NO_MOMENTS."""

    count: npt.NDArray[np.uint32]
    minimum: npt.NDArray[np.uint64]
    maximum: npt.NDArray[np.uint64]
    mean: npt.NDArray[np.float64]
    m2: npt.NDArray[np.float64]
    integral: npt.NDArray[np.float64]
    valued_ns: npt.NDArray[np.int64]
    flags: npt.NDArray[np.uint8]


def statistics_of(rows: Columns, starts: npt.NDArray[np.intp]) -> Statistics:
    """Statistics of the chunks that begin at `starts` (the first is 0)."""
    is_valued = rows.quality >= UNCERTAIN
    count = np.add.reduceat(is_valued, starts, dtype=np.uint32)
    if isinstance(rows.value, TextColumn):
        return _of_text(count)
    minimum, maximum = _extremes(rows.value, is_valued, count, starts)
    length = np.diff(np.append(starts, len(rows)))
    held_ns = np.diff(rows.time_ns, append=rows.time_ns[-1:])
    held_ns[starts[1:] - 1] = 0
    held_ns[~is_valued] = 0
    value = np.where(is_valued, rows.value, 0).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.add.reduceat(value, starts) / np.maximum(count, 1)
        distance = np.where(is_valued, value - np.repeat(mean, length), 0.0)
        m2 = np.add.reduceat(distance * distance, starts)
        integral = np.add.reduceat(value * held_ns, starts) * _NS
    is_finite = np.isfinite(mean) & np.isfinite(m2) & np.isfinite(integral)
    flags = np.where(is_finite, 0, ChunkFlag.NO_MOMENTS) | np.where(
        count == 0, ChunkFlag.NO_VALUES, 0
    )
    return Statistics(
        count,
        minimum,
        maximum,
        np.where(is_finite, mean, 0.0),
        np.where(is_finite, m2, 0.0),
        np.where(is_finite, integral, 0.0),
        np.add.reduceat(held_ns, starts),
        flags.astype(np.uint8),
    )


def _extremes(
    value: npt.NDArray[np.float64] | npt.NDArray[np.int64],
    is_valued: npt.NDArray[np.bool_],
    count: npt.NDArray[np.uint32],
    starts: npt.NDArray[np.intp],
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    if value.dtype == np.int64:
        low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    else:
        low, high = -np.inf, np.inf  # type: ignore[assignment]
    minimum = np.minimum.reduceat(np.where(is_valued, value, high), starts)
    maximum = np.maximum.reduceat(np.where(is_valued, value, low), starts)
    nothing = np.uint64(0)
    return (
        np.where(count > 0, minimum.view(np.uint64), nothing),
        np.where(count > 0, maximum.view(np.uint64), nothing),
    )


def _of_text(count: npt.NDArray[np.uint32]) -> Statistics:
    bits, real = np.zeros(len(count), np.uint64), np.zeros(len(count))
    flags = np.full(len(count), ChunkFlag.NO_VALUES, np.uint8)
    return Statistics(count, bits, bits, real, real, real, bits.astype(np.int64), flags)


def bits_of(columns: Columns, index: npt.NDArray[np.intp]) -> npt.NDArray[np.uint64]:
    """Bits of some values for the table; 0 for text and for NaN."""
    if isinstance(columns.value, TextColumn):
        return np.zeros(len(index), np.uint64)
    value = columns.value[index]
    return np.where(value == value, value, 0).astype(value.dtype).view(np.uint64)  # noqa: PLR0124
