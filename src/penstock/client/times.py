"""Times as people and programs write them; always a moment, never a guess."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np

SECOND_NS = 1_000_000_000
SPAN_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SPAN = re.compile(r"(\d{1,9})([smhd])\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Time: TypeAlias = "str | int | datetime | np.datetime64"
"""A span back from now ("15m", "7d"), RFC 3339, nanoseconds since 1970 (UTC), a datetime with
its zone (a pandas.Timestamp keeps its nanoseconds), or a numpy.datetime64, which is UTC."""


def moment(word: str, now_ns: int) -> str:
    """A time for the API: a span such as 15m means that long ago; the rest is RFC 3339."""
    match = _SPAN.match(word)
    if match is None:
        return word
    return str(now_ns - int(match[1]) * SPAN_S[match[2]] * SECOND_NS)


def time_ns(time: Time, now_ns: int) -> int:
    """Nanoseconds since 1970 (UTC); ValueError for what does not say its zone."""
    if isinstance(time, str):
        from penstock.model.time import parse_ns  # noqa: PLC0415 - the command line has no time

        word = moment(time, now_ns)
        return parse_ns(time) if word == time else int(word)
    if isinstance(time, datetime):
        return _datetime_ns(time)
    if isinstance(time, int):
        return time
    if type(time).__name__ == "datetime64":
        return int(time.astype("datetime64[ns]").astype("int64"))
    raise TypeError(f"{time!r} is not a time; give text, nanoseconds or a datetime with its zone.")


def _datetime_ns(time: datetime) -> int:
    if time.tzinfo is None:
        raise ValueError(f"{time!r} does not say its time zone; add it, for example tzinfo=UTC.")
    whole_us = (time - _EPOCH) // timedelta(microseconds=1)
    return int(whole_us) * 1_000 + int(getattr(time, "nanosecond", 0))
