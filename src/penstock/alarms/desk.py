"""AlarmDesk: what people do to alarms. An event of the log first, then everything else.

An acknowledgement happens once an episode; whoever comes second, or repeats a
request, gets the alarm as it is.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING

from penstock.alarms.alarm import ACKNOWLEDGED, NOTED, Alarm, isa_state
from penstock.alarms.engine import person_event
from penstock.alarms.views import asset_path_of
from penstock.model import Refused
from penstock.security.audit import Entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from penstock.alarms.projector import AlarmProjector
    from penstock.log import DecisionLog
    from penstock.model import Event
    from penstock.registry import Snapshot
    from penstock.security.principal import Principal
    from penstock.state import State
    from penstock.world import Clock

    AuditSink = Callable[[Entry], Awaitable[object]]

IDS_MAX = 1_000
PROJECTED_TIMEOUT_S = 10.0


class AlarmDesk:
    """Acknowledge and note; `audit` records who did it, also what was refused."""

    def __init__(
        self,
        log: DecisionLog,
        state: State,
        clock: Clock,
        projector: AlarmProjector,
        registry: Callable[[], Snapshot],
        audit: AuditSink,
    ) -> None:
        self._log = log
        self._state = state
        self._clock = clock
        self._projector = projector
        self._registry = registry
        self._audit = audit

    async def acknowledge(
        self, who: Principal, ids: Sequence[str], text: str, key: str
    ) -> list[Alarm]:
        """The alarms afterwards; those that are acknowledged already stay as they are."""
        assert len(ids) <= IDS_MAX
        digest = _digest("acknowledge", sorted(ids), text)
        self._check_key(who, key, digest)
        found = await self._permitted(who, ids, "alarm.acknowledge")
        waiting = [alarm for alarm in found.values() if not alarm.acknowledged]
        now_ns = self._clock.now_ns()
        await self._append(
            [
                person_event(alarm, ACKNOWLEDGED, who.id, now_ns, text, key, digest)
                for alarm in waiting
            ]
        )
        after = self._projector.find(list(found))
        for alarm in waiting:
            old, new = isa_state(alarm).value, isa_state(after[alarm.id]).value
            await self._audit(Entry(who.id, "alarm.acknowledge", f"alarm:{alarm.id}", old, new))
        return [after[alarm] for alarm in found]

    async def note(self, who: Principal, alarm_id: str, text: str, key: str) -> Alarm:
        """The alarm with the note; the same key writes it once."""
        digest = _digest("note", [alarm_id], text)
        self._check_key(who, key, digest)
        alarm = (await self._permitted(who, [alarm_id], "alarm.note"))[alarm_id]
        now_ns = self._clock.now_ns()
        await self._append([person_event(alarm, NOTED, who.id, now_ns, text, key, digest)])
        await self._audit(Entry(who.id, "alarm.note", f"alarm:{alarm_id}", None, text))
        return self._projector.find([alarm_id])[alarm_id]

    async def _permitted(self, who: Principal, ids: Sequence[str], action: str) -> dict[str, Alarm]:
        """All or nothing: one alarm out of reach refuses the request, and that is audited."""
        found, snapshot = self._projector.find(ids), self._registry()
        for alarm_id in ids:
            alarm = found.get(alarm_id)
            if alarm is None or not who.may("view", asset_path_of(alarm, snapshot)):
                raise Refused("not_found", f"There is no alarm {alarm_id}.")
            if not who.may("acknowledge", asset_path_of(alarm, snapshot)):
                entry = Entry(who.id, action, f"alarm:{alarm_id}", outcome="refused")
                await self._audit(entry)
                raise Refused("not_permitted", permission="acknowledge")
        return {alarm_id: found[alarm_id] for alarm_id in ids}

    def _check_key(self, who: Principal, key: str, digest: str) -> None:
        with self._state.read() as connection:
            used_for = self._projector.store.request_digest(connection, who.id, key)
        if used_for not in (None, digest):
            raise Refused("idempotency_key_reused")

    async def _append(self, events: Sequence[Event]) -> None:
        if not events:
            return
        sequence = await self._log.append_events(events)
        try:
            async with asyncio.timeout(PROJECTED_TIMEOUT_S):
                await self._projector.wait_projected(sequence)
        except TimeoutError:
            raise Refused("busy", retry_after_s=1) from None


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
