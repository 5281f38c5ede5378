"""Writing: exact bytes on the wire, and what is known afterwards."""

from __future__ import annotations

import math
from typing import Any

import pytest
from modbus_device import Device
from modbus_kit import make, opened
from test_reading import filled

from penstock.plugin import WriteOutcome, WriteRequest
from penstock.testing.proxy import Fault, FaultProxy


def row(address: str = "40001", **cells: Any) -> dict[str, Any]:
    return {"address": address, "type": "int16", "writable": True, **cells}


NOT_SENT = [
    (row(), math.nan),
    (row(), math.inf),
    (row(), 32_768.0),
    (row(), -32_769.0),
    (row(scale=0.1), 3_276.8),
    (row(kind="int"), 1.5),
    (row(kind="int"), "1"),
    (row(type="uint16"), -1.0),
    (row(type="float32"), 1e39),
    (row(type="float32"), math.nan),
    (row(type="bcd16"), 10_000.0),
    (row(type="bcd16"), -1.0),
    (row(type="uint64", kind="int"), 2**63),
    (row(type="uint64", kind="int"), -1),
    (row(type="int64", kind="int"), 2**63),
    (row(type="string:4", kind="text"), "12345"),
    (row(type="string:4", kind="text"), "\u00fc"),
    (row(type="string:4", kind="text"), 5),
    (row("00001", type="bool", kind="int"), 2),
    (row("40001.3", type="bool", kind="int"), 0.5),
    (row(writable=False), 1.0),
]


@pytest.mark.parametrize(("cells", "value"), NOT_SENT)
async def test_what_does_not_fit_is_not_sent(cells: dict[str, Any], value: Any) -> None:
    async with Device({1: filled()}) as device, opened(make([cells], device.port)) as connector:
        result = await connector.write(WriteRequest(0, value))

        assert WriteOutcome.NOT_SENT == result.outcome
        assert result.detail
        assert [] == device.log


async def test_a_bit_in_a_register_leaves_its_neighbours_alone() -> None:
    async with Device({1: filled()}) as device:
        device.units[1].tables[3][0] = 0xA5A5
        async with opened(
            make([row("40001.1", type="bool", kind="int")], device.port)
        ) as connector:
            result = await connector.write(WriteRequest(0, 1))

            assert WriteOutcome.ACCEPTED == result.outcome
            assert 0xA5A7 == device.units[1].tables[3][0]
            assert [22] == [function for _, function, *_ in device.log]
            await connector.write(WriteRequest(0, 0))
            assert 0xA5A5 == device.units[1].tables[3][0]


async def test_a_device_without_mask_write_refuses() -> None:
    async with Device({1: filled()}) as device:
        device.units[1].has_mask_write = False
        async with opened(
            make([row("40001.1", type="bool", kind="int")], device.port)
        ) as connector:
            result = await connector.write(WriteRequest(0, 1))

            assert WriteOutcome.REFUSED == result.outcome
            assert "exception 1" in result.detail


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (1, WriteOutcome.REFUSED),
        (2, WriteOutcome.REFUSED),
        (3, WriteOutcome.REFUSED),
        (4, WriteOutcome.REFUSED),
        (5, WriteOutcome.ACCEPTED),
        (6, WriteOutcome.REFUSED),
        (0x0A, WriteOutcome.REFUSED),
        (0x0B, WriteOutcome.UNKNOWN),
    ],
)
async def test_what_the_device_says(code: int, outcome: WriteOutcome) -> None:
    async with Device({1: filled()}) as device:
        device.units[1].busy_answers, device.units[1].busy_code = 1, code
        async with opened(make([row()], device.port)) as connector:
            assert outcome == (await connector.write(WriteRequest(0, 1.0))).outcome
            assert 1 == len(device.log)


async def test_a_timeout_is_unknown_and_never_repeated() -> None:
    async with Device({1: filled()}) as device:
        device.units[1].is_silent = True
        async with opened(make([row()], device.port, timeout_s=0.1)) as connector:
            result = await connector.write(WriteRequest(0, 1.0))

            assert WriteOutcome.UNKNOWN == result.outcome
            assert 1 == len(device.log)
            device.units[1].is_silent = False
            assert 0.0 == (await connector.read_back(0)).value


async def test_a_black_hole_after_sending_is_unknown() -> None:
    async with Device({1: filled()}) as device, FaultProxy(device.port) as proxy:
        settings = {"timeout_s": 0.1, "connect_timeout_s": 0.1}
        async with opened(make([row()], proxy.port, **settings)) as connector:
            await proxy.set(Fault.BLACK_HOLE)

            assert WriteOutcome.UNKNOWN == (await connector.write(WriteRequest(0, 1.0))).outcome
            assert WriteOutcome.NOT_SENT == (await connector.write(WriteRequest(0, 1.0))).outcome
            back = await connector.read_back(0)
            assert back.value is None
            assert back.quality < 64


async def test_an_answer_that_repeats_something_else_is_unknown() -> None:
    async with Device({1: filled()}) as device:
        device.answer = lambda _unit, pdu: pdu[:3] + b"\0\0"  # type: ignore[method-assign]
        async with opened(make([row()], device.port)) as connector:
            assert WriteOutcome.UNKNOWN == (await connector.write(WriteRequest(0, 1.0))).outcome


async def test_a_value_of_two_registers_is_one_request() -> None:
    async with (
        Device({1: filled()}) as device,
        opened(make([row(type="float32")], device.port)) as connector,
    ):
        assert WriteOutcome.ACCEPTED == (await connector.write(WriteRequest(0, 2.5))).outcome
        assert [(1, 16, 0, 2)] == device.log
        assert 2.5 == (await connector.read_back(0)).value
