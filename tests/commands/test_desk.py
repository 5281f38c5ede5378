"""The desk: nothing is written without select, reason and a durable record before it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from bench_desk import COUNTER, ENDS, LABEL, OLGA, SENSOR, VALVE, Bench, S, person
from memory_log import Killed, Killer

from penstock.commands.checks import LastValue
from penstock.commands.command import Command, CommandState
from penstock.model import Quality, Refused
from penstock.plugin import Resolution
from penstock.registry import Snapshot

States = CommandState


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    await made.start()
    yield made
    await made.die()


def key() -> str:
    return str(uuid4())


async def select(
    bench: Bench, point: str = VALVE, value: object = 40.0, who: Any = OLGA
) -> Command:
    command: Command = await bench.desk.select(who, point, value, "", key())
    return command


async def sent(bench: Bench) -> Command:
    command = await select(bench)
    return await bench.desk.send(OLGA, command.id, "more water", key())


async def refused(bench: Bench, code: str, *args: Any, **more: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await select(bench, *args, **more)
    assert code == caught.value.code
    assert not bench.wire
    return caught.value


async def test_the_good_way(bench: Bench) -> None:
    command = await sent(bench)
    assert States.SENT is command.state
    await bench.desk.on_result(command.id, "accepted")
    await bench.desk.on_result(command.id, "read_back", 40.0, 192)

    end = bench.recent.find(command.id)
    assert end is not None
    assert (States.CONFIRMED, 40.0, 10.0) == (end.state, end.read_back, end.old_value)
    assert ["selected", "armed", "sent", "accepted", "confirmed"] == [
        step.state.value for step in end.history
    ]
    await bench.projected()
    assert end == bench.stored(command.id)
    assert end == bench.told[-1]


async def test_sent_is_durable_before_the_wire(bench: Bench) -> None:
    command = await sent(bench)

    assert ["sent"] == bench.states_at_the_wire
    (envelope,) = bench.wire
    assert (command.id, 40.0, "more water", "user:olga") == (
        envelope.id, envelope.value, envelope.reason, envelope.author
    )  # fmt: skip
    assert bench.log.durable == envelope.sequence
    assert ["command.select", "command.send"] == [entry.action for entry in bench.audited]


async def test_what_is_refused_at_select(bench: Bench) -> None:
    await refused(bench, "not_writable", SENSOR)
    error = await refused(bench, "out_of_range", VALVE, 100.1)
    assert (0.0, 100.0, 100.1, "%") == tuple(
        error.params[k] for k in ("low", "high", "value", "unit")
    )
    await refused(bench, "wrong_kind", COUNTER, 1.5)
    await refused(bench, "wrong_kind", COUNTER, "seven")
    await refused(bench, "wrong_kind", COUNTER, 2**63)
    await refused(bench, "wrong_kind", VALVE, "10")
    await refused(bench, "wrong_kind", VALVE, True)
    await refused(bench, "wrong_kind", VALVE, float("nan"))
    await refused(bench, "wrong_kind", LABEL, 5)
    await refused(bench, "not_permitted", VALVE, 40.0, person("vera", "viewer"))
    await refused(bench, "not_permitted", VALVE, 40.0, person("eva", "viewer"))
    await refused(bench, "not_found", VALVE, 40.0, person("otto", "operator", "plant/b"))
    await refused(bench, "not_found", str(uuid4()))

    assert 11 == len(bench.audited)
    assert {"command.select"} == {entry.action for entry in bench.audited}
    assert "refused: out_of_range" == bench.audited[1].outcome
    assert {"value": 100.1} == bench.audited[1].new
    assert [] == bench.logged_states()


async def test_an_int64_may_come_as_text(bench: Bench) -> None:
    command = await select(bench, COUNTER, str(2**53 + 1))

    assert 2**53 + 1 == command.value


async def test_a_bad_old_value_warns_and_does_not_refuse(bench: Bench) -> None:
    bench.last[VALVE] = LastValue(10.0, Quality.BAD_SENSOR_FAILURE)

    command = await select(bench)

    assert {"quality"} == {check.key for check in command.checks if not check.ok}


async def test_one_command_a_point(bench: Bench) -> None:
    first = await select(bench)
    await refused(bench, "point_busy")
    await select(bench, COUNTER, 1)

    await bench.desk.cancel(OLGA, first.id)

    await select(bench)


async def test_a_reason_is_needed(bench: Bench) -> None:
    command = await select(bench)

    with pytest.raises(Refused, match="reason"):
        await bench.desk.send(OLGA, command.id, " a ", key())

    assert not bench.wire
    await bench.desk.send(OLGA, command.id, "because", key())


@pytest.mark.parametrize(
    "who", [person("otto", "operator"), person("olga", "operator", session="s2")]
)
async def test_only_who_selected_may_send_and_in_the_same_session(bench: Bench, who: Any) -> None:
    command = await select(bench)

    with pytest.raises(Refused) as caught:
        await bench.desk.send(who, command.id, "because", key())

    assert "not_permitted" == caught.value.code
    assert not bench.wire


async def test_a_selection_expires(bench: Bench) -> None:
    command = await select(bench)
    bench.clock.advance(60 * S)

    with pytest.raises(Refused) as caught:
        await bench.desk.send(OLGA, command.id, "because", key())

    assert "expired" == caught.value.code
    assert States.EXPIRED is bench.told[-1].state
    assert not bench.wire


async def test_a_point_that_lost_its_release_is_not_written(bench: Bench) -> None:
    command = await select(bench)
    closed = [replace(point, writable=False) for point in bench.snapshot.points]
    bench.snapshot = Snapshot.of(2, (), closed)

    with pytest.raises(Refused) as caught:
        await bench.desk.send(OLGA, command.id, "because", key())

    assert "not_writable" == caught.value.code
    assert not bench.wire


@pytest.mark.parametrize(("low", "high"), [(0.0, 39.9), (40.1, 100.0)])
async def test_a_range_that_was_narrowed_since_the_selection_counts(
    bench: Bench, low: float, high: float
) -> None:
    command = await select(bench)
    narrow = [replace(point, command_low=low, command_high=high) for point in bench.snapshot.points]
    bench.snapshot = Snapshot.of(2, (), narrow)

    with pytest.raises(Refused) as caught:
        await bench.desk.send(OLGA, command.id, "because", key())

    assert "out_of_range" == caught.value.code
    assert not bench.wire
    refusal = ("command.send", "refused: out_of_range")
    assert refusal == (bench.audited[-1].action, bench.audited[-1].outcome)


async def test_a_range_whose_bound_is_the_value_still_lets_it_through(bench: Bench) -> None:
    command = await select(bench)
    narrow = [replace(p, command_low=40.0, command_high=40.0) for p in bench.snapshot.points]
    bench.snapshot = Snapshot.of(2, (), narrow)

    sent = await bench.desk.send(OLGA, command.id, "because", key())

    assert States.SENT is sent.state


async def test_what_the_device_can_hold_is_known_at_select_and_compared_at_read_back(
    bench: Bench,
) -> None:
    """33.4 into a register of whole percents; 33.4 coming back would be another device."""
    bench.resolution = Resolution("count")
    command = await select(bench, value=33.4)
    assert (33.4, 33.0) == (command.value, command.held)
    assert {"value": 33.4, "held": 33.0}.items() <= bench.audited[-1].new.items()

    command = await bench.desk.send(OLGA, command.id, "less water", key())
    assert (33.4, 33.0) == (bench.wire[-1].value, bench.wire[-1].held)
    await bench.desk.on_result(command.id, "accepted")
    await bench.desk.on_result(command.id, "read_back", 33.4, 192)
    assert States.ACCEPTED is bench.recent.find(command.id).state
    await bench.desk.on_result(command.id, "read_back", 33.0, 192)

    assert States.CONFIRMED is bench.recent.find(command.id).state


async def test_a_value_that_would_round_out_of_its_range_is_refused(bench: Bench) -> None:
    bench.resolution = Resolution("count", factor=30.0, offset=20.0)
    error = await refused(bench, "out_of_range", value=100.0)

    assert (100.0, 110.0, 100.0) == tuple(error.params[name] for name in ("value", "held", "high"))


async def test_a_scale_that_changed_since_the_selection_is_not_sent(bench: Bench) -> None:
    """What the person confirmed is not what the device would hold now."""
    bench.resolution = Resolution("count", divisor=10.0)
    command = await select(bench, value=33.4)
    bench.resolution = Resolution("count")

    with pytest.raises(Refused) as caught:
        await bench.desk.send(OLGA, command.id, "because", key())

    assert "expired" == caught.value.code
    assert not bench.wire


async def test_a_repeated_request_is_one_command(bench: Bench) -> None:
    select_key, send_key = key(), key()
    first = await bench.desk.select(OLGA, VALVE, 40.0, "", select_key)
    assert first == await bench.desk.select(OLGA, VALVE, 40.0, "", select_key)
    with pytest.raises(Refused, match="Idempotency"):
        await bench.desk.select(OLGA, VALVE, 41.0, "", select_key)

    await bench.desk.send(OLGA, first.id, "because", send_key)
    await bench.desk.send(OLGA, first.id, "because", send_key)

    assert 1 == len(bench.wire)


async def test_a_repeated_request_is_known_after_a_restart(bench: Bench) -> None:
    command = await select(bench)
    send_key = key()
    await bench.desk.send(OLGA, command.id, "because", send_key)

    await bench.restart()
    again = await bench.desk.send(OLGA, command.id, "because", send_key)

    assert States.UNCONFIRMED is again.state
    assert 1 == len(bench.wire)


async def test_a_setpoint_is_not_played_with(bench: Bench) -> None:
    for _ in range(6):
        command = await sent(bench)
        await bench.desk.on_result(command.id, "refused")
    with pytest.raises(Refused) as caught:
        await select(bench)
    assert "rate_exceeded" == caught.value.code

    await bench.restart()
    with pytest.raises(Refused):
        await select(bench)

    bench.clock.advance(61 * S)
    await select(bench)


async def test_no_connection_is_a_failure_that_wrote_nothing(bench: Bench) -> None:
    bench.is_connected = False

    command = await sent(bench)

    assert (States.FAILED, "not_sent") == (command.state, command.problem)
    assert "command.failed" == bench.audited[-1].action


async def test_the_device_says_no(bench: Bench) -> None:
    command = await sent(bench)

    await bench.desk.on_result(command.id, "refused", detail="exception 2, illegal address")

    end = bench.told[-1]
    assert (States.REJECTED, "exception 2, illegal address") == (end.state, end.detail)


async def test_no_answer_until_the_deadline(bench: Bench) -> None:
    command = await sent(bench)
    bench.clock.advance(9 * S)
    await bench.desk.tick()
    assert States.SENT is bench.told[-1].state

    bench.clock.advance(S)
    await bench.desk.tick()

    assert States.UNCONFIRMED is bench.told[-1].state
    with pytest.raises(Refused, match="under way"):
        await select(bench)
    resolved = await bench.desk.resolve(OLGA, command.id, "looked: it is at 10 %")
    assert "user:olga" == resolved.resolved_by
    await select(bench)


async def test_a_connector_that_dies_leaves_its_commands_uncertain(bench: Bench) -> None:
    await sent(bench)

    await bench.desk.on_away("other")
    assert States.SENT is bench.told[-1].state
    await bench.desk.on_away("line", "process 17 ended")

    assert States.UNCONFIRMED is bench.told[-1].state


async def test_what_was_sent_can_not_be_cancelled(bench: Bench) -> None:
    command = await sent(bench)

    with pytest.raises(Refused) as caught:
        await bench.desk.cancel(OLGA, command.id)

    assert "wrong_state" == caught.value.code


async def test_a_late_answer_of_an_ended_command_changes_nothing(bench: Bench) -> None:
    command = await sent(bench)
    await bench.desk.on_result(command.id, "refused")
    before = bench.log.durable

    await bench.desk.on_result(command.id, "accepted")
    await bench.desk.on_result("unknown", "accepted")

    assert before == bench.log.durable


async def test_an_older_record_that_comes_again_changes_nothing(bench: Bench) -> None:
    command = await sent(bench)
    await bench.desk.on_result(command.id, "refused")
    await bench.projected()
    end = bench.stored(command.id)

    await bench.state.write(lambda connection: bench.projector.store.put(connection, command))

    assert end == bench.stored(command.id)


# --- killed anywhere


async def story(bench: Bench) -> None:
    command = await bench.desk.select(OLGA, VALVE, 40.0, "", "k1")
    await bench.desk.send(OLGA, command.id, "more water", "k2")
    await bench.desk.on_result(command.id, "accepted")
    await bench.desk.on_result(command.id, "read_back", 40.0, 192)
    await bench.projected()


@pytest.mark.slow
@pytest.mark.parametrize("is_after", [False, True])
async def test_killed_at_any_point_nothing_is_sent_twice(tmp_path: Path, is_after: bool) -> None:
    """Whatever the last record says, a restart ends it and the wire hears nothing again."""
    at, ends = 0, set()
    killer = Killer(0)
    while at == 0 or killer.has_killed:
        at += 1
        killer = Killer(at, is_after=is_after)
        bench = Bench(tmp_path / str(at), killer)
        try:
            await bench.start()
            await bench.drive(story(bench))
        except Killed:
            await bench.restart()
        await bench.projected()
        last = bench.logged_states()[-1] if bench.logged_states() else None
        assert len(bench.wire) <= 1, f"killed at {at}"
        if last is not None:
            state = CommandState(last)
            assert state in ENDS, f"killed at {at}"
            ends.add(state)
            (command,) = bench.recent.newest("", 10)
            assert command == bench.stored(command.id)
            assert state is command.state
            assert not bench.wire or state in {States.CONFIRMED, States.UNCONFIRMED}
        await bench.die()

    assert at > 8
    assert ends == ENDS
