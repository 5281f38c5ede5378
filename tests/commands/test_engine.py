"""The state table, whole: every state under every event, before and after its deadline."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.commands.command import (
    ENDED,
    ON_THE_WIRE,
    Action,
    Command,
    CommandEvent,
    CommandState,
    EventKind,
    from_document,
    to_document,
)
from penstock.commands.engine import is_equal, step
from penstock.commands.held import tolerance_of
from penstock.model import Quality, ValueKind
from penstock.plugin import Resolution

S, E = CommandState, EventKind
EARLY, LATE = 50, 150
DEADLINE = 100

# state, event -> state before the deadline, state after it; what is not here changes nothing.
TABLE: dict[tuple[CommandState, EventKind], tuple[CommandState, CommandState]] = {
    (S.PROPOSED, E.SELECT): (S.SELECTED, S.SELECTED),
    (S.PROPOSED, E.ARM): (S.PROPOSED, S.EXPIRED),
    (S.PROPOSED, E.SEND): (S.PROPOSED, S.EXPIRED),
    (S.PROPOSED, E.CANCEL): (S.EXPIRED, S.EXPIRED),
    (S.PROPOSED, E.TIME): (S.PROPOSED, S.EXPIRED),
    (S.PROPOSED, E.RESTART): (S.EXPIRED, S.EXPIRED),
    (S.SELECTED, E.ARM): (S.ARMED, S.EXPIRED),
    (S.SELECTED, E.SEND): (S.SELECTED, S.EXPIRED),
    (S.SELECTED, E.CANCEL): (S.EXPIRED, S.EXPIRED),
    (S.SELECTED, E.TIME): (S.SELECTED, S.EXPIRED),
    (S.SELECTED, E.RESTART): (S.EXPIRED, S.EXPIRED),
    (S.ARMED, E.ARM): (S.ARMED, S.EXPIRED),
    (S.ARMED, E.SEND): (S.SENT, S.EXPIRED),
    (S.ARMED, E.CANCEL): (S.EXPIRED, S.EXPIRED),
    (S.ARMED, E.TIME): (S.ARMED, S.EXPIRED),
    (S.ARMED, E.RESTART): (S.EXPIRED, S.EXPIRED),
    (S.SENT, E.ACCEPTED): (S.ACCEPTED, S.ACCEPTED),
    (S.SENT, E.REFUSED): (S.REJECTED, S.REJECTED),
    (S.SENT, E.NOT_SENT): (S.FAILED, S.FAILED),
    (S.SENT, E.AWAY): (S.UNCONFIRMED, S.UNCONFIRMED),
    (S.SENT, E.RESTART): (S.UNCONFIRMED, S.UNCONFIRMED),
    (S.SENT, E.TIME): (S.SENT, S.UNCONFIRMED),
    (S.ACCEPTED, E.READ_BACK): (S.CONFIRMED, S.CONFIRMED),
    (S.ACCEPTED, E.AWAY): (S.UNCONFIRMED, S.UNCONFIRMED),
    (S.ACCEPTED, E.RESTART): (S.UNCONFIRMED, S.UNCONFIRMED),
    (S.ACCEPTED, E.TIME): (S.ACCEPTED, S.UNCONFIRMED),
}


def command(state: CommandState = S.PROPOSED, **more: Any) -> Command:
    made = Command(
        id="c",
        point="p",
        point_path="plant/p",
        asset_path="plant",
        unit="",
        kind=ValueKind.FLOAT,
        value=42.0,
        held=42.0,
        tolerance=0.05,
        author="user:olga",
        created_ns=0,
        expires_ns=DEADLINE,
        state=state,
    )
    return replace(made, **more)


def event(kind: EventKind, value: float | None = 42.0, quality: int = 192) -> CommandEvent:
    return CommandEvent(kind, "user:olga", "text", value, quality, deadline_ns=DEADLINE)


@pytest.mark.parametrize(("state", "kind"), list(product(S, E)))
def test_the_table(state: CommandState, kind: EventKind) -> None:
    before, after = TABLE.get((state, kind), (state, state))

    assert before is step(command(state), event(kind), EARLY)[0].state
    assert after is step(command(state), event(kind), LATE)[0].state


@pytest.mark.parametrize(("state", "kind"), list(product(S, E)))
def test_only_send_from_armed_reaches_the_wire(state: CommandState, kind: EventKind) -> None:
    is_send = (state, kind) == (S.ARMED, E.SEND)

    assert ((Action.PUT_ON_WIRE,) if is_send else ()) == step(command(state), event(kind), EARLY)[1]
    assert () == step(command(state), event(kind), LATE)[1]


def through(made: Command, *steps: tuple[CommandEvent, int]) -> Command:
    for happened, now_ns in steps:
        made, _ = step(made, happened, now_ns)
    return made


def test_a_read_back_before_the_answer_is_no_success() -> None:
    """It may be older than the write."""
    assert S.SENT is through(command(S.SENT), (event(E.READ_BACK), EARLY)).state


def test_accepted_but_ignored_fails_with_the_value_the_device_holds() -> None:
    made = through(command(S.ACCEPTED), (event(E.READ_BACK, 40.0), EARLY), (event(E.TIME), LATE))

    assert (S.FAILED, "ignored", 40.0) == (made.state, made.problem, made.read_back)


def test_a_slow_actuator_is_confirmed_when_it_arrives() -> None:
    made = through(
        command(S.ACCEPTED),
        (event(E.READ_BACK, 10.0), EARLY),
        (event(E.READ_BACK, 30.0), EARLY),
        (event(E.READ_BACK, 42.04), EARLY),
    )

    assert (S.CONFIRMED, "") == (made.state, made.problem)


@pytest.mark.parametrize(
    ("value", "quality"), [(42.0, Quality.BAD), (None, Quality.GOOD), (42.06, Quality.GOOD)]
)
def test_what_is_no_read_back(value: float | None, quality: Quality) -> None:
    made = through(command(S.ACCEPTED), (event(E.READ_BACK, value, quality), EARLY))

    assert S.ACCEPTED is made.state


def test_an_unreadable_point_stays_unconfirmed() -> None:
    made = through(
        command(S.ACCEPTED),
        (event(E.READ_BACK, None, Quality.BAD_NO_COMMUNICATION), EARLY),
        (event(E.TIME), LATE),
    )

    assert (S.UNCONFIRMED, "no_read_back") == (made.state, made.problem)


def test_no_answer_but_a_read_back_is_a_success() -> None:
    made = through(command(S.SENT), (event(E.UNKNOWN), EARLY), (event(E.READ_BACK), EARLY))

    assert S.CONFIRMED is made.state


def test_no_answer_and_another_value_stays_unconfirmed() -> None:
    """It may still arrive; only a person can tell."""
    made = through(
        command(S.SENT),
        (event(E.UNKNOWN), EARLY),
        (event(E.READ_BACK, 40.0), EARLY),
        (event(E.NOT_SENT), EARLY),
        (event(E.TIME), LATE),
    )

    assert (S.UNCONFIRMED, 40.0) == (made.state, made.read_back)


def test_a_person_resolves_and_frees_the_point() -> None:
    made = through(command(S.SENT), (event(E.AWAY), EARLY))
    assert made.is_open

    seen = through(made, (event(E.READ_BACK), EARLY))
    assert (S.UNCONFIRMED, 42.0, True) == (seen.state, seen.read_back, seen.is_open)

    resolved = through(seen, (event(E.RESOLVE), LATE))
    assert (S.UNCONFIRMED, "user:olga", False) == (
        resolved.state, resolved.resolved_by, resolved.is_open
    )  # fmt: skip
    assert resolved is through(resolved, (event(E.RESOLVE), LATE))


EVENTS = st.tuples(
    st.sampled_from(E),
    st.sampled_from([42.0, 40.0, None]),
    st.sampled_from([0, 68, 192]),
    st.integers(0, 200),
)


@given(st.lists(EVENTS, max_size=20))
def test_promises(events: list[tuple[EventKind, float | None, int, int]]) -> None:
    """Sent at most once; success only by a fitting read-back; what has ended stays ended."""
    made, sent, now_ns = command(), 0, 0
    for kind, value, quality, passed in events:
        now_ns += passed
        before = made
        happened = CommandEvent(kind, "user:olga", "text", value, quality, now_ns + 100)
        made, actions = step(made, happened, now_ns)
        sent += len(actions)
        assert sent <= 1
        assert (made is before) == (made.revision == before.revision)
        if made.state is S.CONFIRMED and before.state is not S.CONFIRMED:
            assert before.state in ON_THE_WIRE
            assert (E.READ_BACK, 42.0) == (kind, value)
            assert quality >= 64
        if before.state in ENDED or before.resolved_ns is not None:
            assert made is before
        if made.state in ON_THE_WIRE | {S.CONFIRMED, S.REJECTED, S.FAILED, S.UNCONFIRMED}:
            assert 1 == sent
        assert made == from_document(to_document(made))


def test_equality_of_read_backs() -> None:
    assert is_equal(7, 7, 0.0)
    assert not is_equal(2**53, 2**53 + 1, 0.0)
    assert is_equal("a", "a", 0.0)
    assert not is_equal(7, "7", 0.0)
    assert not is_equal("7", 7, 0.0)


def test_a_neighbouring_count_is_another_value() -> None:
    tolerance = tolerance_of(42.0, ValueKind.FLOAT, Resolution("count", divisor=10.0))

    assert is_equal(42.0, 42.0, tolerance)
    assert not is_equal(42.05, 42.0, tolerance)
    assert not is_equal(42.1, 42.0, tolerance)


def test_a_device_nobody_knows_has_nine_digits() -> None:
    tolerance = tolerance_of(1.0, ValueKind.FLOAT, Resolution())

    assert is_equal(1.0000000005, 1.0, tolerance)
    assert not is_equal(1.000001, 1.0, tolerance)
    assert 0.0 == tolerance_of(5, ValueKind.INT, Resolution())


def test_the_read_back_is_compared_with_what_the_device_can_hold() -> None:
    """33.4 into whole percents: 33 is success, 33.4 and 34 are not."""
    sent = command(S.ACCEPTED, value=33.4, held=33.0, tolerance=0.0)

    assert S.CONFIRMED is step(sent, event(E.READ_BACK, 33.0), 1)[0].state
    assert S.ACCEPTED is step(sent, event(E.READ_BACK, 33.4), 1)[0].state
    assert S.ACCEPTED is step(sent, event(E.READ_BACK, 34.0), 1)[0].state


def test_a_record_without_held_held_what_was_asked_for() -> None:
    document = to_document(command(value=42.0))
    del document["held"]

    assert 42.0 == from_document(document).held
