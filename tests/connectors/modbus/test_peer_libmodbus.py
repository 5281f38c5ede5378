"""Against an independent peer: a C server on libmodbus."""

from __future__ import annotations

from pathlib import Path

import pytest
from modbus_kit import CServer, c_server_process, make, opened, read_values

from penstock.connectors.modbus import Modbus
from penstock.plugin import WriteOutcome, WriteRequest


async def assert_owned(connector: Modbus, server: CServer) -> None:
    """The last row of each point list is the owner's mark; nothing is written before it fits."""
    values = await read_values(connector)

    assert server.owner == values[-1]


OWNER_ROW = {"address": "49001", "type": "uint32", "kind": "int"}

WRITES = [
    ({"address": "holding 10", "type": "int16", "kind": "int"}, -12_345),
    ({"address": "holding 11", "type": "uint16", "kind": "int"}, 65_535),
    ({"address": "holding 12", "type": "int32", "order": "CDAB", "kind": "int"}, -70_000),
    ({"address": "holding 14", "type": "uint32", "order": "BADC", "kind": "int"}, 4_000_000_000),
    ({"address": "holding 16", "type": "float32", "order": "DCBA"}, 12.5),
    ({"address": "holding 18", "type": "float64", "order": "CDAB"}, 3.141592653589793),
    ({"address": "holding 22", "type": "uint64", "kind": "int"}, 2**63 - 1),
    ({"address": "holding 26", "type": "int64", "order": "CDABGHEF", "kind": "int"}, 2**53 + 1),
    ({"address": "holding 30", "type": "bcd16", "kind": "int"}, 9_876),
    ({"address": "holding 31", "type": "bcd32", "order": "CDAB"}, 12_345_678.0),
    ({"address": "holding 33", "type": "int16", "scale": 0.1}, 12.3),
    ({"address": "holding 34", "type": "int16", "scale": 0.5, "offset": -40.0}, 21.5),
    ({"address": "holding 35", "type": "string:9", "kind": "text"}, "PUMP-0203"),
    ({"address": "holding 40.15", "kind": "int"}, 1),
    ({"address": "coil 7", "kind": "int"}, 1),
]


@pytest.mark.parametrize(("row", "value"), WRITES, ids=[str(row) for row, _ in WRITES])
async def test_a_written_value_is_read_back_exactly(
    c_server: CServer, row: dict[str, object], value: float
) -> None:
    connector = make([{**row, "writable": True}, OWNER_ROW], c_server.port)
    async with opened(connector):
        await assert_owned(connector, c_server)

        result = await connector.write(WriteRequest(0, value))
        back = await connector.read_back(0)

        assert WriteOutcome.ACCEPTED == result.outcome
        assert value == back.value
        assert [value, c_server.owner] == await read_values(connector)


async def test_all_four_tables_are_read(c_server: CServer) -> None:
    rows = [
        {"address": "30012", "type": "uint16", "kind": "int"},
        {"address": "10001", "kind": "int"},
        {"address": "10002", "kind": "int"},
        {"address": "10004", "kind": "int"},
        {"address": "00001", "kind": "int"},
        {"address": "40001", "type": "uint16", "kind": "int"},
    ]
    async with opened(make(rows, c_server.port)) as connector:
        assert [11, 1, 0, 1, 0, 0] == await read_values(connector)


async def test_a_limit_of_32_registers_is_learned_in_the_first_cycle(
    c_server_program: Path,
) -> None:
    """All values are there in the first cycle; the second needs no refused request."""
    rows = [{"address": f"input {i}", "type": "uint16", "kind": "int"} for i in range(125)]
    with c_server_process(c_server_program, "32") as server:
        async with opened(make(rows, server.port)) as connector:
            group = connector.groups()[0]

            assert 1 == group.requests
            assert list(range(125)) == await read_values(connector)
            assert 125 == sum(len(frame) for frame in (await connector.read(group)).frames)
            assert 4 <= (await connector.read(group)).requests <= 5
