"""The works behind pymodbus's server: reads copy the memory, writes act on the plant."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from penstock.simulator.memory import COIL, DISCRETE, HOLDING, INPUT, Memory, read_cells
from penstock.simulator.waterworks import STEP_S, Waterworks

if TYPE_CHECKING:
    from collections.abc import Callable

LATE_STEPS_MAX = 50
_TABLE_BY_FUNCTION = {1: COIL, 5: COIL, 15: COIL, 2: DISCRETE, 4: INPUT} | dict.fromkeys(
    (3, 6, 16, 22, 23), HOLDING
)


class PortInUse(Exception):
    """The port cannot be listened on."""


async def serve(
    host: str, port: int, seed: int, on_ready: Callable[[int], None], stopped: asyncio.Event
) -> None:
    """Run the plant until `stopped`; `on_ready` gets the port that clients connect to."""
    works = Waterworks(seed)
    memory = Memory(works, read_cells())
    server = ModbusTcpServer(device(memory), address=(host, port))
    if not await server.listen():
        raise PortInUse(f"{host}:{port}")
    try:
        transport = server.transport
        assert isinstance(transport, asyncio.Server)
        on_ready(transport.sockets[0].getsockname()[1])
        await run(works, memory, stopped)
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]


async def run(works: Waterworks, memory: Memory, stopped: asyncio.Event) -> None:
    """Step on an absolute schedule; after a pause of the machine, time is not caught up."""
    loop = asyncio.get_running_loop()
    due_s = loop.time()
    while not stopped.is_set():
        works.step()
        memory.refresh()
        due_s += STEP_S
        now_s = loop.time()
        if now_s - due_s > LATE_STEPS_MAX * STEP_S:
            due_s = now_s
        try:
            async with asyncio.timeout_at(due_s):
                await stopped.wait()
        except TimeoutError:
            continue


def device(memory: Memory) -> SimDevice:
    """One unit with four tables; its action stands between the wire and the memory."""
    bits = {
        table: [SimData(0, values=[False] * _whole_words(memory, table), datatype=DataType.BITS)]
        for table in (COIL, DISCRETE)
    }
    words = {
        table: [SimData(0, values=list(memory.tables[table]), datatype=DataType.REGISTERS)]
        for table in (HOLDING, INPUT)
    }
    tables = (bits[COIL], bits[DISCRETE], words[HOLDING], words[INPUT])
    return SimDevice(0, simdata=tables, action=functools.partial(_act, memory))


def _whole_words(memory: Memory, table: int) -> int:
    return -(-len(memory.tables[table]) // 16) * 16


async def _act(
    memory: Memory,
    function: int,
    start: int,
    address: int,
    count: int,
    registers: list[int],
    values: list[int] | list[bool] | None,
) -> ExcCodes | None:
    table = _TABLE_BY_FUNCTION[function]
    image = memory.tables[table]
    if values is not None and not memory.write(table, address, [int(value) for value in values]):
        return ExcCodes.ILLEGAL_VALUE
    if table in (COIL, DISCRETE):
        for place in range(0, len(image), 16):
            bits = image[place : place + 16]
            registers[place // 16] = sum(bit << i for i, bit in enumerate(bits))
    else:
        registers[address - start : address - start + count] = image[address : address + count]
    return None
