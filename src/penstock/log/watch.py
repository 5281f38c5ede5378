"""What a person should hear of the log: what a limit took from a reader, and a clock that jumped.

The log itself writes gap records and counts; this task of core turns what has changed
into events, and remembers a jump for the process that comes after this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog

from penstock.log.receive_time import save_jump
from penstock.model import Event, Refused
from penstock.model.identity import new_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from penstock.log.receive_time import Jump
    from penstock.log.retention import Retention
    from penstock.model.event import Json
    from penstock.world import Clock, Disk

log = structlog.get_logger(__name__)
PERIOD_NS = 1_000_000_000
SEVERITY = 2


class EventSink(Protocol):
    """Where events go (penstock.log.Log)."""

    async def append_events(self, events: Sequence[Event]) -> int:
        """Sequence of the last, when all are durable."""
        ...


class LogWatch:
    """Compares; an event that could not be written is tried again with the next look."""

    def __init__(
        self, sink: EventSink, retention: Retention, folder: Path, disk: Disk, clock: Clock
    ) -> None:
        self._sink = sink
        self._retention = retention
        self._folder = folder
        self._disk = disk
        self._clock = clock
        self._dropped: dict[str, int] = {}
        self._poisoned: dict[str, int] = {}
        self._jump: Jump | None = retention.time.jump

    async def run(self) -> None:
        """Look once a second, for ever."""
        while True:
            await self.look()
            await self._clock.wait_until(self._clock.monotonic_ns() + PERIOD_NS)

    async def look(self) -> None:
        """Say what is new since the last look."""
        jump = self._retention.time.jump
        dropped = {item.name: item.dropped for item in list(self._retention.readers)}
        poisoned = {item.name: item.poisoned for item in list(self._retention.readers)}
        events = [*self._losses(dropped), *self._set_aside(poisoned), *self._jumps(jump)]
        if not events:
            return
        try:
            if jump != self._jump:
                save_jump(self._folder, self._disk, jump)
            await self._sink.append_events(events)
        except (Refused, OSError) as error:
            log.warning("log_event_waits", error=str(error))
            return
        self._dropped, self._poisoned, self._jump = dropped, poisoned, jump

    def _losses(self, dropped: dict[str, int]) -> list[Event]:
        found = []
        for reader in list(self._retention.readers):
            before = self._dropped.get(reader.name, 0)
            records = dropped.get(reader.name, before) - before
            if records > 0:
                found.append(
                    self._event(
                        "log.reader_dropped",
                        {
                            "reader": reader.name,
                            "owner": reader.owner,
                            "records": records,
                            "limit": reader.limit,
                        },
                    )
                )
        return found

    def _set_aside(self, poisoned: dict[str, int]) -> list[Event]:
        counts = {name: count - self._poisoned.get(name, 0) for name, count in poisoned.items()}
        return [
            self._event("log.record_poisoned", {"reader": name, "records": count})
            for name, count in counts.items()
            if count > 0
        ]

    def _jumps(self, jump: Jump | None) -> list[Event]:
        if jump == self._jump:
            return []
        if jump is None:
            return [self._event("log.clock_settled", {})]
        data: dict[str, Json] = {
            "expected_ns": str(jump.expected_ns),
            "found_ns": str(jump.found_ns),
        }
        return [self._event("log.clock_jumped", data)]

    def _event(self, type_: str, data: dict[str, Json]) -> Event:
        now_ns = self._clock.now_ns()
        return Event(str(new_id(now_ns)), type_, now_ns, severity=SEVERITY, data=data)
