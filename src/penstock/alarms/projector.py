"""AlarmProjector: the log's alarm events to SQLite, then to whoever looks.

Effects and position commit together; listeners hear of it afterwards.
What they may ask for is in `listed`, which belongs to the event loop alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.alarms.alarm import EVENT_TYPES, RAISED, Alarm, is_listed
from penstock.alarms.engine import apply
from penstock.alarms.store import AlarmStore
from penstock.log.projection import Projection
from penstock.model import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from penstock.log import LogRecord, ReadableLog
    from penstock.state import State
    from penstock.world import Clock

    Listener = Callable[[Sequence[Alarm], Sequence[str]], None]

READER = "alarms"
LISTENERS_MAX = 64


class AlarmProjector:
    """The one writer of the alarm tables. `listed` is the active list as it is committed."""

    def __init__(
        self, log: ReadableLog, state: State, clock: Clock, store: AlarmStore | None = None
    ) -> None:
        self.store = store or AlarmStore()
        self.listed: dict[str, Alarm] = {}
        self._state = state
        self._projection = Projection(log, state, clock, READER, self._take)
        self._listeners: list[Listener] = []
        self._counts = {"events": 0, "repeated": 0, "commits": 0}

    def on_change(self, listener: Listener) -> None:
        """`listener(alarms, removed)` after each commit, in the event loop; it must not wait."""
        assert len(self._listeners) < LISTENERS_MAX
        self._listeners.append(listener)

    async def run(self) -> None:
        """Project for ever; restartable, because all it knows is stored."""
        self._projection.load()
        with self._state.read() as connection:
            self.listed = {alarm.id: alarm for alarm in self.store.listed(connection)}
        await self._projection.run()

    async def wait_projected(self, sequence: int) -> None:
        """Return once everything up to `sequence` is committed; `run` must be running."""
        await self._projection.wait_taken(sequence)

    def find(self, ids: Sequence[str]) -> dict[str, Alarm]:
        """Alarms by identity, listed or not."""
        missing = [alarm for alarm in ids if alarm not in self.listed]
        found = {alarm: self.listed[alarm] for alarm in ids if alarm in self.listed}
        if missing:
            with self._state.read() as connection:
                found |= self.store.by_ids(connection, missing)
        return found

    def statistics(self) -> dict[str, int]:
        """Counters, the length of the list, and how far the projection is behind."""
        return self._counts | {"listed": len(self.listed)} | self._projection.statistics()

    async def _take(self, records: Sequence[LogRecord]) -> None:
        events = [
            (record.sequence, record.payload)
            for record in records
            if isinstance(record.payload, Event) and record.payload.type in EVENT_TYPES
        ]
        if not events and not self._projection.is_due:
            return
        listed = tuple(self.listed.values())
        changed, fresh = await self._projection.commit(
            records[-1].sequence, lambda c: _put(self.store, c, events, listed)
        )
        self._counts["commits"] += 1
        self._counts["events"] += fresh
        self._counts["repeated"] += len(events) - fresh
        if changed:
            self._publish(changed)

    def _publish(self, changed: dict[str, Alarm]) -> None:
        shown, removed = [], []
        for alarm in changed.values():
            if is_listed(alarm):
                self.listed[alarm.id] = alarm
                shown.append(alarm)
            elif self.listed.pop(alarm.id, None) is not None:
                removed.append(alarm.id)
        for listener in self._listeners:
            listener(shown, removed)


def _put(
    store: AlarmStore,
    connection: Connection,
    events: Sequence[tuple[int, Event]],
    listed: Sequence[Alarm],
) -> tuple[dict[str, Alarm], int]:
    """In the writer's thread: apply what the journal does not have; alarms changed, events new."""
    known = store.known_events(connection, [event.id for _, event in events])
    stored = store.by_ids(connection, [_alarm(event) for _, event in events])
    newest = {_condition(alarm): alarm for alarm in listed}
    changed: dict[str, Alarm] = {}
    fresh = 0
    for sequence, event in events:
        if event.id in known:
            continue
        known.add(event.id)
        store.add_event(connection, sequence, event)
        fresh += 1
        before = changed.get(_alarm(event)) or stored.get(_alarm(event))
        alarm = apply(before, event)
        if alarm is None:
            continue
        changed[alarm.id] = alarm
        if event.type == RAISED and (earlier := newest.get(_condition(alarm))) is not None:
            earlier = changed.get(earlier.id, earlier)
            changed[earlier.id] = replace(earlier, is_superseded=earlier.id != alarm.id)
        newest[_condition(alarm)] = alarm
    store.put(connection, changed.values())
    return changed, fresh


def _alarm(event: Event) -> str:
    return str(event.data["alarm"])


def _condition(alarm: Alarm) -> tuple[str, str, str]:
    """One row a condition in the list, never a heap: a new episode takes the place of the last."""
    return alarm.home, alarm.rule, alarm.point
