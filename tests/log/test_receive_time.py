"""Time for retention stands still while the clock cannot be believed."""

from __future__ import annotations

import pytest

from penstock.log.receive_time import DAY_NS, HOUR_NS, ReceiveTime

MINUTE_NS = HOUR_NS // 60
T0 = 1_790_000_000 * 10**9
YEAR_NS = 365 * DAY_NS


class Machine:
    """Its two clocks, and a group each minute."""

    def __init__(self, time: ReceiveTime, utc_ns: int = T0) -> None:
        self.time = time
        self.utc_ns = utc_ns
        self.monotonic_ns = 5 * HOUR_NS

    def run(self, minutes: int) -> None:
        for _ in range(minutes):
            self.time.note(self.utc_ns, self.monotonic_ns)
            self.utc_ns += MINUTE_NS
            self.monotonic_ns += MINUTE_NS

    def jump(self, by_ns: int) -> None:
        self.utc_ns += by_ns


@pytest.fixture
def machine() -> Machine:
    made = Machine(ReceiveTime(0))
    made.run(10)
    return made


def test_it_follows_a_clock_that_runs(machine: Machine) -> None:
    assert machine.time.now_ns == T0 + 9 * MINUTE_NS
    assert not machine.time.is_paused


@pytest.mark.parametrize("by_ns", [-HOUR_NS // 2, HOUR_NS // 2], ids=["back", "forth"])
def test_half_an_hour_is_no_jump(machine: Machine, by_ns: int) -> None:
    machine.jump(by_ns)
    machine.run(3)
    assert not machine.time.is_paused


@pytest.mark.parametrize("by_ns", [10 * YEAR_NS, 2 * HOUR_NS, -2 * HOUR_NS, -10 * YEAR_NS])
def test_a_jump_stops_it_until_the_clock_is_back(machine: Machine, by_ns: int) -> None:
    before = machine.time.now_ns
    machine.jump(by_ns)
    machine.run(30)

    assert machine.time.is_paused
    assert before == machine.time.now_ns
    assert machine.time.jump is not None
    assert by_ns == machine.time.jump.found_ns - machine.time.jump.expected_ns

    machine.jump(-by_ns)
    machine.run(2)
    assert not machine.time.is_paused
    assert before + 32 * MINUTE_NS == machine.time.now_ns


def test_it_goes_on_after_a_steady_day_or_when_a_person_says_so(machine: Machine) -> None:
    machine.jump(YEAR_NS)
    machine.run(24 * 60)
    assert machine.time.is_paused
    machine.run(1)
    assert not machine.time.is_paused
    assert machine.utc_ns - MINUTE_NS == machine.time.now_ns

    machine.jump(YEAR_NS)
    machine.run(1)
    machine.time.confirm()
    machine.run(1)
    assert machine.utc_ns - MINUTE_NS == machine.time.now_ns


def test_a_clock_that_jumps_again_and_again_is_never_steady(machine: Machine) -> None:
    for _ in range(5):
        machine.jump(YEAR_NS)
        machine.run(23 * 60)
    assert machine.time.is_paused


@pytest.mark.parametrize(
    ("off_ns", "is_paused"),
    [(30 * DAY_NS, False), (40 * DAY_NS, True), (-HOUR_NS // 2, False), (-DAY_NS, True)],
)
def test_a_machine_may_have_been_off_for_a_month(off_ns: int, is_paused: bool) -> None:
    time = ReceiveTime(T0)
    Machine(time, T0 + off_ns).run(2)
    assert is_paused == time.is_paused


def test_a_jump_is_remembered_by_the_next_process(machine: Machine) -> None:
    """Or a restart would take the wrong time for granted."""
    machine.jump(YEAR_NS)
    machine.run(1)

    after = ReceiveTime(machine.time.now_ns, machine.time.jump)
    Machine(after, machine.utc_ns).run(24 * 60)
    assert after.is_paused
