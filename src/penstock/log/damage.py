"""Damage of the log, reported once a place: first a durable gap record, then a copy of the bytes.

In this order, because the copy's name tells the next start that the gap is recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from penstock.codec.record import RecordKind
from penstock.log.entry import Entry
from penstock.log.files import Hole, LogFile
from penstock.log.quarantine import keep_bytes, quarantine_folder
from penstock.log.record import encode_json_payload

if TYPE_CHECKING:
    from penstock.log.store import FileStore
    from penstock.model import Origin
    from penstock.model.event import Json

log = structlog.get_logger(__name__)
REPORTS_MAX = 10_000


class DamageReports:
    """Gap records about the log itself, and what became of them."""

    def __init__(self, store: FileStore, origin: Origin) -> None:
        self._store = store
        self._origin = origin
        self._known = set(store.disk.list(quarantine_folder(store.folder)))
        self._places: dict[Entry, tuple[LogFile, Hole]] = {}
        self._waiting: list[Entry] = []
        self.gaps = self.lost_records = 0

    @property
    def is_waiting(self) -> bool:
        """Are there gap records that have not been handed to the writer?"""
        return bool(self._waiting)

    def report(self, file: LogFile, hole: Hole) -> None:
        """Make a gap record, unless this place has one."""
        name = _place_name(file, hole)
        if name in self._known:
            return
        self.gaps += 1
        self.lost_records += hole.last - hole.first + 1
        if len(self._known) >= REPORTS_MAX:
            return
        self._known.add(name)
        log.error("log_damaged", file=file.name, first=hole.first, last=hole.last)
        payload = _gap_payload(file, hole)
        entry = Entry(RecordKind.GAP, payload, [encode_json_payload(payload)], self._origin)
        self._places[entry] = (file, hole)
        self._waiting.append(entry)

    def take(self) -> list[Entry]:
        """Gap records for the writer."""
        entries, self._waiting = self._waiting, []
        return entries

    def on_refused(self, entry: Entry) -> None:
        """The disk did not take it; it waits for the next group that is written."""
        if entry in self._places:
            self._waiting.append(entry)

    def on_durable(self, entry: Entry) -> None:
        """The gap is recorded: copy its bytes aside."""
        if entry not in self._places:
            return
        file, hole = self._places.pop(entry)
        try:
            data = self._store.hole_bytes(file, hole)
            keep_bytes(self._store.folder, self._store.disk, _place_name(file, hole), data)
        except OSError as error:
            log.warning("log_quarantine_failed", file=file.name, error=str(error))


def _place_name(file: LogFile, hole: Hole) -> str:
    return f"{file.name}@{hole.offset:010d}.damaged"


def _gap_payload(file: LogFile, hole: Hole) -> dict[str, Json]:
    return {
        "cause": "log_damaged",
        "scope": "log",
        "first_sequence": hole.first,
        "last_sequence": hole.last,
        "file": file.name,
        "offset": hole.offset,
        "quarantine": _place_name(file, hole),
    }
