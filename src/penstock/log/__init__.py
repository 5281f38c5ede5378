"""The durable log: what arrived and what was decided, in order, synced before it is acknowledged.

Files of one partition in `data/log/0/`; docs/reference/formats/log-record.md has the bytes.
"""

from penstock.codec.record import RecordKind
from penstock.log.config import LogSettings
from penstock.log.follower import DecisionLog, Follower, ReadableLog
from penstock.log.log import Log
from penstock.log.record import LogRecord
from penstock.log.retention import ReaderHandle
from penstock.log.tail import LogTail

__all__ = [
    "DecisionLog",
    "Follower",
    "Log",
    "LogRecord",
    "LogSettings",
    "LogTail",
    "ReadableLog",
    "ReaderHandle",
    "RecordKind",
]
