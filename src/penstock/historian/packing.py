"""pcodec behind two functions: numbers to few bytes and back, exact to the bit.

What comes back is checked for type, count and completeness, because pcodec
fills what it can of a wrong destination and says so only in its progress.
"""

from __future__ import annotations

from enum import IntEnum
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


# From compression level 8 on the cost doubles and nothing is saved.
_LEVEL = 4
_CONFIGS = {
    Shape.LEVEL: ChunkConfig(_LEVEL, mode_spec=ModeSpec.classic(), delta_spec=DeltaSpec.no_op()),
    Shape.WALK: ChunkConfig(
        _LEVEL, mode_spec=ModeSpec.classic(), delta_spec=DeltaSpec.try_consecutive(1)
    ),
    Shape.UNKNOWN: ChunkConfig(_LEVEL),
}


def pack(column: npt.NDArray[np.generic], shape: Shape) -> bytes:
    """Compressed bytes of a column of 32 or 64 bit numbers."""
    packed: bytes = simple_compress(column, _CONFIGS[shape])
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
