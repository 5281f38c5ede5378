"""A machine that shares no code with us: registers of a C server on libmodbus, to the last bit."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from modbus_kit import CServer, c_server_process
from product import end_all, environment_in, start
from pymodbus.client import ModbusTcpClient
from rig import OWNER_AT, TEMPERATURE_AT, write_rig
from screen import Person

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
SOURCE = TESTS / "peers" / "modbus_server.c"
FOREIGN_OWNER_AT = 9000


@pytest.fixture(scope="module")
def c_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CServer]:
    if not Path("/usr/include/modbus/modbus.h").exists():
        pytest.skip("needs gcc and libmodbus-dev for the independent server")
    program = tmp_path_factory.mktemp("peer") / "modbus_server"
    flags = ["-I/usr/include/modbus", "-O1", "-o", str(program)]
    subprocess.run(["gcc", str(SOURCE), *flags, "-lmodbus"], check=True)
    with c_server_process(program) as server:
        yield server


@pytest.fixture(scope="module")
def viewer(c_server: CServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Somebody who looks at a Penstock that reads the C server."""
    folder = tmp_path_factory.mktemp("foreign")
    environment, home = environment_in(folder), folder / "home"
    write_rig(home, c_server.port)
    points = home / "plant" / "connectors" / "rig.csv"
    mark = f"holding {OWNER_AT},"
    points.write_text(points.read_text().replace(mark, f"holding {FOREIGN_OWNER_AT},"))
    command = [sys.executable, TESTS / "browser" / "people.py", home]
    subprocess.run(command, env=environment, check=True, timeout=60)
    product = start(home, environment, c_server.port)
    try:
        with Person(product, "viewer") as person:
            yield person
    finally:
        product.stop()
        end_all(home, product.process)


@pytest.mark.parametrize("value", [47.3, -0.0, 3.4e38])
def test_a_register_of_a_foreign_machine_is_bit_equal_in_api_and_history(
    c_server: CServer, viewer: Person, value: float
) -> None:
    point = viewer.point("Rig/Cell/temperature")
    wait_for(lambda: (viewer.point("Rig/Cell/owner")["last"] or {}).get("value"))
    assert str(c_server.owner) == viewer.point("Rig/Cell/owner")["last"]["value"]

    data = struct.pack(">f", value)
    with ModbusTcpClient("127.0.0.1", port=c_server.port) as master:
        answer = master.write_registers(TEMPERATURE_AT, list(struct.unpack(">HH", data)))
        assert not answer.isError()
    truth = struct.unpack(">f", data)[0]

    wait_for(lambda: bits(viewer.point(point["path"])["last"]["value"]) == bits(truth))
    wait_for(lambda: bits(truth) == bits(viewer.samples(point)["value"][-1]))


def bits(value: float) -> bytes:
    """So that -0.0 is not 0.0."""
    return struct.pack(">d", float(value))


def wait_for(condition) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)
