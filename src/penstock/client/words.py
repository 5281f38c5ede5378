"""Words of the quality byte, as in SQL and CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from penstock.client.table import Column
from penstock.model.quality import Quality

if TYPE_CHECKING:
    import numpy.typing as npt

_NAMED = {int(item): item.name.lower() for item in Quality}


def quality_word(code: int) -> str:
    """Word of a byte; one without a reason keeps its number."""
    return _NAMED.get(code, f"quality_{code}")


def quality_column(codes: npt.NDArray[np.uint8]) -> Column:
    """Bytes as words: always the same list of words, so that frames can be joined.

    A byte that has no word yet is added behind it.
    """
    known = [*_NAMED]
    counts = np.bincount(codes, minlength=256)
    known += [code for code in np.flatnonzero(counts).tolist() if code not in _NAMED]
    place = np.zeros(256, np.int16)
    place[known] = np.arange(len(known))
    small = np.int8 if len(known) <= np.iinfo(np.int8).max else np.int16
    words = [quality_word(code) for code in known]
    return Column("word", place.astype(small)[codes], words=words)
