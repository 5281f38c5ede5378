"""Times: UTC integer nanoseconds inside, RFC 3339 with nine digits at the edges.

datetime has microseconds only, so it is never on the way of a sample.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

SECOND_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 3_600 * SECOND_NS
DAY_NS = 86_400 * SECOND_NS
TIME_NS_MIN, TIME_NS_MAX = -(2**63), 2**63 - 1

_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)\Z"
)


def format_ns(time_ns: int) -> str:
    """RFC 3339 with nine digits and Z: "2026-11-25T23:36:53.000000001Z"."""
    seconds, rest = divmod(time_ns, SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def parse_ns(text: str) -> int:
    """UTC nanoseconds of an RFC 3339 time; ValueError for anything else, also without a zone."""
    match = _RFC_3339.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not an RFC 3339 time such as 2026-11-25T23:36:53Z")
    day, clock, fraction, zone = match.groups()
    moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    time_ns = int(moment.timestamp()) * SECOND_NS + int((fraction or "0").ljust(9, "0"))
    if not TIME_NS_MIN <= time_ns <= TIME_NS_MAX:
        raise ValueError(f"{text!r} is outside the years 1678 to 2261")
    return time_ns
