"""pcodec behind two functions: numbers to few bytes and back, exact to the bit.

What comes back is checked for type, count and completeness, because pcodec
fills what it can of a wrong destination and says so only in its progress.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from pcodec import ChunkConfig, DeltaSpec, ModeSpec
from pcodec.standalone import simple_compress, simple_decompress_into

from penstock.codec.layout import Damaged

if TYPE_CHECKING:
    import numpy.typing as npt


class Shape(IntEnum):
    """What is known of a column. Letting pcodec find out costs 25 us a chunk, knowing 7 us."""

    LEVEL = 0
    """Integers that scatter around a level."""
    WALK = 1
    """Integers whose steps are smaller than their spread: counters, times, slow quantities."""
    UNKNOWN = 2
    FLOAT_LEVEL = 3
    """Floats that scatter around a level; pcodec looks for a resolution in them."""
    FLOAT_WALK = 4
    """Floats whose steps are smaller than their spread."""
    TIMES = 5
    """Times whose unit pcodec shall look for."""


# From compression level 8 on the cost doubles and nothing is saved.
_LEVEL = 4
_CLASSIC, _AUTO = ModeSpec.classic(), ModeSpec.auto()
_VALUES, _STEPS = DeltaSpec.no_op(), DeltaSpec.try_consecutive(1)
_CONFIGS = {
    Shape.LEVEL: ChunkConfig(_LEVEL, mode_spec=_CLASSIC, delta_spec=_VALUES),
    Shape.WALK: ChunkConfig(_LEVEL, mode_spec=_CLASSIC, delta_spec=_STEPS),
    Shape.UNKNOWN: ChunkConfig(_LEVEL),
    Shape.FLOAT_LEVEL: ChunkConfig(_LEVEL, mode_spec=_AUTO, delta_spec=_VALUES),
    Shape.FLOAT_WALK: ChunkConfig(_LEVEL, mode_spec=_AUTO, delta_spec=_STEPS),
    Shape.TIMES: ChunkConfig(_LEVEL, mode_spec=_AUTO, delta_spec=_STEPS),
}


def pack(column: npt.NDArray[np.generic], shape: Shape) -> bytes:
    """Compressed bytes of a column of 32 or 64 bit numbers."""
    packed: bytes = simple_compress(column, _CONFIGS[shape])
    return packed


@lru_cache(64)
def _periodic(period: int) -> ChunkConfig:
    mode = ModeSpec.try_int_mult(period)
    return ChunkConfig(_LEVEL, mode_spec=mode, delta_spec=_STEPS)


def pack_periodic(column: npt.NDArray[np.int64], period: int) -> bytes:
    """Times that lie near multiples of `period`: its multiples and what is left, apart."""
    packed: bytes = simple_compress(column, _periodic(period))
    return packed


def unpack(data: bytes, dtype: str, rows: int) -> npt.NDArray[Any]:
    """Exactly `rows` numbers of `dtype`; Damaged if the bytes hold anything else."""
    column = np.empty(rows, dtype)
    try:
        progress = simple_decompress_into(data, column)
    except (RuntimeError, TypeError) as error:
        raise Damaged(f"packed column of {rows} rows: {error}") from error
    if progress.n_processed != rows or not progress.finished:
        raise Damaged(f"packed column has not its {rows} rows")
    return column
