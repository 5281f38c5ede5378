"""Lakeside Water: lake, strainer, three pumps, tank, valve, chlorine and two pressure zones.

All is integrated with one fixed step, so that a seed gives the same values at
the same step on every machine. The strainer clogs for ever; a backwash clears it.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from penstock.simulator.pump import Pump, PumpData

STEP_S = 0.2
DAY_S = 86_400.0
METRES_PER_BAR = 10.197
LIFT_M = 12.0
PIPE_LOSS = 3.3e-5
STRAINER_LOSS = 1.7e-5
TANK_AREA_M2 = 150.0
TANK_HEIGHT_M = 5.0
LEVEL_DRY_M = 0.6
LEVEL_LOW_M = 1.5
LEVEL_HIGH_M = 4.6
VALVE_LOSS = 1.1e-5
VALVE_TRAVEL_PER_S = 100.0 / 30.0
NETWORK_DEMAND = 31.6
NETWORK_LIFT_M = 8.0  # consumers live above the works: no pump, no water
HIGH_ZONE_DEMAND = 9.3
HIGH_ZONE_LIFT_M = 20.0
NETWORK_STORE = 9.0
HIGH_ZONE_STORE = 3.0
START_STRAINER_BAR = 0.346  # the alarm comes at 0.35
CLOG_PER_S = 1.2e-3
CLOG_MAX = 3.0
BACKWASH_S = 60.0
CHLORINE_LAG_S = 90.0
CHLORINE_DECAY_MGL = 0.14
SETTLE_STEPS = 3_000
SETTLE_HEAT = 60.0

INTAKE = PumpData(28.0, 20.0, 320.0, 30.0, 0.15)
HIGH_LIFT = PumpData(75.0, 58.0, 320.0, 90.0, 0.4)
BOOSTER = PumpData(38.0, 28.0, 80.0, 15.0, 0.6)


@dataclass(slots=True)
class Waterworks:
    """The whole plant; `step` moves it by STEP_S, commands are plain attributes."""

    seed: int = 1
    steps: int = 0
    p101: Pump = field(default_factory=lambda: Pump(INTAKE, 0.25, 0.002, 3.2))
    p203: Pump = field(default_factory=lambda: Pump(HIGH_LIFT, 0.002, 0.0008, 5.2 * METRES_PER_BAR))
    p301: Pump = field(default_factory=lambda: Pump(BOOSTER, 0.003, 0.0012, 7.5 * METRES_PER_BAR))
    level_m: float = 3.2
    network_m: float = 51.0
    high_zone_m: float = 76.0
    valve_percent: float = 100.0
    valve_wanted_percent: float = 100.0
    clog: float = 1.3
    is_backwash_wanted: bool = False
    backwash_left_s: float = 0.0
    backwashes: int = 112
    chlorine_mgl: float = 0.5
    chlorine_setpoint_mgl: float = 0.5
    dose_trim_mgl: float = 0.0
    demand_noise: float = 0.0
    random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311
        for pump, energy_kwh, hours in (
            (self.p101, 184_231.0, 8_714.0),
            (self.p203, 612_094.0, 9_127.0),
            (self.p301, 88_410.0, 8_950.0),
        ):
            pump.energy_kwh, pump.run_s = energy_kwh, hours * 3600.0
        counters = [(pump, pump.energy_kwh, pump.run_s) for pump in self.pumps]
        for _ in range(SETTLE_STEPS):
            self._move(SETTLE_HEAT)
            self._hold_start()
        for pump, energy_kwh, run_s in counters:
            pump.energy_kwh, pump.run_s = energy_kwh, run_s
        self.steps = 0

    @property
    def pumps(self) -> tuple[Pump, Pump, Pump]:
        """In the direction of the water."""
        return self.p101, self.p203, self.p301

    @property
    def time_s(self) -> float:
        """Seconds since the start."""
        return self.steps * STEP_S

    @property
    def is_backwashing(self) -> bool:
        """From the command until the strainer is clean."""
        return self.is_backwash_wanted or self.backwash_left_s > 0.0

    @property
    def demand(self) -> float:
        """Consumers relative to the mean: the day's curve, a shorter swell, and chance."""
        day = 0.12 * math.sin(2.0 * math.pi * (self.time_s / DAY_S + 0.1))
        swell = 0.05 * math.sin(2.0 * math.pi * self.time_s / 1_260.0)
        return 1.0 + day + swell + self.demand_noise

    @property
    def strainer_m(self) -> float:
        """Differential pressure over the strainer."""
        return STRAINER_LOSS * (1.0 + self.clog) * self.p101.flow_m3h**2

    @property
    def dose_gh(self) -> float:
        """Chlorine fed to the raw water."""
        wanted_mgl = self.chlorine_setpoint_mgl + CHLORINE_DECAY_MGL + self.dose_trim_mgl
        return max(wanted_mgl, 0.0) * self.p101.flow_m3h

    def step(self) -> None:
        """Move by STEP_S."""
        self._move(1.0)
        self.steps += 1

    def _move(self, heat_factor: float) -> None:
        self.demand_noise += 0.002 * self.random.gauss(0.0, 1.0) - 0.004 * self.demand_noise
        self._clog_strainer()
        self._control()
        self._flow()
        self._mix_chlorine()
        for pump in self.pumps:
            pump.motor(STEP_S, heat_factor)

    def _hold_start(self) -> None:
        """Let the plant settle into a balance with the tank half full and the strainer dirty."""
        self.level_m = self.p101.setpoint
        self.p101.integral += 1e-5 * (self.p203.flow_m3h - self.p101.flow_m3h)
        flow_m3h = max(self.p101.flow_m3h, 100.0)
        self.clog = START_STRAINER_BAR * METRES_PER_BAR / STRAINER_LOSS / flow_m3h**2 - 1.0

    def _clog_strainer(self) -> None:
        if self.is_backwash_wanted:
            self.is_backwash_wanted = False
            if self.backwash_left_s <= 0.0:
                self.backwash_left_s = BACKWASH_S
                self.backwashes += 1
        if self.backwash_left_s > 0.0:
            self.backwash_left_s -= STEP_S
            self.clog -= self.clog * STEP_S / 12.0
            return
        dirt = self.p101.flow_m3h / 300.0
        self.clog += CLOG_PER_S * STEP_S * dirt * (1.0 - self.clog / CLOG_MAX)

    def _control(self) -> None:
        is_dry = self.level_m < LEVEL_DRY_M
        self.p101.control(self.level_m, STEP_S, is_blocked=False)
        self.p203.control(self.p203.discharge_m, STEP_S, is_blocked=is_dry)
        self.p301.control(self.high_zone_m, STEP_S, is_blocked=self.network_m < 10.0)
        travel = VALVE_TRAVEL_PER_S * STEP_S
        way = self.valve_wanted_percent - self.valve_percent
        self.valve_percent += min(max(way, -travel), travel)

    def _flow(self) -> None:
        raw, high, boost = self.pumps
        raw.flow(-self.strainer_m, LIFT_M + PIPE_LOSS * raw.flow_m3h**2, STEP_S)
        opening = max(self.valve_percent / 100.0, 0.01)
        valve_drop = VALVE_LOSS / opening**2 * high.flow_m3h**2
        valve_drop = min(valve_drop, high.data.head_zero_m)
        high.flow(self.level_m, self.network_m + valve_drop, STEP_S)
        boost.flow(self.network_m, self.high_zone_m, STEP_S)
        used = NETWORK_DEMAND * self.demand * math.sqrt(max(self.network_m - NETWORK_LIFT_M, 0.0))
        high_m = max(self.high_zone_m - HIGH_ZONE_LIFT_M, 0.0)
        used_high = HIGH_ZONE_DEMAND * self.demand * math.sqrt(high_m)
        surplus = high.flow_m3h - used - boost.flow_m3h
        self.network_m = max(self.network_m + surplus * STEP_S / NETWORK_STORE, 0.0)
        surplus = boost.flow_m3h - used_high
        self.high_zone_m = max(self.high_zone_m + surplus * STEP_S / HIGH_ZONE_STORE, 0.0)
        gain_m3h = raw.flow_m3h - high.flow_m3h
        level_m = self.level_m + gain_m3h * STEP_S / 3600.0 / TANK_AREA_M2
        self.level_m = min(max(level_m, 0.0), TANK_HEIGHT_M)

    def _mix_chlorine(self) -> None:
        flow = self.p101.flow_m3h
        fed_mgl = self.dose_gh / flow if flow > 5.0 else 0.0
        arrived = max(fed_mgl - CHLORINE_DECAY_MGL * (1.0 + 0.05 * self.demand_noise), 0.0)
        rate = STEP_S / CHLORINE_LAG_S * min(flow / 300.0, 1.0)
        self.chlorine_mgl += (arrived - self.chlorine_mgl) * rate
        error = self.chlorine_setpoint_mgl - self.chlorine_mgl
        trim = self.dose_trim_mgl + 0.0005 * error * STEP_S * (flow > 5.0)
        self.dose_trim_mgl = min(max(trim, -0.3), 0.3)
