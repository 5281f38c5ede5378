"""Times as a person writes and reads them: spans back from now, RFC 3339 with nine digits."""

from __future__ import annotations

from datetime import UTC, datetime

from penstock.client.times import SECOND_NS, moment

__all__ = ["moment", "time_text"]


def time_text(time_ns: int) -> str:
    """RFC 3339 in UTC with nine digits, as everywhere at the edges of Penstock."""
    seconds, rest = divmod(time_ns, SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
