"""The plan of a connector: lines, poll groups, and every problem found without connecting."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.connectors.modbus.layout import DeviceMemory, plan_spans
from penstock.connectors.modbus.points import SECOND_NS, compile_point
from penstock.model import ConfigProblem
from penstock.plugin import Line, Plan, PollGroup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.connectors.modbus.config import ModbusConfig, ModbusDevice
    from penstock.connectors.modbus.points import ModbusValue
    from penstock.plugin import PointBinding

# A round trip that a usual PLC needs; a line busy for more than this share is warned of.
ROUND_TRIP_S = 0.002
LOAD_MAX = 0.8


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """A poll group with its points as the wire sees them."""

    group: PollGroup
    points: tuple[ModbusValue, ...]


def make_plan(name: str, config: ModbusConfig, points: Sequence[PointBinding]) -> Plan:
    """Lines by host and port; problems of devices and of all points at once."""
    devices = config.device_by_name(name)
    problems = _device_problems(name, devices)
    values: list[ModbusValue] = []
    by_device: dict[str, list[PointBinding]] = defaultdict(list)
    for binding in points:
        value, found = compile_point(binding, config, devices)
        problems += found
        if value is not None:
            values.append(value)
            by_device[value.device].append(binding)
    lines = []
    for address, names in _names_by_address(devices).items():
        bindings = tuple(binding for device in names for binding in by_device[device])
        if not bindings:
            continue
        groups = group_points([v for v in values if v.device in names], config, devices)
        problems += _load_problems(name, address, groups, config)
        lines.append(Line(address, address, tuple(names), bindings))
    if len(lines) == 1:
        lines = [Line(name, lines[0].address, lines[0].devices, lines[0].points)]
    return Plan(tuple(lines), tuple(problems))


def memory_of(config: ModbusConfig, device: ModbusDevice) -> DeviceMemory:
    """What is known about a device before it was asked."""
    return DeviceMemory(device.registers_max or config.registers_max, config.merge_gap)


def group_points(
    values: Sequence[ModbusValue], config: ModbusConfig, devices: Mapping[str, ModbusDevice]
) -> tuple[GroupPlan, ...]:
    """One group for each device and rate, in the order in which they first appear."""
    chosen: dict[tuple[str, int], list[ModbusValue]] = defaultdict(list)
    for value in values:
        chosen[value.device, value.period_ns].append(value)
    plans = []
    for (device, period_ns), members in chosen.items():
        spans = plan_spans(members, memory_of(config, devices[device]))
        group = PollGroup(
            name=f"{device} every {period_ns / SECOND_NS:g} s",
            device=device,
            period_ns=period_ns,
            points=tuple(member.handle for member in members),
            requests=len(spans),
        )
        plans.append(GroupPlan(group, tuple(members)))
    return tuple(plans)


def _names_by_address(devices: Mapping[str, ModbusDevice]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = defaultdict(list)
    for name, device in devices.items():
        names[f"{device.host}:{device.port}"].append(name)
    return names


def _device_problems(name: str, devices: Mapping[str, ModbusDevice]) -> list[ConfigProblem]:
    problems = []
    seen: dict[tuple[str, int, int], str] = {}
    for device_name, device in devices.items():
        key = (device.host.lower(), device.port, device.unit_id)
        twin = seen.setdefault(key, device_name)
        if twin != device_name:
            problems.append(
                ConfigProblem(
                    f"{name}.toml: devices.{device_name}",
                    f"is the same unit as {twin!r} ({device.host}:{device.port}, "
                    f"unit {device.unit_id}); keep one of them",
                )
            )
    return problems


def _load_problems(
    name: str, address: str, groups: Sequence[GroupPlan], config: ModbusConfig
) -> list[ConfigProblem]:
    rates = {
        plan.group.name: plan.group.requests * SECOND_NS / plan.group.period_ns for plan in groups
    }
    load = sum(rates.values()) * ROUND_TRIP_S / config.pipeline_max
    if load <= LOAD_MAX:
        return []
    worst = max(rates, key=lambda group: rates[group])
    return [
        ConfigProblem(
            f"{name}.toml",
            f"{address} gets {sum(rates.values()):.0f} requests a second, more than most devices "
            f"answer; raise rate_s of {worst!r} first ({rates[worst]:.0f} requests a second)",
            is_warning=True,
        )
    ]
