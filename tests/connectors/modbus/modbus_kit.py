"""Rows to bindings, readings to samples, and the independent C server as a process."""

from __future__ import annotations

import contextlib
import secrets
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.connectors.modbus import Modbus, ModbusConfig, ModbusPoint
from penstock.model import TextColumn
from penstock.model.point import KIND_BY_NAME
from penstock.plugin import ConnectorContext, PointBinding, Reading
from penstock.world import SystemClock


def bind(rows: list[dict[str, Any]]) -> list[PointBinding]:
    """Rows of a point list to bindings; handles count from 0."""
    bindings = []
    for handle, row in enumerate(rows):
        cells = dict(row)
        kind = KIND_BY_NAME[cells.pop("kind", "float")]
        low, high = cells.pop("low", None), cells.pop("high", None)
        settings = ModbusPoint.model_validate(cells)
        place = f"points.csv:{handle + 2}"
        bindings.append(PointBinding(handle, f"Plant/p{handle}", kind, settings, place, low, high))
    return bindings


def make(rows: list[dict[str, Any]], port: int, **settings: Any) -> Modbus:
    """A connector of one device `plc` on 127.0.0.1; the plan has no problems."""
    config = ModbusConfig.model_validate({"host": "127.0.0.1", "port": port, **settings})
    return of_config(rows, config)


def of_config(rows: list[dict[str, Any]], config: ModbusConfig, line: int = 0) -> Modbus:
    plan = Modbus.plan("plc", config, bind(rows))
    errors = [str(problem) for problem in plan.problems if not problem.is_warning]

    assert [] == errors

    return Modbus(config, plan.lines[line], ConnectorContext(SystemClock()))


@contextlib.asynccontextmanager
async def opened(connector: Modbus) -> AsyncIterator[Modbus]:
    await connector.open()
    try:
        yield connector
    finally:
        await connector.close()


@dataclass(frozen=True)
class Sample:
    value: Any
    quality: int
    flags: int
    time_ns: int


def samples(reading: Reading) -> dict[int, Sample]:
    """Rows of all frames by handle."""
    found = {}
    for frame in reading.frames:
        value = frame.value
        values = value.to_list() if isinstance(value, TextColumn) else value.tolist()
        rows = zip(
            frame.point.tolist(),
            values,
            frame.quality.tolist(),
            frame.flags.tolist(),
            frame.time_ns.tolist(),
            strict=True,
        )
        for point, number, quality, flags, time_ns in rows:
            assert point not in found
            found[point] = Sample(number, quality, flags, time_ns)
    kinds = [frame.kind for frame in reading.frames]
    assert sorted(set(kinds)) == kinds
    return found


async def read_values(connector: Modbus) -> list[Any]:
    """Values by handle; None where there is none."""
    found: dict[int, Sample] = {}
    for group in connector.groups():
        found |= samples(await connector.read(group))
    return [found[i].value if found[i].quality >= 64 else None for i in sorted(found)]


@dataclass(frozen=True)
class CServer:
    """The libmodbus server of this test; `owner` lies in holding 9000 and 9001."""

    port: int
    owner: int


@contextlib.contextmanager
def c_server_process(program: Path, *arguments: str) -> Iterator[CServer]:
    owner = secrets.randbits(32)
    process = subprocess.Popen(
        [program, str(owner), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield CServer(int(process.stdout.readline()), owner)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def words(data: bytes) -> list[int]:
    """Registers of bytes in the order of the wire."""
    return list(struct.unpack(f">{len(data) // 2}H", data))
