"""Local times to UTC by numpy, and what local time cannot say.

A zone is a table of the moments at which its offset changes; of a local time at most two
readings are possible, so both are tried for all rows at once. In the hour that daylight
saving skips there is none, in the one that it repeats there are two.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from penstock.model.time import DAY_NS, SECOND_NS

if TYPE_CHECKING:
    import numpy.typing as npt

_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC)
_STEP = timedelta(days=7)
_FAR = 2**62


@dataclass(frozen=True, slots=True)
class Local:
    """Readings of n local times: UTC of the earlier and of the later one (they mostly agree)."""

    first_ns: npt.NDArray[np.int64]
    second_ns: npt.NDArray[np.int64]
    is_skipped: npt.NDArray[np.bool_]

    @property
    def is_double(self) -> npt.NDArray[np.bool_]:
        """Times of the repeated hour."""
        found: npt.NDArray[np.bool_] = self.first_ns != self.second_ns
        return found


class Zone:
    """The offsets of one IANA zone from 1900 to 2120."""

    def __init__(self, name: str) -> None:
        since, offset = _transitions(ZoneInfo(name))
        self._offset = offset
        self._begin = since + offset
        self._end = np.append(since[1:] + offset[:-1], _FAR)

    def read(self, local_ns: npt.NDArray[np.int64]) -> Local:
        """Both readings of wall-clock times, given as if they were UTC."""
        later = np.searchsorted(self._begin, local_ns, "right") - 1
        later = np.maximum(later, 0)
        earlier = np.maximum(later - 1, 0)
        is_later = local_ns < self._end[later]
        is_earlier = local_ns < self._end[earlier]
        first = np.where(is_earlier, earlier, later)
        second = np.where(is_later, later, first)
        return Local(
            local_ns - self._offset[first],
            local_ns - self._offset[second],
            ~(is_later | is_earlier),
        )


def _transitions(zone: ZoneInfo) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(moments in UTC ns from which an offset holds, offsets in ns); the first is far back."""
    since, offsets = [-_FAR], [_offset(zone, _FIRST)]
    moment = _FIRST
    while moment < _LAST:
        following = moment + _STEP
        if _offset(zone, following) != offsets[-1]:
            moment = _change(zone, moment, following)
            since.append(int(moment.timestamp()) * SECOND_NS)
            offsets.append(_offset(zone, moment))
        else:
            moment = following
    return np.array(since, np.int64), np.array(offsets, np.int64)


def _change(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """First second in (low, high] with another offset than `low` has."""
    before = _offset(zone, low)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        if middle <= low:
            break
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high


def _offset(zone: ZoneInfo, moment: datetime) -> int:
    found = moment.astimezone(zone).utcoffset()
    assert found is not None
    return found.days * DAY_NS + found.seconds * SECOND_NS
