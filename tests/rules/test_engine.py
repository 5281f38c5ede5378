"""Limits: what raises, what returns, what neither; and that bulk and row by row agree."""

from __future__ import annotations

import json
from math import inf, nan
from uuid import UUID

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock.model import Flag, Frame, Point, Quality, ValueKind
from penstock.model.time import HOUR_NS, SECOND_NS
from penstock.rules.engine import Transition, TransitionKind, evaluate, tick
from penstock.rules.rule import LimitRule, RuleTexts, Side, communication_rule
from penstock.rules.snapshot import export_state, import_state
from penstock.rules.table import RuleState, RuleTable
from penstock.testing.frames import frame

S = SECOND_NS
T0 = 1_000 * S
RAISED, RETURNED = TransitionKind.RAISED, TransitionKind.RETURNED
BLIND, SEEING = TransitionKind.BLIND, TransitionKind.SEEING
TEXTS = RuleTexts({"en": "cause"}, {"en": "consequence"}, {"en": "response"})


def point(handle: int, kind: ValueKind = ValueKind.FLOAT) -> Point:
    return Point(UUID(int=handle), handle, f"plant/p{handle}", "plant", f"p{handle}", kind)


def rule(handle: int = 3, level: float = 80, side: Side = Side.HIGH, **more: object) -> LimitRule:
    name = str(more.pop("name", f"{side.value} {level} {sorted(more.items())}"))
    return LimitRule(
        id=UUID(int=hash((handle, name)) % 2**64),
        name=name,
        point=UUID(int=handle),
        side=side,
        level=level,
        texts=TEXTS,
        time_to_respond_s=60,
        **more,  # type: ignore[arg-type]
    )


class Live:
    """A table and its state, so that a test reads as a story."""

    def __init__(self, *rules: LimitRule, kind: ValueKind = ValueKind.FLOAT) -> None:
        handles = {r.point.int for r in rules}
        self.table = RuleTable.build(rules, {UUID(int=h): point(h, kind) for h in handles})
        self.state = RuleState.fresh(self.table)

    def see(self, part: Frame, receive_ns: int | None = None) -> list[tuple[TransitionKind, int]]:
        newest = int(part.time_ns.max()) if receive_ns is None else receive_ns
        found = evaluate(self.table, self.state, part, newest)
        return [(t.kind, t.time_ns) for t in found]

    def value(self, value: float, time_ns: int, **more: int) -> list[tuple[TransitionKind, int]]:
        return self.see(frame(3, time_ns, [value], **more))

    def tick(self, now_ns: int) -> list[tuple[TransitionKind, int]]:
        found = tick(self.table, self.state, now_ns)
        return [(t.kind, t.time_ns) for t in found]


def test_beyond_the_level_raises_and_at_the_level_does_not() -> None:
    live = Live(rule())

    assert [] == live.value(80.0, T0)
    assert [(RAISED, T0 + 1)] == live.value(80.000001, T0 + 1)
    assert [] == live.value(99.0, T0 + 2)


def test_a_low_limit_looks_downwards() -> None:
    live = Live(rule(level=10, side=Side.LOW, hysteresis=2))

    assert [] == live.value(10.0, T0)
    assert [(RAISED, T0 + 1)] == live.value(9.0, T0 + 1)
    assert [] == live.value(11.9, T0 + 2)
    assert [(RETURNED, T0 + 3)] == live.value(12.0, T0 + 3)


def test_it_returns_when_the_value_is_back_by_the_hysteresis() -> None:
    live = Live(rule(hysteresis=5))
    live.value(90.0, T0)

    assert [] == live.value(75.1, T0 + 1)
    assert [(RETURNED, T0 + 2)] == live.value(75.0, T0 + 2)
    assert [] == live.value(79.0, T0 + 3)


def test_a_spike_inside_one_frame_raises_and_returns() -> None:
    live = Live(rule())

    found = live.see(frame(3, [T0, T0 + 1, T0 + 2], [20.0, 95.0, 20.0]))

    assert [(RAISED, T0 + 1), (RETURNED, T0 + 2)] == found


def test_several_rules_of_one_point_are_each_judged() -> None:
    live = Live(rule(level=80), rule(level=90), rule(level=10, side=Side.LOW))

    assert 2 == len(live.value(95.0, T0))
    assert [RETURNED, RETURNED, RAISED] == [kind for kind, _ in live.value(5.0, T0 + 1)]


def test_bad_quality_neither_raises_nor_clears_but_marks() -> None:
    live = Live(rule())

    assert [] == live.value(95.0, T0, quality=Quality.BAD_SENSOR_FAILURE)
    live.value(95.0, T0 + 1)
    assert [(BLIND, T0 + 2)] == live.value(20.0, T0 + 2, quality=Quality.BAD)
    assert [] == live.value(20.0, T0 + 3, quality=Quality.BAD)
    assert [(SEEING, T0 + 4)] == live.value(96.0, T0 + 4)
    assert [(RETURNED, T0 + 5)] == live.value(20.0, T0 + 5)


def test_uncertain_is_used() -> None:
    assert [(RAISED, T0)] == Live(rule()).value(95.0, T0, quality=Quality.UNCERTAIN)


def test_nan_is_no_value_and_infinity_is_one() -> None:
    live = Live(rule(), rule(level=10, side=Side.LOW))

    assert [] == live.value(nan, T0)
    assert [(RAISED, T0 + 1)] == live.value(inf, T0 + 1)
    assert [(BLIND, T0 + 2)] == live.value(nan, T0 + 2)


def test_a_row_without_a_value_is_bad_whatever_its_quality_says() -> None:
    live = Live(rule(level=10, side=Side.LOW))

    assert [] == live.value(0.0, T0, flags=Flag.NO_VALUE)


def test_back_filled_history_raises_nothing() -> None:
    assert [] == Live(rule()).value(95.0, T0, flags=Flag.HISTORICAL)


def test_a_late_sample_does_not_change_the_live_state() -> None:
    live = Live(rule())
    live.value(20.0, T0 + 10)

    assert [] == live.see(frame(3, T0 + 9, [95.0]), receive_ns=T0 + 20)
    assert [(RAISED, T0 + 11)] == live.see(frame(3, T0 + 11, [95.0]), receive_ns=T0 + 20)
    assert [] == live.see(frame(3, T0 + 10, [20.0]), receive_ns=T0 + 21)


def test_a_bad_row_with_the_gateways_time_does_not_make_a_slow_device_late() -> None:
    """The device's clock is an hour behind; after a communication loss it must be heard again."""
    live = Live(rule())
    live.see(frame(3, T0, [20.0]), receive_ns=T0 + HOUR_NS)
    live.see(frame(3, T0 + HOUR_NS + 1, [0.0], quality=Quality.BAD), receive_ns=T0 + HOUR_NS + 1)

    assert [(RAISED, T0 + 2)] == live.see(frame(3, T0 + 2, [95.0]), receive_ns=T0 + HOUR_NS + 2)


def test_one_sample_from_the_future_does_not_blind_the_rule() -> None:
    live = Live(rule())
    live.see(frame(3, T0 + 9 * HOUR_NS, [20.0]), receive_ns=T0)

    assert [(RAISED, T0 + S)] == live.see(frame(3, T0 + S, [95.0]), receive_ns=T0 + S)


def test_a_clock_of_the_gateway_that_steps_back_does_not_blind_the_rule() -> None:
    live = Live(rule())
    live.value(20.0, T0 + HOUR_NS)

    assert [(RAISED, T0)] == live.value(95.0, T0)


def test_an_on_delay_asks_for_the_whole_time() -> None:
    live = Live(rule(on_delay_ns=10 * S))

    assert [] == live.value(95.0, T0)
    assert [] == live.value(95.0, T0 + 9 * S)
    assert [] == live.value(20.0, T0 + 9 * S + 1)
    assert [] == live.value(95.0, T0 + 10 * S)
    assert [] == live.tick(T0 + 20 * S - 1)
    assert [(RAISED, T0 + 20 * S)] == live.tick(T0 + 20 * S)


def test_a_delay_passes_inside_one_late_frame_too() -> None:
    """Backlog of a minute arrives at once: the samples' own times count."""
    live = Live(rule(on_delay_ns=10 * S))

    found = live.see(frame(3, [T0, T0 + 11 * S], [95.0, 95.0]), receive_ns=T0 + 60 * S)

    assert [(RAISED, T0 + 10 * S)] == found


def test_a_delay_that_passed_between_two_frames_needs_no_tick() -> None:
    """Replay has no ticks: the next record's receive time stands for them."""
    live = Live(rule(on_delay_ns=10 * S))
    live.value(95.0, T0)

    assert [(RAISED, T0 + 10 * S), (RETURNED, T0 + 20 * S)] == live.value(20.0, T0 + 20 * S)


def test_an_off_delay_holds_the_alarm() -> None:
    live = Live(rule(off_delay_ns=5 * S))
    live.value(95.0, T0)

    assert [] == live.value(20.0, T0 + S)
    assert [] == live.value(95.0, T0 + 2 * S)
    assert [] == live.value(20.0, T0 + 3 * S)
    assert [(RETURNED, T0 + 8 * S)] == live.tick(T0 + 30 * S)


def test_a_delay_does_not_end_while_the_point_is_bad() -> None:
    live = Live(rule(on_delay_ns=10 * S))
    live.value(95.0, T0)
    live.value(0.0, T0 + S, quality=Quality.BAD)

    assert [] == live.tick(T0 + 60 * S)
    assert [(RAISED, T0 + 10 * S)] == live.value(95.0, T0 + 61 * S)


def test_a_delay_that_ended_while_the_point_was_bad_is_judged_by_receive_time() -> None:
    """The source's clock stands, so so the receive time alone says when the delay is over."""
    for passed_ns, expected in ((10 * S - 1, []), (10 * S, [(RAISED, T0 + 10 * S)])):
        live = Live(rule(on_delay_ns=10 * S))
        live.value(95.0, T0)
        live.value(0.0, T0 + S, quality=Quality.BAD)

        assert expected == live.see(frame(3, T0 + 2 * S, [95.0]), receive_ns=T0 + passed_ns)


def test_int64_is_compared_in_int64() -> None:
    """2**53 + 1 is not a float64: a counter must not be pushed through one."""
    live = Live(rule(level=2**53), kind=ValueKind.INT)

    assert [] == live.see(frame(3, T0, [2**53]))
    assert [(RAISED, T0 + 1)] == live.see(frame(3, T0 + 1, [2**53 + 1]))
    assert [(RETURNED, T0 + 2)] == live.see(frame(3, T0 + 2, [2**53]))


def test_whole_numbers_against_a_broken_level() -> None:
    live = Live(rule(level=79.5), rule(level=1.5, side=Side.LOW), kind=ValueKind.INT)

    assert [(RAISED, T0)] == live.see(frame(3, T0, [80]))
    assert [RETURNED, RAISED] == [kind for kind, _ in live.see(frame(3, T0 + 1, [1]))]
    assert [(RETURNED, T0 + 2)] == live.see(frame(3, T0 + 2, [2]))


def test_a_communication_rule_is_active_at_zero() -> None:
    built_in = communication_rule(UUID(int=3), "system/node/line/plc/connected")
    table = RuleTable.build([built_in], {UUID(int=3): point(3, ValueKind.INT)})
    state = RuleState.fresh(table)

    kinds = [
        transition.kind
        for part in (frame(3, T0, [1]), frame(3, T0 + 1, [0]), frame(3, T0 + 2, [1]))
        for transition in evaluate(table, state, part, int(part.time_ns[0]))
    ]

    assert [RAISED, RETURNED] == kinds


def test_points_without_rules_and_texts_are_passed_over() -> None:
    live = Live(rule())

    assert [] == live.see(frame([0, 2, 4, 9_999], T0, [95.0, nan, -inf, 95.0]))
    assert [] == live.see(frame(3, T0, ["95"]))
    assert [] == live.see(frame(3, T0, []), receive_ns=T0)


# --- properties

RULES = (
    rule(0, 5, hysteresis=2),
    rule(0, 8, on_delay_ns=3),
    rule(0, 2, Side.LOW, off_delay_ns=2, hysteresis=1),
    rule(1, 5, on_delay_ns=2, off_delay_ns=2),
    rule(1, 5.5, Side.LOW),
)
ROWS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(T0, T0 + 12),
        st.one_of(st.integers(0, 10), st.just(nan)),
        st.sampled_from([192, 192, 192, 64, 0, 2]),
        st.sampled_from([0, 0, 0, 0, 4, 16]),
    ),
    max_size=30,
)


def columns(rows: list[tuple[int, int, float, int, int]]) -> Frame:
    handle, time_ns, value, quality, flags = zip(*rows, strict=True)
    return frame(handle, time_ns, [float(number) for number in value], quality, flags)


def fresh() -> tuple[RuleTable, RuleState]:
    table = RuleTable.build(RULES, {UUID(int=h): point(h) for h in range(3)})
    return table, RuleState.fresh(table)


def run(rows: list[tuple[int, int, float, int, int]], sizes: list[int]) -> list[Transition]:
    table, state = fresh()
    found: list[Transition] = []
    begin = 0
    for size in [*sizes, len(rows)]:
        if part := rows[begin : begin + size]:
            found += evaluate(table, state, columns(part), T0 + 20)
        begin += size
    return found


@given(ROWS, st.lists(st.integers(1, 7), max_size=8))
def test_one_frame_and_any_split_of_it_agree(
    rows: list[tuple[int, int, float, int, int]], sizes: list[int]
) -> None:
    whole = run(rows, [])

    assert whole == run(rows, sizes)
    assert whole == run(rows, [1] * len(rows))


@given(ROWS, ROWS, st.integers(0, 9))
def test_a_snapshot_goes_on_as_if_nothing_had_happened(
    before: list[tuple[int, int, float, int, int]],
    after: list[tuple[int, int, float, int, int]],
    wait_ns: int,
) -> None:
    table, state = fresh()
    if before:
        evaluate(table, state, columns(before), T0 + 12)
    document = json.loads(json.dumps(export_state(table, state)))
    again, changed = import_state(table, document)

    assert set() == changed
    for quiet in ("quiet_float", "quiet_int"):
        assert np.array_equal(getattr(state, quiet), getattr(again, quiet))
    if after:
        part = columns(after)
        now_ns = T0 + 12 + wait_ns
        expected = evaluate(table, state, part, now_ns) + tick(table, state, now_ns + 9)
        assert expected == evaluate(table, again, part, now_ns) + tick(table, again, now_ns + 9)


@given(ROWS)
def test_raised_and_returned_alternate_and_episodes_count(
    rows: list[tuple[int, int, float, int, int]],
) -> None:
    for index in range(len(RULES)):
        flips = [t for t in run(rows, []) if t.rule == index and t.kind in (RAISED, RETURNED)]

        assert [(RAISED, RETURNED)[n % 2] for n in range(len(flips))] == [t.kind for t in flips]
        assert [n // 2 + 1 for n in range(len(flips))] == [t.episode for t in flips]


def test_a_changed_rule_starts_afresh_but_its_episodes_count_on() -> None:
    live = Live(rule(name="limit"))
    live.value(95.0, T0)
    document = export_state(live.table, live.state)
    other = Live(rule(name="limit", level=70))

    state, changed = import_state(other.table, document)

    assert {other.table.rules[0].id} == changed
    assert ([False], [1]) == (state.is_active, state.episode)
