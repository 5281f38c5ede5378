"""Cases as data: cases/<what>/{config.toml, points.csv, device.json, expected.csv | error.txt}.

A case without `host` and `devices` gets the scripted device; HOST stands for it.
"""

from __future__ import annotations

import csv
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from modbus_device import Device, Unit
from modbus_kit import bind, opened, samples

from penstock.connectors.modbus import Modbus, ModbusConfig
from penstock.plugin import ConnectorContext
from penstock.world import SystemClock

CASES = sorted(path for path in (Path(__file__).parent / "cases").iterdir() if path.is_dir())


def rows_of(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {
                key: cell if key not in ("low", "high") else float(cell)
                for key, cell in row.items()
                if cell
            }
            for row in csv.DictReader(file)
        ]


def config_of(folder: Path, port: int) -> ModbusConfig:
    text = (folder / "config.toml").read_text("utf-8")
    text = text.replace("HOST", "127.0.0.1").replace("port = 502", f"port = {port}")
    settings = tomllib.loads(text)
    if "devices" not in settings:
        settings |= {"host": "127.0.0.1", "port": port}
    return ModbusConfig.model_validate(settings)


def units_of(folder: Path) -> dict[int, Unit]:
    units = {}
    document = json.loads((folder / "device.json").read_text("utf-8"))
    for number, tables in document["units"].items():
        unit = units[int(number)] = Unit(registers_max=tables.pop("registers_max", 125))
        for function, blocks in tables.items():
            for begin, values in blocks.items():
                unit.put(int(function), int(begin), values)
    return units


def with_expectation(name: str) -> list[Path]:
    return [folder for folder in CASES if (folder / name).exists()]


@pytest.mark.parametrize("folder", with_expectation("expected.csv"), ids=lambda p: p.name)
async def test_values(folder: Path) -> None:
    expected = rows_of(folder / "expected.csv")
    async with Device(units_of(folder)) as device:
        config = config_of(folder, device.port)
        plan = Modbus.plan("plc", config, bind(rows_of(folder / "points.csv")))
        assert () == plan.problems
        connector = Modbus(config, plan.lines[0], ConnectorContext(SystemClock()))
        async with opened(connector):
            for _ in range(3):
                found = {}
                for group in connector.groups():
                    found |= samples(await connector.read(group))

                assert len(expected) == len(found)
                for handle, row in enumerate(expected):
                    assert int(row["quality"]) == found[handle].quality
                    if "value" in row:
                        assert row["value"] == str(found[handle].value)


@pytest.mark.parametrize("folder", with_expectation("error.txt"), ids=lambda p: p.name)
def test_errors(folder: Path) -> None:
    wanted = (folder / "error.txt").read_text("utf-8").splitlines()
    plan = Modbus.plan("plc", config_of(folder, 502), bind(rows_of(folder / "points.csv")))

    assert [True] * len(wanted) == [
        str(problem).startswith(text) for problem, text in zip(plan.problems, wanted, strict=True)
    ]


def test_every_case_expects_something() -> None:
    assert len(CASES) == len(with_expectation("expected.csv")) + len(with_expectation("error.txt"))
