"""The simulator as a process: ready line, real commands over the wire, memory, clean end."""

from __future__ import annotations

import csv
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.connectors.modbus import Modbus, ModbusConfig, ModbusPoint
from penstock.model.point import KIND_BY_NAME
from penstock.plugin import ConnectorContext, PointBinding, WriteOutcome, WriteRequest
from penstock.simulator.memory import LIST
from penstock.world import SystemClock


@contextmanager
def simulator(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "penstock.simulator", "--ready-fd", str(writing), *arguments]
    process = subprocess.Popen(command, pass_fds=[writing])
    os.close(writing)
    with os.fdopen(reading, encoding="ascii") as file:
        line = file.readline()
    try:
        yield process, int(line)
    finally:
        process.kill()
        process.wait()


def connector(port: int) -> tuple[Modbus, dict[str, int]]:
    with LIST.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ("address", "type", "order", "scale", "rate_s", "writable")
    points = [
        PointBinding(
            handle,
            f"{row['asset']}/{row['name']}",
            KIND_BY_NAME[row["kind"]],
            ModbusPoint.model_validate({key: row[key] for key in columns if row[key]}),
            f"lakeside.csv:{handle + 2}",
            float(row["low"]) if row["low"] else None,
            float(row["high"]) if row["high"] else None,
        )
        for handle, row in enumerate(rows)
    ]
    config = ModbusConfig(host="127.0.0.1", port=port)
    plan = Modbus.plan("lakeside", config, points)

    assert () == plan.problems

    made = Modbus(config, plan.lines[0], ConnectorContext(SystemClock()))
    return made, {point.path.removeprefix("Lakeside Water/"): point.handle for point in points}


@pytest.mark.slow
async def test_the_whole_list_is_good_and_commands_act() -> None:
    """The server is this test's own: a process started here, on a port that it chose."""
    with simulator("--port", "0") as (process, port):
        assert process.poll() is None
        made, handles = connector(port)
        await made.open()
        rows = 0
        for group in made.groups():
            reading = await made.read(group)
            rows += sum(len(frame) for frame in reading.frames)
            for frame in reading.frames:
                assert (frame.quality == 192).all()
        assert len(handles) == rows
        assert 4 >= made.groups()[0].requests
        firmware = await made.read_back(handles["PLC-1/firmware"])
        assert "LSW 2.4.1" == firmware.value
        setpoint = handles["High-lift/P-203/pressure-setpoint"]
        assert WriteOutcome.ACCEPTED == (await made.write(WriteRequest(setpoint, 4.5))).outcome
        assert 4.5 == (await made.read_back(setpoint)).value
        assert WriteOutcome.REFUSED == (await made.write(WriteRequest(setpoint, 9.0))).outcome
        wash = handles["Intake/S-101/backwash"]
        assert WriteOutcome.ACCEPTED == (await made.write(WriteRequest(wash, 1))).outcome
        assert 1 == (await made.read_back(wash)).value
        await made.close()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's /proc")
def test_it_is_small_and_ends_cleanly() -> None:
    with simulator("--port", "0") as (process, _):
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text("ascii")
        pss_kb = int(
            next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1]
        )

        assert pss_kb < 35 * 1024
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(timeout=5)


@pytest.mark.slow
def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "penstock.simulator", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert 1 == done.returncode
    assert "stop what uses the port" in done.stderr.splitlines()[-1]
