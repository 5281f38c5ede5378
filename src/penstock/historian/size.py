"""Size: how much each point takes on disk, and when the disk is full at today's rate.

Pure, from chunk tables alone: no sample is read. The forecast says how many days it rests
on, and that it rests on too few rather than a number that nobody should trust.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penstock.historian.retention import DAY_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from penstock.historian.segment import ChunkTable

    Integers = npt.NDArray[np.int64]

DAYS = 8
"""Whole UTC days before today that are looked at; the first of a run may be a part of a day."""
STEADY_DAYS = 3
"""With fewer whole days a forecast is called rough."""
TOO_LITTLE, ROUGH, STEADY, NEVER = "too_little", "rough", "steady", "never"
DAYS_LEFT_MAX = 36_500.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of each point: rows and bytes in all, and of the whole days before `today` (a day number).

    `handle`, `rows`, `bytes` i64[n]; `daily_bytes` i64[n, DAYS], yesterday last;
    `daily_rows` i64[DAYS] of all points.
    """

    today: int
    handle: Integers
    rows: Integers
    bytes: Integers
    daily_bytes: Integers
    daily_rows: Integers

    @property
    def days(self) -> int:
        """Whole days with data without a break up to yesterday, of which the rate is taken.

        The first day of a run is left out: it may have begun at noon.
        """
        run = 0
        for rows in self.daily_rows[::-1].tolist():
            if not rows:
                break
            run += 1
        return run - 1 if run else 0

    def rates(self) -> npt.NDArray[np.float64]:
        """Bytes a day of each point; zeros where there is no whole day."""
        days = self.days
        if not days:
            return np.zeros(len(self.handle))
        found: npt.NDArray[np.float64] = self.daily_bytes[:, DAYS - days :].sum(axis=1) / days
        return found


def measure(tables: Iterable[ChunkTable], today: int) -> Sizes:
    """Sums over all chunks; a chunk counts for the day on which it begins."""
    rows, size = np.zeros(0, np.int64), np.zeros(0, np.int64)
    daily = np.zeros((0, DAYS), np.int64)
    daily_rows = np.zeros(DAYS, np.int64)
    for table in tables:
        if not len(table):
            continue
        grown = max(len(rows), int(table.point.max()) + 1)
        rows, size = (np.pad(column, (0, grown - len(column))) for column in (rows, size))
        daily = np.pad(daily, ((0, grown - len(daily)), (0, 0)))
        rows += np.bincount(table.point, table.rows, grown).astype(np.int64)
        size += np.bincount(table.point, table.bytes, grown).astype(np.int64)
        day = table.first_ns // DAY_NS - (today - DAYS)
        recent = np.flatnonzero((day >= 0) & (day < DAYS))
        np.add.at(daily, (table.point[recent], day[recent]), table.bytes[recent].astype(np.int64))
        np.add.at(daily_rows, day[recent], table.rows[recent].astype(np.int64))
    handle = np.flatnonzero(rows)
    return Sizes(today, handle, rows[handle], size[handle], daily[handle], daily_rows)


def encode(sizes: Sizes) -> bytes:
    """For a file in the spool: i64 little-endian, today and n first."""
    head = np.array([sizes.today, len(sizes.handle)], "<i8")
    columns = (sizes.handle, sizes.rows, sizes.bytes, sizes.daily_bytes.ravel(), sizes.daily_rows)
    return b"".join([head.tobytes(), *(column.astype("<i8").tobytes() for column in columns)])


def decode(data: bytes) -> Sizes:
    """Back from `encode`."""
    numbers = np.frombuffer(data, "<i8").astype(np.int64)
    today, count = numbers[:2].tolist()
    ends = np.cumsum([2, count, count, count, count * DAYS, DAYS])
    handle, rows, size, daily, daily_rows = np.split(numbers, ends[:-1])[1:]
    return Sizes(today, handle, rows, size, daily.reshape(count, DAYS), daily_rows)


# --- when the disk is full


@dataclass(frozen=True, slots=True)
class Growth:
    """Points that are kept equally long: what they have, what they add a day, days kept or None."""

    bytes: int
    bytes_per_day: float
    keep_days: int | None

    def after(self, days: float) -> float:
        """Bytes more than now; what is kept for a limited time stops to grow."""
        added = self.bytes_per_day * days
        if self.keep_days is None:
            return added
        return min(added, max(0.0, self.bytes_per_day * self.keep_days - self.bytes))


@dataclass(frozen=True, slots=True)
class Forecast:
    """`days_left` is None for too little history, and where retention holds the size for ever."""

    state: str
    days_left: float | None
    bytes_per_day: float | None
    days: int


def forecast(growths: Sequence[Growth], room_bytes: int, days: int) -> Forecast:
    """When `room_bytes` are used up at the rate of the last `days` whole days."""
    if days < 1:
        return Forecast(TOO_LITTLE, None, None, days)
    rate = sum(growth.bytes_per_day for growth in growths)
    if sum(growth.after(DAYS_LEFT_MAX) for growth in growths) < room_bytes:
        return Forecast(NEVER, None, rate, days)
    low, high = 0.0, DAYS_LEFT_MAX
    for _ in range(60):
        middle = (low + high) / 2
        is_full = sum(growth.after(middle) for growth in growths) >= room_bytes
        low, high = (low, middle) if is_full else (middle, high)
    return Forecast(STEADY if days >= STEADY_DAYS else ROUGH, high, rate, days)
