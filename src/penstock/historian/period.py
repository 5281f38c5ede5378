"""The period at which a point is scanned, where its times keep to it better than their steps do.

A scanner that wakes every second and is late by some microseconds makes times that
scatter around whole seconds. Their steps scatter more, by the square root of two,
and a step over a scan without a change costs again. A clock that drifts against its
own period has no such grid: then steps are the better code.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ROWS_MIN = 256
_SAMPLE = 256
_GRID = 8
"""Times scatter by less than this part of the period, or it is none."""


def period_of(offset: npt.NDArray[np.int64]) -> int:
    """Period of ascending times (in their unit), or 0 when steps are as good."""
    rows = len(offset)
    if rows < ROWS_MIN:
        return 0
    place = np.arange(0, rows - 1, max(1, rows // _SAMPLE))
    time, step = offset[place], offset[place + 1] - offset[place]
    period = _rounded(float(np.partition(step, len(step) // 8)[len(step) // 8]))
    if period < _GRID:
        return 0
    late = time - _nearest(time, period)
    uneven = step - _nearest(step, period)
    scatter = float(np.abs(late - np.median(late)).mean())
    of_steps = float(np.abs(uneven).mean())
    is_grid = scatter * _GRID < period and scatter < 0.9 * of_steps
    return period if is_grid else 0


def _rounded(step: float) -> int:
    """Two digits: nobody scans every 1.0003 s."""
    return int(float(f"{step:.1e}"))


def _nearest(number: npt.NDArray[np.int64], period: int) -> npt.NDArray[np.int64]:
    multiple: npt.NDArray[np.int64] = np.rint(number / period).astype(np.int64) * period
    return multiple
