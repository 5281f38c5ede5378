"""The contract that every connector keeps, against two foreign servers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from modbus_kit import CServer, bind, make, opened, read_values
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from penstock.connectors.modbus import Modbus, ModbusConfig
from penstock.plugin import WriteRequest
from penstock.testing.connector_check import check_connector

ROWS: list[dict[str, Any]] = [
    {"address": "40001", "type": "float32", "writable": True, "low": 0, "high": 10},
    {"address": "40003", "type": "uint32", "kind": "int", "writable": True},
    {"address": "40010", "type": "string:6", "kind": "text", "writable": True},
    {"address": "40020.4", "kind": "int", "writable": True},
    {"address": "30005", "type": "bcd16", "kind": "int", "rate_s": 5},
    {"address": "00004", "kind": "int", "writable": True},
    {"address": "10004", "kind": "int"},
    {"address": "49001", "type": "uint32", "kind": "int", "rate_s": 60},
]
WRITES = [
    WriteRequest(0, 7.25),
    WriteRequest(1, 4_000_000_000),
    WriteRequest(2, "PUMP 7"),
    WriteRequest(3, 1),
    WriteRequest(5, 1),
]


async def test_against_libmodbus(c_server: CServer) -> None:
    async with opened(make(ROWS, c_server.port)) as connector:
        assert c_server.owner == (await read_values(connector))[-1]

    config = ModbusConfig(host="127.0.0.1", port=c_server.port)
    await check_connector(Modbus, config, bind(ROWS), WRITES)


async def test_against_pymodbus() -> None:
    """The server is this process's own: it was made here, on a port that it chose."""
    words = [SimData(0, values=[0] * 9_010, datatype=DataType.REGISTERS)]
    more = [SimData(0, values=[0] * 100, datatype=DataType.REGISTERS)]
    coils = [SimData(0, values=[False] * 64, datatype=DataType.BITS)]
    discrete = [SimData(0, values=[True] * 64, datatype=DataType.BITS)]
    device = SimDevice(0, simdata=(coils, discrete, words, more))
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    try:
        assert isinstance(server.transport, asyncio.Server)
        port = server.transport.sockets[0].getsockname()[1]
        config = ModbusConfig(host="127.0.0.1", port=port)
        await check_connector(Modbus, config, bind(ROWS), WRITES)
    finally:
        await server.shutdown()


async def test_the_check_bites(c_server: CServer) -> None:
    """A connector that invents a value for a bad row does not pass."""

    class Liar(Modbus):
        async def read(self, group: Any) -> Any:
            reading = await super().read(group)
            for frame in reading.frames:
                frame.quality[:] = 0
            return reading

    config = ModbusConfig(host="127.0.0.1", port=c_server.port)
    with pytest.raises(AssertionError):
        await check_connector(Liar, config, bind(ROWS))
