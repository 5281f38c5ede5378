"""The physics: coupled, deterministic, obedient to commands, and normal at the start."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Callable

import pytest

from penstock.simulator.memory import LIST, Memory, read_cells
from penstock.simulator.pump import State
from penstock.simulator.signals import commands, signals
from penstock.simulator.waterworks import METRES_PER_BAR, STEP_S, Waterworks

PLANT = LIST.parents[1]


def run(works: Waterworks, seconds: float) -> Waterworks:
    for _ in range(round(seconds / STEP_S)):
        works.step()
    return works


def rows() -> list[dict[str, str]]:
    with LIST.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def path_of(row: dict[str, str]) -> str:
    return f"{row['asset']}/{row['name']}"


def test_a_seed_gives_the_same_values() -> None:
    first, second, other = (run(Waterworks(seed), 60) for seed in (7, 7, 8))

    assert signals(first) == signals(second)
    assert signals(first) != signals(other)


def test_the_list_and_the_plant_name_the_same_points() -> None:
    works = Waterworks()
    listed = {path_of(row).removeprefix("Lakeside Water/"): row for row in rows()}

    assert set(signals(works)) == set(listed)
    assert set(commands(works)) == {p for p, row in listed.items() if row["writable"] == "true"}
    assert 55 <= len(listed) <= 70


def test_no_two_points_share_a_register() -> None:
    places = [(c.table, c.begin + i) for c in read_cells() for i in range(c.registers)]

    assert len(places) == len(set(places))


@pytest.mark.parametrize("seconds", [0, 600])
def test_everything_is_normal_at_the_start_except_the_strainer(seconds: int) -> None:
    values = signals(run(Waterworks(), seconds))
    strange = []
    for row in rows():
        value = values[path_of(row).removeprefix("Lakeside Water/")]
        if row["normal_low"] and not (
            float(row["normal_low"]) <= float(value) <= float(row["normal_high"])
        ):
            strange.append(path_of(row))

    allowed = ["Lakeside Water/Intake/S-101/differential-pressure"] if seconds else []
    assert allowed == strange


def violated(works: Waterworks) -> list[str]:
    document = tomllib.loads((PLANT / "rules" / "limits.toml").read_text("utf-8"))
    values = signals(works)
    found = []
    for rule in document["rules"]:
        value = float(values[rule["point"].removeprefix("Lakeside Water/")])
        is_high = rule["side"] == "high"
        if value > rule["level"] if is_high else value < rule["level"]:
            found.append(rule["name"])
    return found


def test_one_alarm_comes_within_a_minute_and_a_backwash_clears_it() -> None:
    works = Waterworks()

    assert [] == violated(works)
    run(works, 60)
    assert ["Strainer clogged"] == violated(works)
    works.is_backwash_wanted = True
    run(works, 70)
    assert [] == violated(works)
    assert 113 == works.backwashes


def test_rules_name_points_and_say_what_to_do_in_two_languages() -> None:
    document = tomllib.loads((PLANT / "rules" / "limits.toml").read_text("utf-8"))
    paths = {path_of(row) for row in rows()}

    for rule in document["rules"]:
        assert rule["point"] in paths
        assert 1 <= rule["priority"] <= 4
        assert rule["time_to_respond_s"] > 0
        for part in ("cause", "consequence", "response"):
            assert {"en", "de"} == set(rule[part])
            assert all(rule[part].values())


def test_pressure_follows_its_set_point() -> None:
    works = Waterworks()
    power_kw = works.p203.power_kw
    works.p203.setpoint = 4.6 * METRES_PER_BAR
    run(works, 240)

    assert abs(works.p203.discharge_m / METRES_PER_BAR - 4.6) < 0.1
    assert works.p203.power_kw < power_kw


def stop_high_lift(works: Waterworks) -> None:
    works.p203.is_wanted = False


def close_valve(works: Waterworks) -> None:
    works.valve_wanted_percent = 0.0


@pytest.mark.parametrize("act", [stop_high_lift, close_valve])
def test_the_network_loses_its_pressure(act: Callable[[Waterworks], None]) -> None:
    works = Waterworks()
    act(works)
    run(works, 120)

    assert works.network_m < 25
    assert works.p203.flow_m3h < 40


def test_a_stopped_pump_cools_and_stands_still() -> None:
    works = Waterworks()
    winding_cel, energy_kwh = works.p203.winding_cel, works.p203.energy_kwh
    works.p203.is_wanted = False
    run(works, 600)

    assert State.STOP == works.p203.state
    assert works.p203.winding_cel < winding_cel - 5
    assert works.p203.energy_kwh - energy_kwh < 1
    assert 0 == works.p203.flow_m3h
    works.p203.is_wanted = True
    run(works, 120)
    assert State.RUN == works.p203.state


def test_an_empty_tank_trips_the_high_lift_pump_until_it_is_reset() -> None:
    works = Waterworks()
    works.level_m = 0.5
    run(works, 60)

    assert State.FAULT == works.p203.state
    works.level_m = 3.0
    run(works, 1)
    assert State.FAULT == works.p203.state
    works.p203.is_wanted = False
    run(works, 1)
    works.p203.is_wanted = True
    run(works, 60)
    assert State.RUN == works.p203.state


def test_the_valve_takes_half_a_minute() -> None:
    works = Waterworks()
    works.valve_wanted_percent = 50.0
    run(works, 7.4)

    assert 50.0 < works.valve_percent < 80.0
    run(works, 15)
    assert 50.0 == pytest.approx(works.valve_percent)


def test_a_write_outside_its_range_changes_nothing() -> None:
    works = Waterworks()
    memory = Memory(works, read_cells())
    cell = next(cell for cell in read_cells() if cell.path.endswith("P-203/pressure-setpoint"))
    before = works.p203.setpoint

    assert not memory.write(cell.table, cell.begin, list(cell.encode(9.0)))
    assert not memory.write(cell.table, cell.begin, [0x7FC0, 0])
    assert before == works.p203.setpoint
    assert memory.write(cell.table, cell.begin, list(cell.encode(5.0)))
    assert 5.0 * METRES_PER_BAR == pytest.approx(works.p203.setpoint)


@pytest.mark.slow
def test_six_hours_pass_without_nonsense() -> None:
    """Nobody acts for six hours; the strainer stays clogged, and every value stays physical."""
    works = Waterworks(3)
    for _ in range(6):
        run(works, 3_600)
        for name, value in signals(works).items():
            assert isinstance(value, str) or -10 <= value < 1e6, name
        assert 0.0 <= works.level_m <= 5.0
