"""History of all points: the newest samples in memory, the rest in segments, one way to ask.

`HistorianWorker` feeds it from the log; docs/reference/formats/segment.md has the bytes.
"""

from penstock.historian.config import HistorianSettings
from penstock.historian.historian import Historian
from penstock.historian.last import LastRows, LastTable
from penstock.historian.piece import Cursor
from penstock.historian.query import Snapshot
from penstock.historian.worker import HistorianWorker

__all__ = [
    "Cursor",
    "Historian",
    "HistorianSettings",
    "HistorianWorker",
    "LastRows",
    "LastTable",
    "Snapshot",
]
