"""AlarmProjector: the log's alarm events to SQLite, then to whoever looks.

Effects and position commit together; listeners hear of it afterwards. Batches
are passed over without a commit, because a position that lags only costs time
at the next start, while a commit costs an fsync.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from penstock.alarms.alarm import EVENT_TYPES, RAISED, Alarm, is_listed
from penstock.alarms.engine import apply
from penstock.alarms.store import AlarmStore, ReaderPosition
from penstock.model import Event
from penstock.model.time import SECOND_NS
from penstock.state import patiently

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from penstock.log import LogRecord, ReaderHandle
    from penstock.state import State
    from penstock.world import Clock

    Listener = Callable[[Sequence[Alarm], Sequence[str]], None]

READER = "alarms"
RECORDS_MAX = 1_024
POSITION_PERIOD_NS = 5 * SECOND_NS
LISTENERS_MAX = 64


class LogFacade(Protocol):
    """What alarms need of the log."""

    durable: int

    @property
    def incarnation(self) -> int:
        """Grows at every open."""
        ...

    @property
    def first_sequence(self) -> int:
        """Oldest sequence that is still there."""
        ...

    def resume_after(self, incarnation: int, sequence: int) -> int:
        """Where a reader with this stored position goes on."""
        ...

    def declare_reader(self, name: str, *, blocks: bool) -> ReaderHandle:
        """Hold the files for this reader."""
        ...

    def read(self, after: int, records_max: int = 256) -> list[LogRecord]:
        """Durable records behind `after`."""
        ...

    async def wait_beyond(self, sequence: int) -> int:
        """Durable sequence once it is greater than `sequence`."""
        ...

    async def append_events(self, events: Sequence[Event]) -> int:
        """Sequence of the last, when all are durable."""
        ...


class AlarmProjector:
    """The one writer of the alarm tables. `listed` is the active list as it is committed."""

    def __init__(
        self, log: LogFacade, state: State, clock: Clock, store: AlarmStore | None = None
    ) -> None:
        self.store = store or AlarmStore()
        self.listed: dict[str, Alarm] = {}
        self._log = log
        self._state = state
        self._clock = clock
        self._position = 0
        self._stored_position = 0
        self._stored_at_ns = 0
        self._handle: ReaderHandle | None = None
        self._listeners: list[Listener] = []
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._counts = {"events": 0, "repeated": 0, "commits": 0}

    def on_change(self, listener: Listener) -> None:
        """`listener(alarms, removed)` after each commit, in the event loop; it must not wait."""
        assert len(self._listeners) < LISTENERS_MAX
        self._listeners.append(listener)

    async def run(self) -> None:
        """Project for ever; restartable, because all it knows is stored."""
        self.load()
        while True:
            await self.catch_up()
            await self._log.wait_beyond(self._position)

    def load(self) -> None:
        """Go back to what is committed."""
        with self._state.read() as connection:
            stored = self.store.position(connection, READER)
            self.listed = {alarm.id: alarm for alarm in self.store.listed(connection)}
        self._position = self._log.resume_after(stored.incarnation, stored.sequence)
        self._stored_position = self._position
        if self._handle is None:
            self._handle = self._log.declare_reader(READER, blocks=True)
        self._handle.advance(self._position)

    async def catch_up(self) -> None:
        """Project all that is durable now."""
        while self._position < self._log.durable:
            records = self._log.read(self._position, RECORDS_MAX)
            if not records:
                await self._pass_by_gap()
                continue
            await self._project(records)
            self._tell_waiters()

    async def wait_projected(self, sequence: int) -> None:
        """Return once everything up to `sequence` is committed; `run` must be running."""
        if self._position >= sequence:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((sequence, future))
        await future

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
        behind = self._log.durable - self._position
        return {**self._counts, "listed": len(self.listed), "behind_records": behind}

    async def _project(self, records: Sequence[LogRecord]) -> None:
        last = records[-1].sequence
        events = [
            (record.sequence, record.payload)
            for record in records
            if isinstance(record.payload, Event) and record.payload.type in EVENT_TYPES
        ]
        now_ns = self._clock.monotonic_ns()
        if not events and now_ns - self._stored_at_ns < POSITION_PERIOD_NS:
            self._position = last
            return
        position = ReaderPosition(self._log.incarnation, last)
        changed = await patiently(
            lambda: self._state.write(lambda c: self._commit(c, events, position)),
            self._clock,
            READER,
        )
        self._position = self._stored_position = last
        self._stored_at_ns = now_ns
        self._counts["commits"] += 1
        assert self._handle is not None
        self._handle.advance(last)
        if changed:
            self._publish(changed)

    def _commit(
        self,
        connection: Connection,
        events: Sequence[tuple[int, Event]],
        position: ReaderPosition,
    ) -> dict[str, Alarm]:
        """In the writer's thread: apply what the journal does not have, and the position."""
        known = self.store.known_events(connection, [event.id for _, event in events])
        ids = [_alarm(event) for _, event in events]
        stored = self.store.by_ids(connection, ids)
        newest = {_condition(alarm): alarm for alarm in self.listed.values()}
        changed: dict[str, Alarm] = {}
        for sequence, event in events:
            if event.id in known:
                self._counts["repeated"] += 1
                continue
            known.add(event.id)
            self.store.add_event(connection, sequence, event)
            self._counts["events"] += 1
            before = changed.get(_alarm(event)) or stored.get(_alarm(event))
            alarm = apply(before, event)
            if alarm is None:
                continue
            changed[alarm.id] = alarm
            if event.type == RAISED and (earlier := newest.get(_condition(alarm))) is not None:
                earlier = changed.get(earlier.id, earlier)
                changed[earlier.id] = replace(earlier, is_superseded=earlier.id != alarm.id)
            newest[_condition(alarm)] = alarm
        self.store.put(connection, changed.values())
        self.store.set_position(connection, READER, position)
        return changed

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

    async def _pass_by_gap(self) -> None:
        """The log no longer has what was to be read; it has reported the gap itself."""
        following = self._log.first_sequence - 1
        self._position = following if following > self._position else self._log.durable
        await asyncio.sleep(0)

    def _tell_waiters(self) -> None:
        waiting = self._waiters
        self._waiters = [item for item in waiting if item[0] > self._position]
        for sequence, future in waiting:
            if sequence <= self._position and not future.done():
                future.set_result(None)


def _alarm(event: Event) -> str:
    return str(event.data["alarm"])


def _condition(alarm: Alarm) -> tuple[str, str, str]:
    """One row a condition in the list, never a heap: a new episode takes the place of the last."""
    return alarm.home, alarm.rule, alarm.point
