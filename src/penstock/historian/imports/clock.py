"""Clock: times of a file's rows in UTC, and which rows have none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penstock.historian.ahead import latest_ns
from penstock.historian.imports.times import EPOCHS, TIME_NS_MAX, Times, read_times
from penstock.historian.imports.zones import Zone

if TYPE_CHECKING:
    import numpy.typing as npt

    from penstock.historian.imports.rows import Column
    from penstock.historian.imports.settled import Settled

NO_TIME = "is no time of this format"
NO_OFFSET = "has no offset from UTC, unlike those that the look has seen"
FUTURE = "lies in the future"
SKIPPED = "is a local time that daylight saving skips"
MISSING = np.iinfo(np.int64).min
"""Where a column of times has NULL."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Both readings of each time; they differ in the hour that happens twice."""

    first_ns: npt.NDArray[np.int64]
    second_ns: npt.NDArray[np.int64]
    faults: tuple[tuple[str, npt.NDArray[np.bool_]], ...]


class Clock:
    """Reads times as a file's options say."""

    def __init__(self, settled: Settled, now_ns: int) -> None:
        self._settled = settled
        self._zone = Zone(settled.zone) if settled.zone else None
        self._latest_ns = latest_ns(now_ns)

    def read(self, part: Column) -> Resolved:
        """Times of all rows; where one is at fault its numbers mean nothing."""
        times = self._times(part)
        first = second = times.time_ns
        faults = [(NO_TIME, ~times.is_time)]
        is_local = times.is_time & ~times.is_utc
        if is_local.any():
            if self._zone is None:
                faults.append((NO_OFFSET, is_local))
            else:
                local = self._zone.read(times.time_ns)
                first = np.where(is_local, local.first_ns, first)
                second = np.where(is_local, local.second_ns, second)
                faults.append((SKIPPED, is_local & local.is_skipped))
                if self._settled.double_hour == "first":
                    second = first
                elif self._settled.double_hour == "second":
                    first = second
        is_future = times.is_time & (first > self._latest_ns)
        faults.append((FUTURE, is_future))
        return Resolved(first, second, tuple(item for item in faults if item[1].any()))

    def _times(self, part: Column) -> Times:
        if part.time_text is not None:
            return read_times(part.time_text, self._settled.time_format)
        assert part.time_number is not None
        number = part.time_number
        unit = EPOCHS.get(self._settled.time_format, 1)
        is_time = (number != MISSING) & (np.abs(number) <= TIME_NS_MAX // unit)
        is_utc = np.full(len(number), part.is_utc)
        return Times(np.where(is_time, number, 0) * unit, is_time, is_utc)
