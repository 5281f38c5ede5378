"""RuleWorker: tails the log's batches, judges them, appends alarm events to the log.

What makes it exact: the rules' snapshot is stored only when all events up to its
position are durable; transitions found again by replay have the same identity
and are not appended again; and where replay and journal still differ (a delay
that ended between two records, a rule that was edited while the node was down),
`reconcile` makes the rules follow the journal or says the difference as an event.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
import structlog

from penstock.alarms.engine import forced_return, reconcile, transition_event
from penstock.log.projection import Projection
from penstock.model import Batch, Quality, Refused
from penstock.model.time import MILLISECOND_NS, SECOND_NS
from penstock.rules.engine import Transition, TransitionKind, evaluate, tick
from penstock.rules.snapshot import export_state, import_state
from penstock.rules.table import RuleState, RuleTable
from penstock.state import patiently

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from penstock.alarms.alarm import Alarm
    from penstock.alarms.projector import AlarmProjector
    from penstock.log import DecisionLog, LogRecord
    from penstock.model import Event
    from penstock.model.event import Json
    from penstock.registry import Snapshot
    from penstock.rules.rule import Rule
    from penstock.state import State
    from penstock.world import Clock

READER = "rules"
RECORDS_MAX = 64
SNAPSHOT_PERIOD_NS = SECOND_NS
RETRY_NS = SECOND_NS
# A record may become durable this long after its receive time; a delay that ends
# earlier would be decided before a sample that was received in time.
TICK_MARGIN_NS = 200 * MILLISECOND_NS
CONFIGURATION = "configuration"
RECOVERED = "recovered"

log = structlog.get_logger(__name__)


class RuleWorker:
    """The rules of one node. `home` is the node's identity, part of every alarm's."""

    def __init__(
        self,
        log: DecisionLog,
        state: State,
        clock: Clock,
        projector: AlarmProjector,
        registry: Callable[[], Snapshot],
        home: str,
    ) -> None:
        self._log = log
        self._database = state
        self._clock = clock
        self._projector = projector
        self._registry = registry
        self._home = home
        self._lock = asyncio.Lock()
        self._stop = asyncio.Event()
        self._resumed = asyncio.Event()
        self._follower = Projection(log, state, clock, READER, self._take, records_max=RECORDS_MAX)
        self._ticked_ns = 0
        self._snapshot_due_ns = 0
        self._stored_mark: tuple[int, ...] = ()
        self._table = RuleTable.build((), {})
        self._rules = RuleState.fresh(self._table)
        self._counts = {"batches": 0, "rows": 0, "transitions": 0, "repeated": 0, "forced": 0}

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that are in force."""
        return self._table.rules

    async def run(self, rules: Sequence[Rule]) -> None:
        """Resume where the snapshot was stored, then follow the log until `stop`."""
        self._stop.clear()
        await self.resume(rules)
        beyond: asyncio.Task[int] | None = None
        try:
            while not self._stop.is_set():
                await self.catch_up()
                if beyond is None or beyond.done():
                    beyond = asyncio.create_task(self._log.wait_beyond(self._follower.position))
                await self._wait(beyond)
        finally:
            if beyond is not None:
                beyond.cancel()
        async with self._lock:
            await self._store_snapshot()

    async def resume(self, rules: Sequence[Rule]) -> None:
        """Go back to the stored snapshot and catch up; the projector must be running."""
        async with self._lock:
            await self._resume(rules)
        self._resumed.set()

    def stop(self) -> None:
        """Let `run` store its snapshot and return."""
        self._stop.set()

    async def apply(self, rules: Sequence[Rule]) -> None:
        """Put other rules in force. Alarms of removed or changed ones return: "configuration"."""
        await self._resumed.wait()
        async with self._lock:
            document = export_state(self._table, self._rules)
            await self._install(rules, document)
            await self._reconcile()
            self._stored_mark = ()
            await self._store_snapshot()

    async def catch_up(self) -> None:
        """Judge all that is durable now, end the delays that are due, store the snapshot."""
        async with self._lock:
            await self._follower.catch_up()
            await self._tick()
            if self._clock.monotonic_ns() >= self._snapshot_due_ns:
                await self._store_snapshot()

    def statistics(self) -> dict[str, int]:
        """Counters, and how far the rules are behind the log."""
        active = sum(self._rules.is_active)
        numbers = {"rules": len(self._table.rules), "active": active}
        return self._counts | numbers | self._follower.statistics()

    # --- start and change of rules

    async def _resume(self, rules: Sequence[Rule]) -> None:
        await self._projector.wait_projected(self._log.durable)
        snapshot = self._follower.load()
        self._stored_mark = ()
        await self._install(rules, orjson.loads(snapshot) if snapshot else None)
        await self._follower.catch_up()
        await self._tick()  # what the last process had decided without a record
        await self._reconcile()
        await self._store_snapshot()

    async def _install(self, rules: Sequence[Rule], document: dict[str, Json] | None) -> None:
        points = {point.id: point for point in self._registry().points}
        known = [rule for rule in rules if rule.point in points]
        self._table = RuleTable.build(known, points)
        changed: set[UUID] = set()
        if document is None:
            self._rules = RuleState.fresh(self._table)
        else:
            self._rules, changed = import_state(self._table, document)
        await self._projector.wait_projected(self._log.durable)
        await self._return_unconfigured({str(rule) for rule in changed})

    async def _return_unconfigured(self, changed: set[str]) -> None:
        """Active alarms of rules that are gone or changed; episodes count on from the journal."""
        here = {str(rule.id) for rule in self._table.rules} - changed
        now_ns = self._clock.now_ns()
        gone = [alarm for alarm in self._active() if alarm.rule not in here]
        await self._append([forced_return(alarm, now_ns, CONFIGURATION) for alarm in gone])
        self._counts["forced"] += len(gone)
        await self._projector.wait_projected(self._log.durable)
        episodes = self._episodes()
        for index, rule in enumerate(self._table.rules):
            if str(rule.id) in changed:
                newest = episodes.get(str(rule.id), 0)
                self._rules.episode[index] = max(self._rules.episode[index], newest)

    async def _reconcile(self) -> None:
        """Where rules and journal differ, the journal's episodes hold and the samples decide."""
        await self._projector.wait_projected(self._log.durable)
        rules, now_ns = self._rules, self._clock.now_ns()
        ids = [str(rule.id) for rule in self._table.rules]
        active = {alarm.rule: alarm for alarm in self._active()}
        found = reconcile(
            list(zip(ids, rules.is_active, rules.episode, strict=True)), self._episodes(), active
        )
        rules.episode[:] = found.episodes
        raised = [self._raise_now(rule, now_ns) for rule in found.raised]
        events = self._events(raised, RECOVERED)
        events += [forced_return(alarm, now_ns, RECOVERED) for alarm in found.returned]
        if events:
            log.warning("alarms_reconciled", events=len(events))
        self._counts["forced"] += len(events)
        await self._append(events)

    def _raise_now(self, rule: int, now_ns: int) -> Transition:
        value, episode = self._rules.value[rule], self._rules.episode[rule]
        return Transition(
            rule, TransitionKind.RAISED, episode, now_ns, value, int(Quality.UNCERTAIN)
        )

    def _active(self) -> list[Alarm]:
        alarms = self._projector.listed.values()
        return [alarm for alarm in alarms if alarm.active and alarm.home == self._home]

    def _episodes(self) -> dict[str, int]:
        with self._database.read() as connection:
            return self._projector.store.episodes(connection, self._home)

    # --- one pass

    async def _take(self, records: Sequence[LogRecord]) -> None:
        events: list[Event] = []
        for record in records:
            events += self._judge(record)
        await self._append(events)

    async def _tick(self) -> None:
        self._ticked_ns = self._clock.now_ns() - TICK_MARGIN_NS
        found = tick(self._table, self._rules, self._ticked_ns)
        await self._append(self._events(found, f"log:{self._follower.position}"))

    def _judge(self, record: LogRecord) -> list[Event]:
        if not isinstance(record.payload, Batch):
            return []
        found: list[Transition] = []
        for frame in record.payload.frames:
            found += evaluate(self._table, self._rules, frame, record.receive_ns)
        self._counts["batches"] += 1
        self._counts["rows"] += record.payload.rows
        return self._events(found, f"log:{record.sequence}")

    def _events(self, found: Sequence[Transition], cause: str) -> list[Event]:
        snapshot, events = self._registry(), []
        for transition in found:
            rule = self._table.rules[transition.rule]
            point = snapshot.by_id(rule.point)
            if point is not None:
                events.append(transition_event(self._home, rule, point, transition, cause))
        self._counts["transitions"] += len(events)
        return events

    async def _append(self, events: Sequence[Event]) -> None:
        """Append what the journal does not have; a full disk holds the rules up."""
        if not events:
            return
        with self._database.read() as connection:
            known = self._projector.store.known_events(connection, [e.id for e in events])
        fresh = [event for event in events if event.id not in known]
        self._counts["repeated"] += len(events) - len(fresh)
        if fresh:
            await patiently(lambda: self._log.append_events(fresh), self._clock, READER)

    async def _store_snapshot(self) -> None:
        """At most each second, and never more than a twentieth of the time.

        A full disk holds up the snapshot, not the rules: the next start judges more again.
        """
        position = self._follower.position
        mark = (position, self._counts["transitions"], self._counts["forced"])
        if mark == self._stored_mark:
            return
        begin_ns = self._clock.monotonic_ns()
        snapshot = orjson.dumps(export_state(self._table, self._rules)).decode()
        try:
            await self._follower.store(position, lambda _: None, snapshot)
        except Refused as refusal:
            log.warning("rule_snapshot_refused", code=refusal.code)
            self._snapshot_due_ns = self._clock.monotonic_ns() + 10 * RETRY_NS
            return
        self._stored_mark = mark
        end_ns = self._clock.monotonic_ns()
        self._snapshot_due_ns = end_ns + max(SNAPSHOT_PERIOD_NS, 20 * (end_ns - begin_ns))

    async def _wait(self, beyond: asyncio.Task[int]) -> None:
        """Until there are records, a delay is due, a second has passed, or `stop`."""
        wait_ns = SNAPSHOT_PERIOD_NS
        ahead = [due_ns for due_ns in self._rules.due_ns.values() if due_ns > self._ticked_ns]
        if ahead:
            due_in_ns = min(ahead) + TICK_MARGIN_NS - self._clock.now_ns()
            wait_ns = min(wait_ns, max(due_in_ns, MILLISECOND_NS))
        timer = asyncio.create_task(self._clock.wait_until(self._clock.monotonic_ns() + wait_ns))
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({beyond, timer, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            stopped.cancel()
        if beyond.done():
            beyond.result()
