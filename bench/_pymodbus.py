"""The peer: pymodbus's own asynchronous client in a bare loop, a program of its own.

`python bench/_pymodbus.py SECONDS COUNT ADDRESSES PORTS`, the last two comma-separated,
prints requests of COUNT registers per CPU-second. It keeps nothing of what it reads.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence

import uvloop
from pymodbus.client import AsyncModbusTcpClient


async def rate(
    window_s: float, count: int, addresses: Sequence[int], ports: Sequence[int]
) -> float:
    """All servers at once, each asked again as soon as it has answered."""
    clients = [AsyncModbusTcpClient("127.0.0.1", port=port) for port in ports]
    await asyncio.gather(*(client.connect() for client in clients))
    until = time.perf_counter() + window_s

    async def read(client: AsyncModbusTcpClient) -> int:
        done = 0
        while time.perf_counter() < until:
            for address in addresses:
                answer = await client.read_holding_registers(address, count=count, device_id=1)
                assert len(answer.registers) == count
                done += 1
        return done

    begin = time.process_time()
    answers = sum(await asyncio.gather(*(read(client) for client in clients)))
    used = time.process_time() - begin
    for client in clients:
        client.close()
    return answers / used


if __name__ == "__main__":
    places, at_ports = ([int(word) for word in text.split(",")] for text in sys.argv[3:5])
    found = uvloop.run(rate(float(sys.argv[1]), int(sys.argv[2]), places, at_ports))
    sys.stdout.write(f"{found:.1f}\n")
