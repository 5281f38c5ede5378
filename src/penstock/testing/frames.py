"""Frames in one line, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from penstock.model import Frame, Quality, TextColumn

if TYPE_CHECKING:
    from collections.abc import Sequence


def frame(
    point: Sequence[int] | int,
    time_ns: Sequence[int] | int,
    value: Sequence[float] | Sequence[int] | Sequence[str],
    quality: Sequence[int] | int = Quality.GOOD,
    flags: Sequence[int] | int = 0,
) -> Frame:
    """A Frame of `value`'s length and kind; scalars are repeated for each row."""
    rows = len(value)
    if rows and isinstance(value[0], str):
        column = TextColumn.of(str(text) for text in value)
    else:
        is_int = rows > 0 and all(isinstance(number, int) for number in value)
        column = np.asarray(value, np.int64 if is_int else np.float64)  # type: ignore[assignment]
    return Frame(
        np.broadcast_to(np.asarray(point, np.uint32), rows).copy(),
        np.broadcast_to(np.asarray(time_ns, np.int64), rows).copy(),
        column,
        np.broadcast_to(np.asarray(quality, np.uint8), rows).copy(),
        np.broadcast_to(np.asarray(flags, np.uint8), rows).copy(),
    )
