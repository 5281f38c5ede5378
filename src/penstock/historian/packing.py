"""pcodec behind two functions: numbers to few bytes and back, exact to the bit.

What comes back is checked for type, count and completeness, because pcodec
fills what it can of a wrong destination and says so only in its progress.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pcodec import ChunkConfig
from pcodec.standalone import simple_compress, simple_decompress_into

from penstock.codec.layout import Damaged

if TYPE_CHECKING:
    import numpy.typing as npt

# Level 4 costs 10 ns a value more than level 1 and saves a fifth of the bytes;
# from level 8 on the cost doubles and nothing is saved (bench/history.py).
_CONFIG = ChunkConfig(compression_level=4)


def pack(column: npt.NDArray[np.generic]) -> bytes:
    """Compressed bytes of a column of 32 or 64 bit numbers."""
    packed: bytes = simple_compress(np.ascontiguousarray(column), _CONFIG)
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
