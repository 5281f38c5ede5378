"""What the instruments show: every point of the list by path, and what commands do.

Measured values carry the noise of their instrument; counters, states and set
points do not. The paths are those of plant/connectors/lakeside.csv.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.simulator.pump import Pump, State
from penstock.simulator.waterworks import (
    LEVEL_HIGH_M,
    LEVEL_LOW_M,
    METRES_PER_BAR,
    Waterworks,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Value = float | int | str
FIRMWARE = "LSW 2.4.1"
ROOT = "Lakeside Water"
SCAN_MS = 20


def signals(works: Waterworks) -> dict[str, Value]:
    """Value of each point by path without the root."""
    noise = works.random.gauss
    tank, line = "High-lift/T-201", "High-lift/V-203"
    values: dict[str, Value] = {
        "Intake/S-101/differential-pressure": works.strainer_m / METRES_PER_BAR + noise(0, 0.0006),
        "Intake/S-101/backwash": int(works.is_backwashing),
        "Intake/S-101/backwash-count": works.backwashes,
        f"{tank}/level": works.level_m + noise(0, 0.001),
        f"{tank}/level-setpoint": works.p101.setpoint,
        f"{tank}/level-high": int(works.level_m > LEVEL_HIGH_M),
        f"{tank}/level-low": int(works.level_m < LEVEL_LOW_M),
        f"{line}/opening": works.valve_percent,
        f"{line}/opening-setpoint": works.valve_wanted_percent,
        f"{line}/open": int(works.valve_percent > 98.0),
        f"{line}/closed": int(works.valve_percent < 2.0),
        "High-lift/AT-201/chlorine": works.chlorine_mgl + noise(0, 0.003),
        "High-lift/AT-201/chlorine-setpoint": works.chlorine_setpoint_mgl,
        "High-lift/AT-201/dosing-rate": works.dose_gh,
        "High-lift/AT-201/water-temperature": 11.4 + 0.6 * works.demand_noise + noise(0, 0.01),
        "High-lift/network-pressure": works.network_m / METRES_PER_BAR + noise(0, 0.006),
        "High-lift/P-203/pressure-setpoint": works.p203.setpoint / METRES_PER_BAR,
        "Booster/P-301/pressure-setpoint": works.p301.setpoint / METRES_PER_BAR,
        "PLC-1/firmware": FIRMWARE,
        "PLC-1/heartbeat": int(works.time_s) % 65_536,
        "PLC-1/scan-time": SCAN_MS + works.steps % 3,
    }
    names = ("Intake/P-101", "High-lift/P-203", "Booster/P-301")
    for name, pump in zip(names, works.pumps, strict=True):
        values |= {f"{name}/{key}": value for key, value in _pump(pump, noise).items()}
    return values


def commands(works: Waterworks) -> dict[str, Callable[[float], None]]:
    """What writing a point does, by path without the root."""

    def setter(target: object, name: str, factor: float = 1.0) -> Callable[[float], None]:
        return lambda value: setattr(target, name, value * factor)

    def switch(target: object, name: str) -> Callable[[float], None]:
        return lambda value: setattr(target, name, bool(value))

    return {
        "Intake/P-101/run-command": switch(works.p101, "is_wanted"),
        "High-lift/P-203/run-command": switch(works.p203, "is_wanted"),
        "Booster/P-301/run-command": switch(works.p301, "is_wanted"),
        "Intake/S-101/backwash": switch(works, "is_backwash_wanted"),
        "High-lift/T-201/level-setpoint": setter(works.p101, "setpoint"),
        "High-lift/P-203/pressure-setpoint": setter(works.p203, "setpoint", METRES_PER_BAR),
        "Booster/P-301/pressure-setpoint": setter(works.p301, "setpoint", METRES_PER_BAR),
        "High-lift/V-203/opening-setpoint": setter(works, "valve_wanted_percent"),
        "High-lift/AT-201/chlorine-setpoint": setter(works, "chlorine_setpoint_mgl"),
    }


def _pump(pump: Pump, noise: Callable[[float, float], float]) -> dict[str, Value]:
    is_turning = pump.speed > 0.02
    return {
        "run-command": int(pump.is_wanted),
        "state": int(pump.state),
        "fault": int(pump.state is State.FAULT),
        "speed": 100.0 * pump.speed,
        "flow": max(pump.flow_m3h + noise(0, 0.4) * (pump.flow_m3h > 1.0), 0.0),
        "suction-pressure": pump.suction_m / METRES_PER_BAR + noise(0, 0.003),
        "discharge-pressure": pump.discharge_m / METRES_PER_BAR + noise(0, 0.008),
        "power": pump.power_kw * (1.0 + noise(0, 0.002)),
        "current": pump.current_a * (1.0 + noise(0, 0.002)),
        "winding-temperature": pump.winding_cel + noise(0, 0.05),
        "bearing-temperature": pump.bearing_cel + noise(0, 0.05),
        "vibration": max(pump.vibration_mms * (1.0 + noise(0, 0.02)), 0.02 * is_turning),
        "energy": int(pump.energy_kwh),
        "run-hours": int(pump.run_s / 3600.0),
    }
