"""One pump with its motor: affinity laws, a PI controller, heat, vibration and counters.

Head, flow and power are coupled by the speed (n, n squared, n cubed), so that a
change anywhere shows everywhere, with the delay that iron and water have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum

AMBIENT_CEL = 21.0
RAMP_PER_S = 0.06
SPEED_MIN = 0.3
WINDING_TRIP_CEL = 140.0
WATTS_PER_FLOW_HEAD = 2.725  # 1 m3/h lifted by 1 m
VOLTS_ROOT_3_COS = 400.0 * math.sqrt(3.0) * 0.86
EFFICIENCY_BEST = 0.81
EFFICIENCY_MIN = 0.12
MOTOR_EFFICIENCY = 0.94
WINDING_TIME_S = 900.0
BEARING_TIME_S = 1500.0


class State(IntEnum):
    """What the drive says; the point list gives the labels."""

    STOP = 0
    STARTING = 1
    RUN = 2
    STOPPING = 3
    FAULT = 4


@dataclass(frozen=True, slots=True)
class PumpData:
    """Name plate: shut-off head, head and flow at the best point, rated power, inertia of water."""

    head_zero_m: float
    head_best_m: float
    flow_best_m3h: float
    power_rated_kw: float
    inertia: float

    @property
    def loss(self) -> float:
        """Coefficient k of head = n^2 * head_zero - k * flow^2."""
        return (self.head_zero_m - self.head_best_m) / self.flow_best_m3h**2


@dataclass(slots=True)
class Pump:
    """State of one pump; `speed` is relative to the rated speed."""

    data: PumpData
    gain: float
    gain_per_s: float
    setpoint: float
    is_wanted: bool = True
    state: State = State.RUN
    speed: float = 0.9
    integral: float = 0.9
    flow_m3h: float = 0.0
    suction_m: float = 0.0
    discharge_m: float = 0.0
    power_kw: float = 0.0
    winding_cel: float = AMBIENT_CEL
    bearing_cel: float = AMBIENT_CEL
    vibration_mms: float = 0.0
    energy_kwh: float = 0.0
    run_s: float = 0.0
    friction: float = field(default=1.0)

    def control(self, measured: float, dt_s: float, *, is_blocked: bool) -> None:
        """Drive logic and PI controller: where the speed goes in this step."""
        self._follow_command(is_blocked=is_blocked)
        is_on = self.state in (State.STARTING, State.RUN)
        error = self.setpoint - measured
        wanted = self.integral + self.gain * error
        if is_on and SPEED_MIN < wanted < 1.0:
            self.integral += self.gain_per_s * error * dt_s
        elif is_on:
            self.integral = min(max(self.integral, SPEED_MIN), 1.0) + (
                self.gain_per_s * error * dt_s * ((error > 0) != (wanted >= 1.0))
            )
        target = min(max(wanted, SPEED_MIN), 1.0) if is_on else 0.0
        step = RAMP_PER_S * dt_s * (3.0 if self.state is State.FAULT else 1.0)
        self.speed += min(max(target - self.speed, -step), step)

    def flow(self, suction_m: float, discharge_m: float, dt_s: float) -> None:
        """Accelerate the water by the head that is left; a check valve stops the way back."""
        self.suction_m, self.discharge_m = suction_m, discharge_m
        head = self.speed**2 * self.data.head_zero_m - self.data.loss * self.flow_m3h**2
        surplus = head - (discharge_m - suction_m)
        slope = 2.0 * self.data.loss * self.flow_m3h
        self.flow_m3h += dt_s * surplus / (self.data.inertia + dt_s * slope)
        self.flow_m3h = max(self.flow_m3h, 0.0)

    def motor(self, dt_s: float, heat_factor: float = 1.0) -> None:
        """Power, heat and vibration; `heat_factor` shortens the thermal times (for settling)."""
        n = self.speed
        flow_ratio = self.flow_m3h / max(n * self.data.flow_best_m3h, 1e-6)
        efficiency = EFFICIENCY_BEST * (1.0 - (min(flow_ratio, 1.9) - 1.0) ** 2)
        head = max(n * n * self.data.head_zero_m - self.data.loss * self.flow_m3h**2, 0.0)
        hydraulic_kw = WATTS_PER_FLOW_HEAD * self.flow_m3h * head / 1000.0
        idle_kw = 0.16 * self.data.power_rated_kw * n**3
        shaft_kw = max(hydraulic_kw / max(efficiency, EFFICIENCY_MIN), idle_kw)
        self.power_kw = shaft_kw / MOTOR_EFFICIENCY if n > 0.01 else 0.0
        load = self.power_kw / self.data.power_rated_kw
        hot = AMBIENT_CEL + 62.0 * load**1.6
        warm = AMBIENT_CEL + 14.0 * load + 21.0 * n * self.friction
        self.winding_cel += (hot - self.winding_cel) * dt_s * heat_factor / WINDING_TIME_S
        self.bearing_cel += (warm - self.bearing_cel) * dt_s * heat_factor / BEARING_TIME_S
        off_best = (flow_ratio - 1.0) ** 2 if n > 0.05 else 0.0
        rough = 0.55 + 0.9 * n * n * self.friction + 2.4 * n * min(off_best, 1.2)
        self.vibration_mms += (rough * (n > 0.02) - self.vibration_mms) * min(1.0, dt_s / 3.0)
        self.energy_kwh += self.power_kw * dt_s / 3600.0
        self.run_s += dt_s * (self.state is State.RUN)

    @property
    def current_a(self) -> float:
        """Motor current: the active part, and what magnetises even an idle motor."""
        active = 1000.0 * self.power_kw / VOLTS_ROOT_3_COS
        magnetising = 0.3 * 1000.0 * self.data.power_rated_kw / VOLTS_ROOT_3_COS
        return math.hypot(active, magnetising * min(1.0, 2.0 * self.speed))

    def _follow_command(self, *, is_blocked: bool) -> None:
        if self.state is State.FAULT:
            if not self.is_wanted and self.speed < 0.01 and not is_blocked:
                self.state = State.STOP
        elif self.winding_cel > WINDING_TRIP_CEL or (is_blocked and self.is_wanted):
            self.state = State.FAULT
        elif self.is_wanted:
            self.state = State.RUN if self.speed >= SPEED_MIN else State.STARTING
        else:
            self.state = State.STOP if self.speed < 0.01 else State.STOPPING
