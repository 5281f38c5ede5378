"""Live socket: newest values, alarms and small events to each open page.

Values are latest-wins: a slow client gets fewer, newer ones, and costs no
memory. Alarm rows are never dropped: one that cannot be queued any more tells
the client to fetch the list again. Bytes: docs/reference/formats/live-frame.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np
import orjson

from penstock.codec.live import LiveType, encode_live, encode_values
from penstock.model import Flag, Frame, Quality, ValueKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy.typing as npt

    from penstock.historian import LastTable
    from penstock.model import Point
    from penstock.model.event import Json
    from penstock.security.principal import Principal
    from penstock.world import Clock

CLIENTS_MAX = 1_000
SUBSCRIPTIONS_MAX = 500
POINTS_MAX = 10_000
CLIENT_POINTS_MAX = 100_000
HZ_MIN = 0.1
HZ_MAX = 20.0
ALARM_ROWS_MAX = 10_000
EVENTS_MAX = 256
HEARTBEAT_NS = 1_000_000_000
TICK_NS_MIN = 20_000_000

_UNKNOWN = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """One alarm as JSON, and the asset that decides who may see it."""

    id: str
    asset_path: str
    document: Mapping[str, Json]


@dataclass(slots=True)
class Subscription:
    """Points of one `sub` message: `handles` in its order, `kinds` for those without a sample."""

    handles: npt.NDArray[np.uint32]
    kinds: npt.NDArray[np.uint8]
    period_ns: int
    due_ns: int = 0
    cursor: int = 0
    is_fresh: bool = True


@dataclass(eq=False, slots=True)
class LiveClient:
    """One socket: what it wants and what waits for it."""

    principal: Principal
    subscriptions: dict[int, Subscription] = field(default_factory=dict)
    alarms: dict[str, Mapping[str, Json]] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    events: list[bytes] = field(default_factory=list)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    needs_resync: bool = False
    wants_alarms: bool = True
    sequence: int = 0
    beat_ns: int = 0
    dropped_events: int = 0


class LiveHub:
    """All live sockets of this process; made once, used on the event loop only."""

    def __init__(
        self,
        last: LastTable,
        point_of: Callable[[UUID], Point | None],
        alarms_of: Callable[[Principal], Mapping[str, Json]],
        clock: Clock,
    ) -> None:
        self._last = last
        self._point_of = point_of
        self._alarms_of = alarms_of
        self._clock = clock
        self._clients: set[LiveClient] = set()
        self.ui_build = ""
        self.sent = 0

    # --- clients

    def join(self, principal: Principal) -> LiveClient | None:
        """A new client, None when there are too many."""
        if len(self._clients) >= CLIENTS_MAX:
            return None
        client = LiveClient(principal)
        self._clients.add(client)
        return client

    def leave(self, client: LiveClient) -> None:
        """The socket is closed."""
        self._clients.discard(client)

    def subscribe(self, client: LiveClient, sid: int, points: Sequence[str], hz: float) -> bool:
        """Replace subscription `sid`; a point that is unknown or not permitted stays empty.

        False when the client would have too many subscriptions or points.
        """
        others = [item for other, item in client.subscriptions.items() if other != sid]
        total = sum(len(item.handles) for item in others) + len(points)
        if len(others) >= SUBSCRIPTIONS_MAX or total > CLIENT_POINTS_MAX:
            return False
        found = [self._visible(client.principal, text) for text in points[:POINTS_MAX]]
        client.subscriptions[sid] = Subscription(
            np.array([_UNKNOWN if p is None else p.handle for p in found], np.uint32),
            np.array([0 if p is None else p.kind for p in found], np.uint8),
            max(int(1e9 / min(max(hz, HZ_MIN), HZ_MAX)), TICK_NS_MIN),
        )
        client.wake.set()
        return True

    def unsubscribe(self, client: LiveClient, sid: int) -> None:
        """Drop subscription `sid`."""
        client.subscriptions.pop(sid, None)

    # --- what others publish

    def publish_alarms(self, rows: Iterable[AlarmRow], removed: Iterable[str] = ()) -> None:
        """Changed alarms to everybody who may see them."""
        rows, removed = list(rows), list(removed)
        for client in self._clients:
            for row in rows:
                if client.principal.may("view", row.asset_path):
                    client.alarms[row.id] = row.document
                    client.removed.discard(row.id)
            for id_ in removed:
                client.alarms.pop(id_, None)
                client.removed.add(id_)
            if len(client.alarms) + len(client.removed) > ALARM_ROWS_MAX:
                client.alarms.clear()
                client.removed.clear()
                client.needs_resync = True
            client.wake.set()

    def publish_event(self, topic: str, document: Mapping[str, Json], asset_path: str = "") -> None:
        """A small JSON event, for example the state of a command."""
        payload = orjson.dumps({"topic": topic, **document})
        for client in self._clients:
            if not client.principal.may("view", asset_path):
                continue
            if len(client.events) >= EVENTS_MAX:
                client.dropped_events += 1
                client.needs_resync = True
                continue
            client.events.append(payload)
            client.wake.set()

    def resync(self) -> None:
        """Points or rules have changed: every page fetches its lists again."""
        for client in self._clients:
            client.needs_resync = True
            client.wants_alarms = True
            client.wake.set()

    def statistics(self) -> dict[str, int]:
        """Open sockets and messages sent."""
        return {"screens": len(self._clients), "messages": self.sent}

    # --- what one client gets

    async def wait_turn(self, client: LiveClient) -> None:
        """Return when something waits for the client or a subscription is due."""
        now_ns = self._clock.monotonic_ns()
        due = [item.due_ns for item in client.subscriptions.values()]
        until_ns = min([client.beat_ns + HEARTBEAT_NS, *due])
        if not client.wake.is_set() and until_ns > now_ns:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout((until_ns - now_ns) / 1e9):
                    await client.wake.wait()
        client.wake.clear()

    def messages(self, client: LiveClient) -> list[bytes]:
        """Everything that is due for the client now."""
        out: list[bytes] = []
        if client.needs_resync:
            client.needs_resync = False
            out.append(self._message(client, LiveType.RESYNC, b""))
        out += self._alarm_messages(client)
        events, client.events = client.events, []
        out += [self._message(client, LiveType.EVENT, event) for event in events]
        now_ns = self._clock.monotonic_ns()
        for sid, item in client.subscriptions.items():
            if item.due_ns <= now_ns:
                item.due_ns = now_ns + item.period_ns
                out += self._values(client, sid, item)
        if now_ns - client.beat_ns >= HEARTBEAT_NS:
            client.beat_ns = now_ns
            beat = orjson.dumps({"ui_build": self.ui_build})
            out.append(self._message(client, LiveType.HEARTBEAT, beat))
        self.sent += len(out)
        return out

    def _visible(self, principal: Principal, text: str) -> Point | None:
        try:
            point = self._point_of(UUID(text))
        except ValueError:
            return None
        return point if point is not None and principal.may("view", point.asset) else None

    def _message(self, client: LiveClient, type_: LiveType, payload: bytes) -> bytes:
        client.sequence += 1
        return encode_live(
            type_, payload, sequence=client.sequence, server_time_ns=self._clock.now_ns()
        )

    def _alarm_messages(self, client: LiveClient) -> list[bytes]:
        if client.wants_alarms:
            client.wants_alarms = False
            client.alarms.clear()
            client.removed.clear()
            document = dict(self._alarms_of(client.principal))
        elif client.alarms or client.removed:
            document = {
                "alarms": [dict(row) for row in client.alarms.values()],
                "removed": list(client.removed),
            }
            client.alarms, client.removed = {}, set()
        else:
            return []
        return [self._message(client, LiveType.ALARMS, orjson.dumps(document))]

    def _values(self, client: LiveClient, sid: int, item: Subscription) -> list[bytes]:
        cursor, self_cursor = item.cursor, self._last.cursor
        if item.is_fresh:
            places = np.arange(len(item.handles))
        else:
            places = self._last.changed(item.handles, cursor)
        item.cursor = self_cursor
        is_snapshot, item.is_fresh = item.is_fresh, False
        if not len(places):
            return []
        frames = [
            (frame, places[at].astype(np.uint32))
            for frame, at in self._last.frames(item.handles[places])
        ]
        if is_snapshot:
            frames += _without_sample(item, frames)
        out = []
        for frame, index in frames:
            client.sequence += 1
            out.append(
                encode_values(
                    frame,
                    index,
                    sequence=client.sequence,
                    server_time_ns=self._clock.now_ns(),
                    sid=sid,
                    is_snapshot=is_snapshot,
                )
            )
        return out


def _without_sample(
    item: Subscription, frames: Sequence[tuple[Frame, npt.NDArray[np.uint32]]]
) -> list[tuple[Frame, npt.NDArray[np.uint32]]]:
    """Rows for points that never had a sample: bad, no value, infinitely old."""
    has = np.zeros(len(item.handles), bool)
    for _, index in frames:
        has[index] = True
    out = []
    for kind in ValueKind:
        places = np.flatnonzero(~has & (item.kinds == kind))
        if len(places):
            frame = Frame.without_values(
                item.handles[places],
                kind,
                0,
                Quality.BAD_WAITING_FOR_INITIAL_DATA,
                Flag.NO_VALUE,
            )
            out.append((frame, places.astype(np.uint32)))
    return out
