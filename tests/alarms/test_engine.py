"""Flags and events: legal transitions lead on, and anything may come twice."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from plant import POINTS, rule

from penstock.alarms.alarm import (
    ACKNOWLEDGED,
    NOTED,
    NOTES_MAX,
    RAISED,
    Alarm,
    IsaState,
    Note,
    is_listed,
    isa_state,
)
from penstock.alarms.engine import (
    acknowledge,
    alarm_of,
    apply,
    forced_return,
    note,
    on_edge,
    person_event,
    reconcile,
    transition_event,
)
from penstock.codec.event import decode_event, encode_event
from penstock.model import Event
from penstock.rules.engine import Transition, TransitionKind


def raised_event(**more: object) -> Event:
    transition = Transition(0, TransitionKind.RAISED, 1, 1_000, 95.0, 192)
    return transition_event("node", rule(1, **more), POINTS[0], transition, "log:1")


def alarm(**flags: object) -> Alarm:
    return replace(alarm_of(raised_event()), **flags)  # type: ignore[arg-type]


def test_an_alarm_is_made_of_its_first_event_through_the_codec() -> None:
    event = decode_event(encode_event(raised_event(latched=True)))

    made = alarm_of(event)

    assert (95.0, 80, "Cel", True) == (made.value, made.limit, made.unit, made.latched)
    assert {"en": "cause", "de": "Ursache"} == made.cause


def test_the_life_of_an_alarm() -> None:
    first = alarm()
    seen = acknowledge(first, "user:olga", 1_001)
    over = on_edge(seen, False, 1_002)

    assert [IsaState.UNACKNOWLEDGED, IsaState.ACKNOWLEDGED, IsaState.NORMAL] == [
        isa_state(step) for step in (first, seen, over)
    ]
    assert [True, True, False] == [is_listed(step) for step in (first, seen, over)]
    assert IsaState.RETURNED_UNACKNOWLEDGED == isa_state(on_edge(first, False, 1_002))


def test_a_latched_alarm_stays_until_acknowledged() -> None:
    over = on_edge(alarm(latched=True), False, 1_002)
    assert (True, True) == (over.latched, is_listed(over))

    seen = acknowledge(over, "user:olga", 1_003)
    assert (False, False) == (seen.latched, is_listed(seen))


def test_a_latch_of_an_acknowledged_alarm_ends_with_its_condition() -> None:
    seen = acknowledge(alarm(latched=True), "user:olga", 1_001)
    assert seen.latched

    assert not on_edge(seen, False, 1_002).latched


def test_out_of_sight_comes_before_active() -> None:
    shown = {
        flags: isa_state(alarm(out_of_service=flags[0], suppressed=flags[1], shelved=flags[2]))
        for flags in product([True, False], repeat=3)
    }

    assert IsaState.UNACKNOWLEDGED == shown.pop((False, False, False))
    assert {IsaState.OUT_OF_SERVICE, IsaState.SUPPRESSED, IsaState.SHELVED} == {*shown.values()}


def test_who_acknowledged_first_counts() -> None:
    seen = acknowledge(acknowledge(alarm(), "user:olga", 1_001), "user:otto", 1_002)

    assert ("user:olga", 1_001) == (seen.acknowledged_by, seen.acknowledged_ns)


def test_notes_are_bounded_in_the_row() -> None:
    noted = alarm()
    for number in range(NOTES_MAX + 5):
        noted = note(noted, Note(str(number), number, "user:olga", "text"))

    assert NOTES_MAX == len(noted.notes)


def test_what_was_never_raised_is_nothing() -> None:
    assert apply(None, forced_return(alarm(), 1_001, "configuration")) is None


def test_the_event_identity_follows_from_the_transition() -> None:
    assert raised_event().id == raised_event().id
    later = Transition(0, TransitionKind.RAISED, 2, 1_000, 95.0, 192)
    other = transition_event("node", rule(1), POINTS[0], later, "")
    assert raised_event().id != other.id


EVENTS = (
    raised_event(),
    forced_return(alarm(), 1_002, "configuration"),
    person_event(alarm(), ACKNOWLEDGED, "user:olga", 1_003, "seen", "k1", "d"),
    person_event(alarm(), NOTED, "user:olga", 1_004, "a note", "k2", "d"),
)


@given(st.lists(st.sampled_from(EVENTS), max_size=8))
def test_events_that_come_again_change_nothing(events: list[Event]) -> None:
    made = None
    for event in [EVENTS[0], *events]:
        made = apply(made, event)
        assert made == apply(made, event)
    assert made is not None
    assert RAISED == EVENTS[0].type
    assert made.active is (EVENTS[1] not in events)
    assert made.acknowledged is (EVENTS[2] in events)


def test_rules_and_journal_agree_after_a_reconciliation() -> None:
    """Both active, only the rule, only the journal, neither; each with what the journal knows."""
    both, journal = alarm(rule="both", episode=4), alarm(rule="journal", episode=7)
    rules = [("both", True, 5), ("rule", True, 2), ("journal", False, 6), ("none", False, 1)]

    found = reconcile(
        rules, {"both": 4, "rule": 3, "journal": 7}, {"both": both, "journal": journal}
    )

    assert [4, 4, 7, 1] == found.episodes
    assert [1] == found.raised
    assert [journal] == found.returned
