"""Links that break: black hole, refusal, reset, delay, one byte at a time, restart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from modbus_device import Device
from modbus_kit import make, of_config, opened, read_values, samples
from test_reading import filled, registers

from penstock.connectors.modbus import ModbusConfig
from penstock.model import NotConnected
from penstock.plugin import Reading
from penstock.testing.proxy import Fault, FaultProxy


@pytest.fixture
async def link() -> AsyncIterator[tuple[Device, FaultProxy]]:
    async with Device({1: filled()}) as device, FaultProxy(device.port) as proxy:
        yield device, proxy


Link = tuple[Device, FaultProxy]


@pytest.mark.slow
async def test_a_black_hole_is_noticed_within_timeout_and_connect_timeout(link: Link) -> None:
    """Nobody sends a reset; the read's time-out and then the connect time-out say it."""
    _, proxy = link
    settings = {"timeout_s": 0.2, "connect_timeout_s": 0.3}
    async with opened(make(registers(1), proxy.port, **settings)) as connector:
        assert [1] == await read_values(connector)
        await proxy.set(Fault.BLACK_HOLE)
        began = time.monotonic()
        with pytest.raises(NotConnected, match="does not answer"):
            await connector.read(connector.groups()[0])

        assert time.monotonic() - began < 0.2 + 0.3 + 1.0
        with pytest.raises(NotConnected):
            await connector.read(connector.groups()[0])
        await proxy.set(Fault.PASS)
        await connector.open()
        assert [1] == await read_values(connector)


@pytest.mark.slow
async def test_opening_into_a_black_hole_ends_in_time(link: Link) -> None:
    _, proxy = link
    await proxy.set(Fault.BLACK_HOLE)
    began = time.monotonic()
    with pytest.raises(NotConnected, match="Check power"):
        await make(registers(1), proxy.port, connect_timeout_s=0.2).open()

    assert time.monotonic() - began < 1.5


async def test_a_refusal_says_so_at_once(link: Link) -> None:
    _, proxy = link
    await proxy.set(Fault.REFUSE)
    with pytest.raises(NotConnected, match="refuses"):
        await make(registers(1), proxy.port).open()


async def test_a_reset_is_a_lost_line(link: Link) -> None:
    _, proxy = link
    async with opened(make(registers(1), proxy.port)) as connector:
        await proxy.set(Fault.RESET)
        with pytest.raises(NotConnected):
            await connector.read(connector.groups()[0])


async def test_bytes_that_come_one_by_one_are_one_answer(link: Link) -> None:
    _, proxy = link
    await proxy.set(Fault.ONE_BYTE)
    async with opened(make(registers(*range(50)), proxy.port)) as connector:
        assert list(range(50)) == await read_values(connector)


async def test_a_slow_link_is_slow_and_right(link: Link) -> None:
    _, proxy = link
    await proxy.set(Fault.DELAY, delay_s=0.05)
    async with opened(make(registers(1, 100), proxy.port)) as connector:
        assert [1, 100] == await read_values(connector)


async def test_kill_and_restart(link: Link) -> None:
    device, proxy = link
    async with opened(make(registers(1), proxy.port)) as connector:
        assert [1] == await read_values(connector)
        await device.stop()
        with pytest.raises(NotConnected):
            await connector.read(connector.groups()[0])
        await device.start()
        await connector.open()
        assert [1] == await read_values(connector)


@pytest.mark.slow
async def test_connections_do_not_pile_up(link: Link) -> None:
    """Small PLCs take one to eight connections: each one is closed before the next is opened."""
    device, proxy = link
    connector = make(registers(1), proxy.port, timeout_s=0.05)
    async with opened(connector):
        device.units[1].is_silent = True
        for _ in range(5):
            assert (await connector.read(connector.groups()[0])).is_silent
        for _ in range(100):
            if len(device._writers) == 1:
                break
            await asyncio.sleep(0.01)
        assert 1 == len(device._writers)


async def test_closing_twice_is_closing_once(link: Link) -> None:
    connector = make(registers(1), link[1].port)
    await connector.close()
    await connector.open()
    await connector.close()
    await connector.close()
    with pytest.raises(NotConnected):
        await connector.read(connector.groups()[0])


async def test_twenty_slaves_on_one_line(link: Link) -> None:
    """Each unit's values are its own, whatever the neighbours do."""
    device, proxy = link
    device.units = {unit: filled(unit, unit + 1) for unit in range(1, 21)}
    devices = {
        f"u{unit}": {"host": "127.0.0.1", "port": proxy.port, "unit_id": unit}
        for unit in device.units
    }
    rows = [{**registers(unit)[0], "device": f"u{unit}"} for unit in device.units]
    connector = of_config(rows, ModbusConfig.model_validate({"devices": devices}))
    async with opened(connector):
        readings: list[Reading] = [await connector.read(group) for group in connector.groups()]

    assert list(range(1, 21)) == [samples(reading)[i].value for i, reading in enumerate(readings)]
    assert 1 == proxy.connections
