"""The live hub: what each open page gets, what it may see, and what happens when it is slow."""

from __future__ import annotations

import struct
from uuid import UUID

import numpy as np
import orjson
import pytest

from penstock.codec.live import AGE_MS_MAX, DELTA, SNAPSHOT, LiveType
from penstock.historian.last import LastTable
from penstock.model import Point, Quality, ValueKind
from penstock.security.principal import Principal, RoleGrant, grants_of, local_principal
from penstock.server import live
from penstock.server.live import AlarmRow, LiveClient, LiveHub
from penstock.testing import FakeClock, frame

S = 1_000_000_000
POINTS = {
    UUID(int=n): Point(UUID(int=n), n, path, path.rpartition("/")[0], path.rpartition("/")[2], kind)
    for n, path, kind in (
        (1, "w/a/speed", ValueKind.FLOAT),
        (2, "w/a/count", ValueKind.INT),
        (3, "w/b/state", ValueKind.TEXT),
        (4, "w/b/level", ValueKind.FLOAT),
    )
}
EVERYBODY = local_principal("root")
ONLY_A = Principal("user:a", "a", "A", ("viewer",), grants_of([RoleGrant("viewer", "w/a")]))


class Message:
    """A message taken apart by the layout of the documentation."""

    def __init__(self, data: bytes) -> None:
        self.type, _, self.flags, self.kind, self.sid, self.sequence, self.time_ns = (
            struct.unpack_from("<BBBBIQq", data)
        )
        self.payload = data[24:]

    @property
    def document(self) -> dict[str, object]:
        found = orjson.loads(self.payload)
        assert isinstance(found, dict)
        return found

    @property
    def values(self) -> dict[int, float | int]:
        """Value by the place in the list of points."""
        (rows,) = struct.unpack_from("<I", self.payload)
        value = np.frombuffer(self.payload, "<f8" if self.kind == 1 else "<i8", rows, 8)
        index = np.frombuffer(self.payload, "<u4", rows, 8 + 12 * rows)
        return dict(zip(index.tolist(), value.tolist(), strict=True))

    @property
    def ages_ms(self) -> list[int]:
        (rows,) = struct.unpack_from("<I", self.payload)
        return np.frombuffer(self.payload, "<u4", rows, 8 + 8 * rows).tolist()


class Bench:
    """A hub with its table of newest values."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.last = LastTable()
        self.hub = LiveHub(
            self.last,
            POINTS.get,
            lambda who: {"alarms": [who.name], "removed": [], "snapshot": True},
            self.clock,
        )

    def join(self, principal: Principal = EVERYBODY) -> LiveClient:
        """A client that has got its first alarms and its first heartbeat."""
        client = self.hub.join(principal)
        assert client is not None
        self.take(client)
        return client

    def take(self, client: LiveClient) -> list[Message]:
        return [Message(data) for data in self.hub.messages(client)]

    def values(self, client: LiveClient) -> list[Message]:
        return [m for m in self.take(client) if m.type in (LiveType.VALUES, LiveType.TEXT_VALUES)]

    def sample(self, handle: int, value: float | int | str, after_s: float = 0.0) -> None:
        self.last.update(frame(handle, self.clock.now_ns() + int(after_s * S), [value]), 1)  # type: ignore[list-item]

    def subscribe(self, client: LiveClient, *points: int, sid: int = 1, hz: float = 2) -> None:
        self.hub.subscribe(client, sid, [str(UUID(int=n)) for n in points], hz)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_new_client_gets_the_alarms_and_a_heartbeat(bench: Bench) -> None:
    bench.hub.ui_build = "b1"
    client = bench.hub.join(ONLY_A)
    assert client is not None

    alarms, beat = bench.take(client)

    assert (LiveType.ALARMS, ["a"]) == (alarms.type, alarms.document["alarms"])
    assert (LiveType.HEARTBEAT, {"ui_build": "b1"}) == (beat.type, beat.document)


def test_first_a_snapshot_then_what_changed(bench: Bench) -> None:
    bench.sample(1, 1.5)
    bench.sample(4, 4.5)
    client = bench.join()
    bench.subscribe(client, 4, 1)

    (snapshot,) = bench.values(client)
    assert (SNAPSHOT, {0: 4.5, 1: 1.5}) == (snapshot.flags, snapshot.values)

    bench.clock.advance(S)
    assert [] == bench.values(client)

    bench.sample(1, 2.5)
    bench.clock.advance(S)
    (delta,) = bench.values(client)
    assert (DELTA, {1: 2.5}, 1) == (delta.flags, delta.values, delta.sid)


def test_of_many_changes_the_latest_wins(bench: Bench) -> None:
    client = bench.join()
    bench.subscribe(client, 1)
    bench.take(client)
    for number in range(1000):
        bench.clock.advance(1_000_000)
        bench.sample(1, float(number))

    (delta,) = bench.values(client)
    assert {0: 999.0} == delta.values


def test_a_point_without_a_sample_is_bad_and_infinitely_old(bench: Bench) -> None:
    client = bench.join()
    bench.subscribe(client, 1, 2)

    found = {message.kind: message for message in bench.values(client)}

    assert {ValueKind.FLOAT, ValueKind.INT} == set(found)
    assert [AGE_MS_MAX] == found[ValueKind.INT].ages_ms
    assert Quality.BAD_WAITING_FOR_INITIAL_DATA == found[ValueKind.INT].payload[8 + 16]


def test_each_kind_of_value_has_its_message(bench: Bench) -> None:
    bench.sample(1, 1.5)
    bench.sample(2, 2**53 + 1)
    bench.sample(3, "RUN")
    client = bench.join()
    bench.subscribe(client, 1, 2, 3)

    found = {message.kind: message for message in bench.values(client)}

    assert {1: 2**53 + 1} == found[ValueKind.INT].values
    assert {0: 1.5} == found[ValueKind.FLOAT].values
    assert LiveType.TEXT_VALUES == found[ValueKind.TEXT].type
    assert b"RUN" in found[ValueKind.TEXT].payload


def test_a_rate_is_kept_and_bounded(bench: Bench) -> None:
    client = bench.join()
    for sid, hz in ((1, 1.0), (2, 1e9), (3, 1e-9)):
        bench.subscribe(client, 1, sid=sid, hz=hz)
    bench.take(client)
    counts = {1: 0, 2: 0, 3: 0}
    for _ in range(1000):
        bench.clock.advance(10_000_000)
        bench.sample(1, float(bench.clock.now_ns()))
        for message in bench.values(client):
            counts[message.sid] += 1

    assert {1: 10, 2: 200, 3: 1} == counts


def test_a_point_that_may_not_be_seen_stays_empty(bench: Bench) -> None:
    """Like one that does not exist: the answer must not tell the two apart."""
    for handle in (1, 4):
        bench.sample(handle, 1.0)
    client = bench.join(ONLY_A)
    bench.hub.subscribe(client, 1, ["no uuid", str(UUID(int=9)), *map(str, POINTS)], 2)

    found = [place for message in bench.values(client) for place in _places(message)]
    assert [2, 3] == sorted(found)

    bench.sample(4, 2.0)
    bench.clock.advance(S)
    assert [] == bench.values(client)


def _places(message: Message) -> list[int]:
    (rows,) = struct.unpack_from("<I", message.payload)
    return np.frombuffer(message.payload, "<u4", rows, 8 + 12 * rows).tolist()


def test_a_subscription_is_replaced_and_dropped(bench: Bench) -> None:
    for handle in (1, 4):
        bench.sample(handle, float(handle))
    client = bench.join()
    bench.subscribe(client, 1)
    bench.subscribe(client, 4)
    assert [{0: 4.0}] == [message.values for message in bench.values(client)]

    bench.hub.unsubscribe(client, 1)
    bench.hub.unsubscribe(client, 99)
    bench.sample(4, 5.0)
    bench.clock.advance(S)
    assert [] == bench.values(client)


def test_there_are_limits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "CLIENTS_MAX", 1)
    monkeypatch.setattr(live, "SUBSCRIPTIONS_MAX", 2)
    client = bench.join()
    assert None is bench.hub.join(EVERYBODY)
    for sid in (1, 2, 3):
        bench.subscribe(client, 1, sid=sid)
    bench.subscribe(client, 4, sid=2)
    assert {1, 2} == set(client.subscriptions)
    assert [4] == client.subscriptions[2].handles.tolist()

    monkeypatch.setattr(live, "CLIENT_POINTS_MAX", 3)
    points = [str(UUID(int=1))] * 2
    assert bench.hub.subscribe(client, 1, points, 1.0)
    assert not bench.hub.subscribe(client, 2, points, 1.0)
    assert bench.hub.subscribe(client, 2, points[:1], 1.0)

    bench.hub.leave(client)
    assert bench.hub.join(EVERYBODY) is not None


def alarm(number: int, asset: str = "w/a") -> AlarmRow:
    return AlarmRow(f"alarm-{number}", asset, {"id": f"alarm-{number}", "asset": asset})


def test_alarms_go_to_those_who_may_see_them(bench: Bench) -> None:
    both, only_a = bench.join(), bench.join(ONLY_A)
    bench.hub.publish_alarms([alarm(1, "w/a"), alarm(2, "w/b")], ["gone"])

    def ids(client: LiveClient) -> list[str]:
        (message,) = bench.take(client)
        assert ["gone"] == message.document["removed"]
        assert {"alarms", "removed"} == message.document.keys()
        return [row["id"] for row in message.document["alarms"]]  # type: ignore[union-attr,index,call-overload]

    assert ["alarm-1", "alarm-2"] == ids(both)
    assert ["alarm-1"] == ids(only_a)
    assert [] == bench.take(both)


@pytest.mark.parametrize("is_back", [True, False])
def test_of_removal_and_return_the_later_wins(bench: Bench, is_back: bool) -> None:
    """A page that is slow gets both at once and must not have to guess the order."""
    client = bench.join()
    steps = [lambda: bench.hub.publish_alarms([], ["alarm-1"]),
             lambda: bench.hub.publish_alarms([alarm(1)])]  # fmt: skip
    for step in steps if is_back else reversed(steps):
        step()

    (message,) = bench.take(client)
    assert ([] if is_back else ["alarm-1"]) == message.document["removed"]
    assert is_back == bool(message.document["alarms"])


def test_too_many_alarm_rows_become_a_resync(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ALARM_ROWS_MAX", 10)
    client = bench.join()
    for number in range(11):
        bench.hub.publish_alarms([alarm(number)])
    bench.hub.publish_alarms([alarm(99)])

    found = bench.take(client)

    assert LiveType.RESYNC == found[0].type
    assert [LiveType.ALARMS] == [message.type for message in found[1:]]
    assert 1 == len(found[1].document["alarms"])  # type: ignore[arg-type]


def test_an_event_goes_to_those_who_may_see_its_asset(bench: Bench) -> None:
    both, only_a = bench.join(), bench.join(ONLY_A)
    bench.hub.publish_event("command", {"state": "sent"}, "w/b")

    assert [{"topic": "command", "state": "sent"}] == [m.document for m in bench.take(both)]
    assert [] == bench.take(only_a)


def test_events_that_do_not_fit_are_counted_and_said(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "EVENTS_MAX", 3)
    client = bench.join()
    for number in range(5):
        bench.hub.publish_event("t", {"n": number})

    types = [message.type for message in bench.take(client)]

    assert [LiveType.RESYNC, *[LiveType.EVENT] * 3] == types
    assert 2 == client.dropped_events


def test_a_resync_brings_the_whole_alarm_list_again(bench: Bench) -> None:
    client = bench.join()
    bench.hub.publish_alarms([alarm(1)])
    bench.hub.resync()

    resync, alarms = bench.take(client)

    assert (LiveType.RESYNC, LiveType.ALARMS) == (resync.type, alarms.type)
    assert alarms.document["snapshot"]
    assert [] == bench.take(client)


def test_sequence_numbers_have_no_holes(bench: Bench) -> None:
    """A page that sees a hole knows that it has lost something."""
    client = bench.hub.join(EVERYBODY)
    assert client is not None
    bench.subscribe(client, 1, 2, 3, 4)
    bench.subscribe(client, 1, sid=2, hz=20)
    found: list[Message] = []
    for number in range(200):
        bench.sample(1 + 3 * (number % 2), float(number))
        if number % 7 == 0:
            bench.hub.publish_event("t", {"n": number})
        if number % 11 == 0:
            bench.hub.publish_alarms([alarm(number)])
        if number % 50 == 0:
            bench.hub.resync()
        bench.clock.advance(50_000_000)
        found += bench.take(client)

    assert list(range(1, len(found) + 1)) == [message.sequence for message in found]
    assert len(found) == bench.hub.statistics()["messages"]


def test_a_heartbeat_comes_each_second(bench: Bench) -> None:
    client = bench.join()
    beats = 0
    for _ in range(100):
        bench.clock.advance(S // 10)
        beats += sum(message.type == LiveType.HEARTBEAT for message in bench.take(client))

    assert 10 == beats


async def test_a_client_waits_for_its_turn_and_no_longer(bench: Bench) -> None:
    client = bench.join()
    client.wake.clear()
    bench.hub.publish_event("t", {})
    await bench.hub.wait_turn(client)
    assert not client.wake.is_set()

    bench.subscribe(client, 1, hz=20)
    await bench.hub.wait_turn(client)
    bench.take(client)
    bench.clock.advance(S)
    await bench.hub.wait_turn(client)
