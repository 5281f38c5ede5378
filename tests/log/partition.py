"""What the tests of the log share: one sender, one batch, small limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

from penstock.log import Log, LogRecord, LogSettings, LogTail
from penstock.model import Batch, Event, Origin
from penstock.testing import frame

NODE = UUID("01890000-0000-7000-8000-000000000001")
OWN = Origin(NODE, 0, 1)
SENDER = Origin(NODE, 1, 7)
FOLDER = Path("/data/log/0")
SMALL = LogSettings(linger_ms=0, ballast_bytes=64 * 1024)

OpenLog = Callable[..., Awaitable[Log]]


def batch(sequence: int, origin: Origin = SENDER, rows: int = 3) -> Batch:
    values = [sequence + row / 8 for row in range(rows)]
    return Batch(origin, sequence, (frame(1, list(range(rows)), values),))


def event(number: int) -> Event:
    return Event(id=str(number), type="alarm.raised", time_ns=number)


def everything(log: Log | LogTail, after: int = 0) -> list[LogRecord]:
    found: list[LogRecord] = []
    while records := log.read(found[-1].sequence if found else after, records_max=7):
        found += records
    return found


def batches(log: Log | LogTail, after: int = 0) -> list[Batch]:
    return [item.payload for item in everything(log, after) if isinstance(item.payload, Batch)]
