"""The hour that happens twice: which of two readings the order of the rows tells.

Within that hour the local times of one point go up, fall back once, and go up again; the
rows before the fall are summer time. A file in the other direction is its mirror. Where
there is not exactly one fall, order tells nothing, and somebody has to be asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from penstock.model.time import DAY_NS

if TYPE_CHECKING:
    import numpy.typing as npt

HELD_ROWS_MAX = 2_000_000


def is_second(
    point: npt.NDArray[np.uint32], first_ns: npt.NDArray[np.int64], *, is_rising: bool
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
    """Which rows, in the order of the file, are of the second hour; and the rows that stay open."""
    found = np.zeros(len(point), bool)
    week = first_ns // (7 * DAY_NS)
    order = np.lexsort((np.arange(len(point)), week, point))
    key = np.stack([point[order].astype(np.int64), week[order]])
    starts = np.flatnonzero(np.append(True, (key[:, 1:] != key[:, :-1]).any(axis=0)))
    open_ = []
    for begin, end in zip(starts, np.append(starts[1:], len(order)), strict=True):
        rows = order[begin:end]
        if not is_rising:
            rows = rows[::-1]
        at = _fall(first_ns[rows])
        if at is None:
            open_.append(rows[:1])
        elif at < 0:
            found[rows[1::2]] = True
        else:
            found[rows[at:]] = True
    return found, np.concatenate(open_) if open_ else np.zeros(0, np.intp)


def _fall(times: npt.NDArray[np.int64]) -> int | None:
    """Where the second hour begins in rising times; -1: each time stands twice; None: unknown."""
    step = np.diff(times)
    falls = np.flatnonzero(step < 0)
    if len(falls) == 1:
        return int(falls[0]) + 1
    is_even = len(times) % 2 == 0
    if not len(falls) and is_even and len(times) and (times[::2] == times[1::2]).all():
        is_twice = len(np.unique(times)) * 2 == len(times)
        return -1 if is_twice else None
    return None
