"""Puts this folder on sys.path for `modbus_kit` and `modbus_device`; builds the C server."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from modbus_kit import CServer, c_server_process

SERVER_SOURCE = Path(__file__).parents[2] / "peers" / "modbus_server.c"


@pytest.fixture(scope="session")
def c_server_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None or not Path("/usr/include/modbus/modbus.h").exists():
        pytest.skip("needs gcc and libmodbus-dev for the independent server")
    program = tmp_path_factory.mktemp("peer") / "modbus_server"
    flags = ["-I/usr/include/modbus", "-O1", "-Wall", "-o", str(program)]
    subprocess.run(["gcc", str(SERVER_SOURCE), *flags, "-lmodbus"], check=True)
    return program


@pytest.fixture
def c_server(c_server_program: Path) -> Iterator[CServer]:
    with c_server_process(c_server_program) as server:
        yield server
