"""Intervals of an aggregate: of one width, or of the calendar of a place.

Intervals of a width begin at multiples of it since 1970, as the columns of an
envelope do. Calendar intervals begin where the clock on the wall of a time zone
says so: the day on which summer time begins has 23 hours, the one on which it ends 25.
The asked span cuts the first and the last interval and never widens them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from penstock.model import Refused
from penstock.model.time import HOUR_NS, MILLISECOND_NS, SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

INTERVALS_MAX = 50_000
WIDTH_NS_MIN = MILLISECOND_NS
Unit = Literal["hour", "day", "week", "month"]

# datetime ends at the years 1 and 9999; times of samples lie far inside.
_UNITS: dict[str, timedelta] = {"day": timedelta(days=1), "week": timedelta(days=7)}


@dataclass(frozen=True, slots=True)
class Intervals:
    """n intervals between `edges` i64[n + 1]; `is_cut` bool[n]: the asked span cuts it short."""

    edges: npt.NDArray[np.int64]
    is_cut: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.is_cut)

    @property
    def begin_ns(self) -> int:
        """First moment of the first interval."""
        return int(self.edges[0])

    @property
    def end_ns(self) -> int:
        """First moment behind the last interval."""
        return int(self.edges[-1])

    @property
    def width_ns(self) -> npt.NDArray[np.int64]:
        """Nanoseconds of each interval."""
        return np.diff(self.edges)

    def of(self, time_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """Number of the interval of each moment; -1 before the first, n behind the last."""
        return np.searchsorted(self.edges, time_ns, "right") - 1


def whole(from_ns: int, to_ns: int) -> Intervals:
    """The asked span as one interval."""
    assert from_ns < to_ns
    return Intervals(np.array([from_ns, to_ns], np.int64), np.zeros(1, bool))


def of_width(from_ns: int, to_ns: int, width_ns: int) -> Intervals:
    """Intervals of one width; Refused when they are too many or too narrow."""
    assert from_ns < to_ns
    if width_ns < WIDTH_NS_MIN:
        raise Refused("invalid_request", "An interval has at least one millisecond.")
    first, last = from_ns // width_ns, -(-to_ns // width_ns)
    _check_count(last - first)
    inner = np.arange(first + 1, last, dtype=np.int64) * width_ns
    return _cut(inner, from_ns, to_ns, first * width_ns, last * width_ns)


def of_calendar(from_ns: int, to_ns: int, unit: Unit, zone: str) -> Intervals:
    """Hours, days, weeks (from Monday) or months of a time zone such as "Europe/Berlin"."""
    assert from_ns < to_ns
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Refused("invalid_request", f"{zone[:40]!r} is not a time zone.") from error
    edges = _hours(from_ns, to_ns, place) if unit == "hour" else _dates(from_ns, to_ns, unit, place)
    found = []
    for edge_ns in edges:
        found.append(edge_ns)
        _check_count(len(found) - 1)
    inner = np.array(found[1:-1], np.int64)
    return _cut(inner, from_ns, to_ns, found[0], found[-1])


def _check_count(count: int) -> None:
    if count > INTERVALS_MAX:
        raise Refused(
            "too_large", f"More than {INTERVALS_MAX} intervals. Ask for longer ones or less time."
        )


def _cut(
    inner: npt.NDArray[np.int64], from_ns: int, to_ns: int, first_ns: int, last_ns: int
) -> Intervals:
    edges = np.concatenate([[from_ns], inner, [to_ns]])
    is_cut = np.zeros(len(edges) - 1, bool)
    is_cut[0] |= first_ns < from_ns
    is_cut[-1] |= to_ns < last_ns
    return Intervals(edges, is_cut)


def _hours(from_ns: int, to_ns: int, place: ZoneInfo) -> Iterator[int]:
    """Whole hours of the local clock; one shorter or longer where it jumps by half an hour."""
    edge_ns = _local_hour(from_ns, place)
    yield edge_ns
    while edge_ns < to_ns:
        following = _local_hour(edge_ns + HOUR_NS, place)
        edge_ns = following if following > edge_ns else edge_ns + HOUR_NS
        yield edge_ns


def _local_hour(time_ns: int, place: ZoneInfo) -> int:
    """Begin of the hour of a moment, by the clock that is valid at the moment."""
    offset = datetime.fromtimestamp(time_ns // SECOND_NS, place).utcoffset()
    assert offset is not None
    shift = int(offset.total_seconds()) * SECOND_NS
    return (time_ns + shift) // HOUR_NS * HOUR_NS - shift


def _dates(from_ns: int, to_ns: int, unit: Unit, place: ZoneInfo) -> Iterator[int]:
    day = datetime.fromtimestamp(from_ns // SECOND_NS, place).date()
    if unit == "week":
        day -= timedelta(days=day.weekday())
    elif unit == "month":
        day = day.replace(day=1)
    edge_ns = _midnight(day, place)
    yield edge_ns
    while edge_ns < to_ns:
        day = _next_month(day) if unit == "month" else day + _UNITS[unit]
        edge_ns = _midnight(day, place)
        yield edge_ns


def _next_month(day: date) -> date:
    return (day + timedelta(days=31)).replace(day=1)


def _midnight(day: date, place: ZoneInfo) -> int:
    """First moment of a date; where midnight is skipped, the moment of the jump."""
    local = datetime(day.year, day.month, day.day, tzinfo=place)
    return int(local.astimezone(UTC).timestamp()) * SECOND_NS
