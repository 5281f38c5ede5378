"""The field's decisions without a clock, a wire or a loop: loss, back-off, schedule."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.node.field.backoff import STEP_S_MAX, backoff_s
from penstock.node.field.loss import (
    LOSS_AFTER_NS_MAX,
    LOSS_AFTER_NS_MIN,
    Change,
    DeviceState,
    default_loss_after_ns,
    on_answer,
    on_silence,
    on_time,
)
from penstock.node.field.schedule import Schedule
from penstock.plugin import PollGroup

S = 1_000_000_000
NEW = DeviceState(loss_after_ns=3 * S)


def up(at_ns: int = 0) -> DeviceState:
    return on_answer(NEW, at_ns)[0]


def test_the_first_answer_is_a_return() -> None:
    state, change = on_answer(NEW, 5)

    assert (Change.BACK, True, 5) == (change, state.is_connected, state.answered_ns)


def test_a_device_that_never_answered_is_lost_at_its_first_silence() -> None:
    """It has no samples that could be mistaken for fresh ones; the screen need not wait."""
    state, change = on_silence(NEW, 5)

    assert (Change.LOST, False) == (change, state.is_connected)
    assert Change.NONE is on_silence(state, 10 * S)[1]


def test_one_missed_answer_is_no_loss() -> None:
    state, change = on_silence(up(), S)

    assert Change.NONE is change
    assert Change.NONE is on_answer(state, 2 * S)[1]


def test_silence_becomes_a_loss_once_and_in_time() -> None:
    state, _ = on_silence(up(), S)

    assert Change.NONE is on_time(state, 3 * S - 1)[1]

    state, change = on_time(state, 3 * S)

    assert Change.LOST is change
    assert Change.NONE is on_time(state, 4 * S)[1]
    assert Change.NONE is on_silence(state, 5 * S)[1]
    assert Change.BACK is on_answer(state, 6 * S)[1]


def test_a_slow_poll_is_no_silence() -> None:
    """A device that is asked once a minute has not failed in the second minute."""
    assert Change.NONE is on_time(up(), 3600 * S)[1]


@given(st.lists(st.tuples(st.sampled_from("ast"), st.integers(0, 5 * S)), max_size=40))
def test_losses_and_returns_take_turns(steps: list[tuple[str, int]]) -> None:
    state, now_ns, changes = NEW, 0, []
    for step, passed_ns in steps:
        now_ns += passed_ns
        act = {"a": on_answer, "s": on_silence, "t": on_time}[step]
        state, change = act(state, now_ns)
        if change is not Change.NONE:
            changes.append(change)

    assert all(one is not two for one, two in pairwise(changes))


@pytest.mark.parametrize(
    ("period_s", "loss_s"), [(0.1, 2.0), (0.5, 2.0), (1.0, 3.5), (2.0, 4.0), (60.0, 4.0)]
)
def test_the_screen_says_stale_before_it_says_bad(period_s: float, loss_s: float) -> None:
    """Stale is three periods; between two and four seconds wins over it."""
    found = default_loss_after_ns(int(period_s * S))

    assert loss_s * S == found
    assert LOSS_AFTER_NS_MIN <= found <= LOSS_AFTER_NS_MAX
    assert found > 3 * period_s * S or found == LOSS_AFTER_NS_MAX


def test_attempts_back_off_to_a_minute() -> None:
    rng = random.Random(1)
    steps = [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]
    found = [backoff_s(failures, rng) for failures in range(10)]

    for wanted, pause_s in zip(steps, found, strict=True):
        assert 0.8 * wanted <= pause_s <= 1.2 * wanted


@given(st.integers(0, 10_000), st.integers())
def test_a_back_off_is_bounded_however_long_it_lasts(failures: int, seed: int) -> None:
    assert 0 <= backoff_s(failures, random.Random(seed)) <= 1.2 * STEP_S_MAX


def group(name: str, period_s: float = 1.0) -> PollGroup:
    return PollGroup(name, "d", int(period_s * S), (1,), 1)


def test_a_late_answer_does_not_drift() -> None:
    schedule = Schedule([group("a")], now_ns=0)
    due = []
    for number in range(5):
        due.append(schedule.next_ns)
        schedule.take(schedule.next_ns + number * 100_000_000)

    assert [0, S, 2 * S, 3 * S, 4 * S] == due
    assert 0 == schedule.missed


def test_missed_periods_are_counted_and_not_caught_up() -> None:
    schedule = Schedule([group("a")], now_ns=0)

    schedule.take(int(3.5 * S))

    assert (3, 4 * S) == (schedule.missed, schedule.next_ns)


def test_everything_is_read_at_once_then_phases_are_spread_over_the_period() -> None:
    """A point of a slow group must not look bad for its first minute."""
    schedule = Schedule([group(name) for name in "abcd"], now_ns=100)
    due = []
    for _ in range(8):
        due.append(schedule.next_ns - 100)
        schedule.take(schedule.next_ns)

    assert [0, 0, 0, 0, S // 4, S // 2, 3 * S // 4, S] == due


def test_each_rate_gets_its_share() -> None:
    schedule = Schedule([group("fast", 0.1), group("slow", 1.0)], now_ns=0)
    taken: Counter[str] = Counter()
    while schedule.next_ns < 10 * S:
        taken[schedule.take(schedule.next_ns).name] += 1

    assert {"fast": 100, "slow": 11} == taken


def test_no_groups_is_an_empty_schedule() -> None:
    assert not Schedule([], 0)
