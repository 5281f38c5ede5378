"""Times as a person writes and reads them: spans back from now, RFC 3339 with nine digits."""

from __future__ import annotations

import re
from datetime import UTC, datetime

SECOND_NS = 1_000_000_000
SPAN_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SPAN = re.compile(r"(\d{1,9})([smhd])\Z")


def moment(word: str, now_ns: int) -> str:
    """A time for the API: a span such as 15m means that long ago; the rest is RFC 3339."""
    match = _SPAN.match(word)
    if match is None:
        return word
    return str(now_ns - int(match[1]) * SPAN_S[match[2]] * SECOND_NS)


def time_text(time_ns: int) -> str:
    """RFC 3339 in UTC with nine digits, as everywhere at the edges of Penstock."""
    seconds, rest = divmod(time_ns, SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
