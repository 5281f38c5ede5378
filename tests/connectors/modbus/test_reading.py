"""What a device may answer: holes, limits, exceptions, silence; good points stay good."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from modbus_device import Device, Unit
from modbus_kit import make, of_config, opened, read_values, samples

from penstock.connectors.modbus import Modbus, ModbusConfig
from penstock.connectors.modbus.anchor import Anchor
from penstock.model import NotConnected, Quality
from penstock.plugin import ConnectorContext
from penstock.testing import FakeClock


def filled(begin: int = 0, end: int = 200) -> Unit:
    """Registers that hold their own address; bits that are odd addresses."""
    unit = Unit()
    for function in (3, 4):
        unit.put(function, begin, list(range(begin, end)))
    for function in (1, 2):
        unit.put(function, begin, [address & 1 for address in range(begin, end)])
    return unit


def registers(*addresses: int) -> list[dict[str, object]]:
    return [{"address": f"holding {a}", "type": "uint16", "kind": "int"} for a in addresses]


async def qualities(connector: Modbus) -> list[int]:
    found = {}
    for group in connector.groups():
        found |= samples(await connector.read(group))
    return [found[i].quality for i in sorted(found)]


async def test_a_hole_in_a_gap_is_found_and_remembered() -> None:
    unit = filled()
    del unit.tables[3][10]
    async with (
        Device({1: unit}) as device,
        opened(make(registers(*range(8), *range(14, 20)), device.port)) as connector,
    ):
        assert [*range(8), *range(14, 20)] == await read_values(connector)
        device.log.clear()
        assert [*range(8), *range(14, 20)] == await read_values(connector)
        assert [(1, 3, 0, 8), (1, 3, 14, 6)] == device.log


async def test_one_bad_point_never_stops_the_others() -> None:
    """The guilty point is found in the first cycle, asked alone, and then rests."""
    unit = filled()
    del unit.tables[3][37]
    async with (
        Device({1: unit}) as device,
        opened(make(registers(*range(100)), device.port)) as connector,
    ):
        expected = [None if i == 37 else i for i in range(100)]

        assert expected == await read_values(connector)
        assert expected == await read_values(connector)
        device.log.clear()
        assert expected == await read_values(connector)
        assert len(device.log) <= 2
        assert Quality.BAD_CONFIGURATION == (await qualities(connector))[37]


async def test_a_point_that_was_refused_comes_back() -> None:
    """After a minute a refused point is asked again, for the device may have been repaired."""
    unit = filled()
    del unit.tables[3][5]
    clock = FakeClock()
    async with Device({1: unit}) as device:
        plan_source = make(registers(4, 5, 6), device.port)
        connector = Modbus(plan_source.config, plan_source.line, ConnectorContext(clock))
        async with opened(connector):
            assert [4, None, 6] == await read_values(connector)
            unit.tables[3][5] = 55
            assert [4, None, 6] == await read_values(connector)
            clock.advance(61_000_000_000)
            assert [4, 55, 6] == await read_values(connector)


@pytest.mark.parametrize("code", [2, 3])
@pytest.mark.parametrize("limit", [16, 32, 64])
async def test_a_limit_is_learned_in_less_than_three_cycles(code: int, limit: int) -> None:
    unit = filled()
    unit.registers_max, unit.limit_code = limit, code
    async with (
        Device({1: unit}) as device,
        opened(make(registers(*range(200)), device.port)) as connector,
    ):
        for _ in range(2):
            assert list(range(200)) == await read_values(connector)
        device.log.clear()
        assert list(range(200)) == await read_values(connector)
        assert max(count for *_, count in device.log) <= limit
        assert len(device.log) <= 2 * 200 / limit + 1


async def test_a_border_between_memory_areas_is_no_limit() -> None:
    """A device that refuses to cross 100 is not taken for one that reads few registers."""
    unit = filled()
    async with Device({1: unit}) as device:
        answer = device.answer
        device.answer = (
            lambda unit_id, pdu: (  # type: ignore[method-assign]
                bytes([0x83, 2])
                if int.from_bytes(pdu[1:3]) < 100 < int.from_bytes(pdu[1:3]) + pdu[4]
                else answer(unit_id, pdu)
            )
        )
        async with opened(make(registers(*range(10, 200)), device.port)) as connector:
            for _ in range(3):
                assert list(range(10, 200)) == await read_values(connector)
            device.log.clear()
            await read_values(connector)
            assert len(device.log) <= 4


async def test_bits_around_a_hole_lie_in_their_places() -> None:
    unit = filled()
    for function in (1, 2):
        del unit.tables[function][21]
    rows = [{"address": f"coil {i}", "kind": "int"} for i in range(3, 61)]
    rows += [{"address": f"di {i}", "kind": "int"} for i in range(3, 61)]
    async with Device({1: unit}) as device, opened(make(rows, device.port)) as connector:
        expected = 2 * [None if i == 21 else i & 1 for i in range(3, 61)]
        for _ in range(3):
            assert expected == await read_values(connector)


@pytest.mark.parametrize(
    ("code", "quality"),
    [
        (1, Quality.BAD_CONFIGURATION),
        (2, Quality.BAD_CONFIGURATION),
        (3, Quality.BAD_CONFIGURATION),
        (4, Quality.BAD_DEVICE_FAILURE),
        (5, Quality.BAD_NOT_AVAILABLE),
        (6, Quality.BAD_NOT_AVAILABLE),
        (8, Quality.BAD_DEVICE_FAILURE),
    ],
)
async def test_exceptions_are_qualities(code: int, quality: Quality) -> None:
    unit = filled()
    unit.exception_at[3, 100] = code
    async with (
        Device({1: unit}) as device,
        opened(make(registers(1, 100), device.port)) as connector,
    ):
        assert [Quality.GOOD, quality] == await qualities(connector)


async def test_a_busy_device_is_asked_once_more_after_200_ms() -> None:
    unit = filled()
    unit.busy_answers = 1
    async with (
        Device({1: unit}) as device,
        opened(make(registers(1), device.port)) as connector,
    ):
        began = asyncio.get_running_loop().time()

        assert [1] == await read_values(connector)
        assert asyncio.get_running_loop().time() - began >= 0.19
        assert 2 == len(device.log)


@pytest.mark.parametrize("code", [0x0A, 0x0B])
async def test_a_gateway_that_misses_its_unit_keeps_its_line(code: int) -> None:
    unit = filled()
    unit.gateway_code = code
    async with (
        Device({1: unit}) as device,
        opened(make(registers(1, 100), device.port)) as connector,
    ):
        reading = await connector.read(connector.groups()[0])

        assert reading.is_silent
        assert () == reading.frames
        assert not await connector.probe("plc")
        unit.gateway_code = 0
        assert await connector.probe("plc")
        assert [1, 100] == await read_values(connector)
        assert 1 == connector.statistics()["connects"]


@pytest.mark.slow
async def test_a_dead_unit_costs_its_neighbour_one_timeout() -> None:
    """The connection is replaced at once, so that the neighbour's next read finds it open."""
    async with Device({1: filled(), 2: Unit(is_silent=True)}) as device:
        place = {"host": "127.0.0.1", "port": device.port}
        devices = {"a": {**place, "unit_id": 1}, "b": {**place, "unit_id": 2}}
        config = ModbusConfig.model_validate({"devices": devices, "timeout_s": 0.15})
        rows = [{**registers(7, 8)[i], "device": "ab"[i]} for i in range(2)]
        async with opened(of_config(rows, config)) as connector:
            good, dead = connector.groups()
            loop = asyncio.get_running_loop()
            began = loop.time()
            reading = await connector.read(dead)

            assert reading.is_silent
            assert 7 == samples(await connector.read(good))[0].value
            assert loop.time() - began < 0.15 + 0.5
            assert not await connector.probe("b")
            assert await connector.probe("a")


async def test_a_late_answer_is_not_taken_for_the_next() -> None:
    async with Device({1: filled()}) as device:
        connector = make(registers(1), device.port, timeout_s=0.1)
        async with opened(connector):
            group = connector.groups()[0]
            device.answer_delay_s = 0.25
            assert (await connector.read(group)).is_silent
            device.answer_delay_s = 0.0
            device.units[1].put(3, 1, [99])
            assert 99 == samples(await connector.read(group))[0].value


async def test_an_answer_with_another_transaction_is_no_answer() -> None:
    async with (
        Device({1: filled()}) as device,
        opened(make(registers(1), device.port, timeout_s=0.1)) as connector,
    ):
        device.wrong_transaction = True

        assert (await connector.read(connector.groups()[0])).is_silent
        assert 1 == connector.statistics()["stray_answers"]


async def test_what_is_not_modbus_ends_the_connection() -> None:
    async with Device({1: filled()}) as device:
        device.answer = lambda _unit, _pdu: b"\xff" * 400  # type: ignore[method-assign]
        async with opened(make(registers(1), device.port)) as connector:
            with pytest.raises(NotConnected, match="not Modbus"):
                await connector.read(connector.groups()[0])


async def test_a_short_answer_is_bad_decoding() -> None:
    async with Device({1: filled()}) as device:
        device.answer = lambda _unit, pdu: bytes([pdu[0], 2, 0])  # type: ignore[method-assign]
        async with opened(make(registers(1), device.port)) as connector:
            assert [Quality.BAD_DECODING] == await qualities(connector)


@pytest.mark.parametrize("pipeline_max", [1, 4, 16])
async def test_pipelining_gives_the_same_values(pipeline_max: int) -> None:
    addresses = range(0, 2_000, 40)
    async with Device({1: filled(0, 2_000)}) as device:
        connector = make(registers(*addresses), device.port, pipeline_max=pipeline_max)
        async with opened(connector):
            assert list(addresses) == await read_values(connector)
            assert list(addresses) == await read_values(connector)


@pytest.mark.slow
async def test_the_time_is_the_middle_of_the_request() -> None:
    async with Device({1: filled()}) as device:
        device.answer_delay_s = 0.3
        async with opened(make(registers(1), device.port)) as connector:
            clock = connector.context.clock
            before_ns = clock.now_ns()
            time_ns = samples(await connector.read(connector.groups()[0]))[0].time_ns
            after_ns = clock.now_ns()

            assert abs(time_ns - (before_ns + after_ns) // 2) < 100_000_000


def test_a_step_of_the_clock_never_reorders() -> None:
    clock = FakeClock()
    anchor = Anchor(clock)
    times = []
    for jump_ns in (0, -5_000_000_000, 0, 3_000_000_000, *[0] * 30):
        clock.advance(1_000_000_000)
        clock.jump(jump_ns)
        anchor.refresh()
        times.append(anchor.utc_ns(clock.monotonic_ns()))

    assert (np.diff(times) > 0).all()
    assert clock.now_ns() == times[-1]


async def test_cancelling_a_read_takes_less_than_a_second() -> None:
    async with (
        Device({1: Unit(is_silent=True)}) as device,
        opened(make(registers(1), device.port, timeout_s=30)) as connector,
    ):
        task = asyncio.create_task(connector.read(connector.groups()[0]))
        await device.asked.wait()
        task.cancel()
        async with asyncio.timeout(1):
            with pytest.raises(asyncio.CancelledError):
                await task


def test_uvloop_reads_the_same() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def read() -> list[int]:
        async with (
            Device({1: filled()}) as device,
            opened(make(registers(1, 2), device.port)) as connector,
        ):
            return await read_values(connector)

    assert [1, 2] == uvloop.run(read())


async def test_values_that_no_point_can_hold_are_counted() -> None:
    """Once a read; a register that is fine again is not."""
    row = {"address": "40001", "type": "uint64", "kind": "int"}
    async with Device({1: filled()}) as device, opened(make([row], device.port)) as connector:
        device.units[1].put(3, 0, [0xFFFF] * 4)
        values = await read_values(connector) + await read_values(connector)
        device.units[1].put(3, 0, [0x7FFF, 0xFFFF, 0xFFFF, 0xFFFF])
        values += await read_values(connector)

        assert [None, None, 2**63 - 1] == values
        assert 2 == connector.statistics()["too_large"]
