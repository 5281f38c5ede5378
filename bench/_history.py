"""Data for the history bench: a year of a point at 1 Hz, a month of an irregular one, many more.

The irregular point has what a field has: times to the nanosecond, spans of bad and doubtful
quality, rows that come a day late, and rows that are corrected two days later. Every day is
generated anew from its number, so that the oracle needs no second copy in memory. It goes
through head, flush and compaction as the product does it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import numpy as np
import numpy.typing as npt

from penstock.historian import Historian, HistorianSettings
from penstock.historian.compaction import compact_once
from penstock.historian.encode import DecimalHints
from penstock.model import Batch, Flag, Frame, Origin
from penstock.world import SystemDisk

SECOND_NS = 1_000_000_000
HOUR_NS, DAY_NS = 3_600 * SECOND_NS, 86_400 * SECOND_NS
DAY_S = 86_400
# Midnight of a day in 2025.
T0 = 20_200 * DAY_NS
YEAR_POINT = 1
IRREGULAR_POINT = 2
IRREGULAR_DAYS, IRREGULAR_ROWS = 33, 20_000
LATE_SHARE, CORRECTED_SHARE = 0.01, 0.005
GOOD, UNCERTAIN, BAD = 192, 64, 4
CORRECTION = int(Flag.CORRECTION)
FIRST_OF_MANY = 100
MINUTES = 1_440
ORIGIN = Origin(UUID(int=1), 0, 1)
SETTINGS = HistorianSettings(head_rows_max=1_000_000, compaction_segments_min=8)
Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]


def day_of_year_point(day: int) -> tuple[Times, Values]:
    """86,400 samples of a slow quantity with two decimals; times jitter by up to 2 ms."""
    random = np.random.default_rng(1_000_000 + day)
    second = np.arange(DAY_S)
    times = T0 + day * DAY_NS + second * SECOND_NS + random.integers(0, 2_000, DAY_S) * 1_000
    level = 50 + 20 * np.sin((day * DAY_S + second) / 40_000)
    walk = random.normal(0, 0.02, DAY_S).cumsum()
    return times, np.round(level + walk - walk.mean(), 2)


@dataclass(frozen=True)
class Day:
    """What a question sees of the irregular point in a day, in order; who came late or again."""

    times: Times
    values: Values
    quality: Bytes
    is_late: npt.NDArray[np.bool_]
    is_corrected: npt.NDArray[np.bool_]

    @property
    def flags(self) -> Bytes:
        return np.where(self.is_corrected, CORRECTION, 0).astype(np.uint8)


def irregular_from(days: int) -> int:
    """First day of the irregular point."""
    return max(0, days - IRREGULAR_DAYS)


def irregular_day(day: int) -> Day:
    """20,000 samples at any nanosecond of the day."""
    random = np.random.default_rng(2_000_000 + day)
    times = np.unique(T0 + day * DAY_NS + random.integers(0, DAY_NS, IRREGULAR_ROWS))
    rows = len(times)
    values = np.round(20 + random.normal(0, 0.05, rows).cumsum(), 3)
    quality = np.full(rows, GOOD, np.uint8)
    for cause, count in ((UNCERTAIN, 3), (BAD, 4)):
        for begin in random.integers(0, rows - 900, count).tolist():
            quality[begin : begin + int(random.integers(1, 900))] = cause
    chance = random.random(rows)
    is_late = chance < LATE_SHARE
    return Day(times, values, quality, is_late, ~is_late & (chance < LATE_SHARE + CORRECTED_SHARE))


def irregular_frames(days: int, today: int) -> Iterator[Frame]:
    """What comes today: its own rows, those of yesterday that are late, corrections of older."""
    first = irregular_from(days)
    for day, kind in ((today, "own"), (today - 1, "late"), (today - 2, "corrected")):
        if not first <= day < days:
            continue
        made = irregular_day(day)
        chosen = {"own": ~made.is_late, "late": made.is_late, "corrected": made.is_corrected}[kind]
        values = made.values + (made.is_corrected if kind == "own" else 0.0)
        yield Frame(
            np.full(int(chosen.sum()), IRREGULAR_POINT, np.uint32),
            made.times[chosen],
            values[chosen],
            made.quality[chosen],
            np.full(int(chosen.sum()), CORRECTION if kind == "corrected" else 0, np.uint8),
        )


def values_of_many(points: int) -> Values:
    """`points` x 1,440 values; the spread grows with a shuffled number of the point."""
    random = np.random.default_rng(7)
    spread = random.permutation(points) / points + 0.01
    noise = random.normal(0, 1, (points, MINUTES))
    return np.round(100 + noise * spread[:, None], 3)


def times_of_many(day: int) -> Times:
    """A sample a minute."""
    return T0 + day * DAY_NS + np.arange(MINUTES) * 60 * SECOND_NS


def frame(point: npt.NDArray[np.uint32] | int, times: Times, values: Values) -> Frame:
    count = len(times)
    return Frame(
        np.broadcast_to(np.asarray(point, np.uint32), count).copy(),
        times,
        values,
        np.full(count, 192, np.uint8),
        np.zeros(count, np.uint8),
    )


def frames(days: int, points: int) -> Iterator[Frame]:
    """All rows in the order of arrival; the many points report on the last day."""
    for day in range(days + 2):
        if day < days:
            yield frame(YEAR_POINT, *day_of_year_point(day))
        yield from irregular_frames(days, day)
    values, times = values_of_many(points), times_of_many(days - 1)
    handles = np.arange(FIRST_OF_MANY, FIRST_OF_MANY + points, dtype=np.uint32)
    step = max(1, 100_000 // points)
    for begin in range(0, MINUTES, step):
        cut = slice(begin, begin + step)
        block = values[:, cut]
        yield frame(
            np.tile(handles, block.shape[1]), np.repeat(times[cut], points), block.T.ravel()
        )


@dataclass(frozen=True)
class Spans:
    """(from, to) of the questions; all of them are whole days of UTC or hours."""

    days: int

    @property
    def end_ns(self) -> int:
        return T0 + self.days * DAY_NS

    @property
    def year(self) -> tuple[int, int]:
        return T0, self.end_ns

    @property
    def hour(self) -> tuple[int, int]:
        begin = self.end_ns - 7 * HOUR_NS
        return begin, begin + HOUR_NS

    @property
    def day(self) -> tuple[int, int]:
        return self.end_ns - 2 * DAY_NS, self.end_ns - DAY_NS

    @property
    def month(self) -> tuple[int, int]:
        return self._before(30)

    @property
    def eight_days(self) -> tuple[int, int]:
        return self._before(8)

    def _before(self, days: int) -> tuple[int, int]:
        to_ns = self.end_ns - DAY_NS
        return to_ns - min(days, self.days - 1) * DAY_NS, to_ns


def build(folder: Path, days: int, points: int) -> None:
    """Write the data folder: every day lies in a day file in the end."""
    historian = Historian.open(SystemDisk(), folder, SETTINGS)
    hints = DecimalHints()
    now_ns = T0
    for number, item in enumerate(frames(days, points), 1):
        now_ns = max(now_ns, int(item.time_ns.max()))
        historian.append(Batch(ORIGIN, number, (item,)), number, now_ns)
        if historian.is_full:
            _flush(historian)
            _compact(historian, folder, hints, days)
    _flush(historian)
    while _compact(historian, folder, hints, days, at_least=2):
        pass


def opened(folder: Path) -> Historian:
    """With room for all chunk tables of a year, as a node with much history has it."""
    return Historian.open(SystemDisk(), folder, HistorianSettings(table_bytes_max=64 * 1024 * 1024))


def _flush(historian: Historian) -> None:
    historian.seal(1)
    historian.adopt(historian.write())


def _compact(
    historian: Historian, folder: Path, hints: DecimalHints, days: int, at_least: int = 8
) -> bool:
    settings = SETTINGS.model_copy(update={"compaction_segments_min": at_least})
    proposal = compact_once(
        SystemDisk(),
        folder,
        historian.manifest,
        settings,
        hints,
        lambda _: None,
        lambda: False,
        now_ns=T0 + (days + 2) * DAY_NS,
    )
    if proposal is not None:
        historian.swap(proposal)
    return proposal is not None
