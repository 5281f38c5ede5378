"""Modbus TCP servers that a bench owns: holding registers, and when they were answered.

As a program (`python bench/_modbus.py PORT`) it serves one table at that port until it
is killed, so that a bench can take a device away and bring it back.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from typing import cast

REGISTERS = 10_000
READ_HOLDING = 3
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS = 1, 2
_HEADER = struct.Struct(">HHHBBHH")


class Table:
    """Registers of one server; counts what it was asked."""

    def __init__(self, registers_max: int = 125) -> None:
        self._bytes = bytearray(2 * REGISTERS)
        self._registers_max = registers_max
        self._fresh: set[int] = set()
        self.answered_s: dict[int, float] = {}
        self.exceptions_s: list[float] = []
        self.requests_s: list[float] = []

    def put(self, address: int, value: int) -> None:
        """Change a register; `answered_s` gets the moment of the first answer that holds it."""
        self._bytes[2 * address : 2 * address + 2] = value.to_bytes(2, "big")
        self.answered_s.pop(address, None)
        self._fresh.add(address)

    def answer(self, function: int, address: int, count: int) -> bytes:
        """The PDU for a read."""
        now_s = time.perf_counter()
        self.requests_s.append(now_s)
        if function != READ_HOLDING:
            return self._refuse(function, ILLEGAL_FUNCTION, now_s)
        if count > self._registers_max or address + count > REGISTERS:
            return self._refuse(function, ILLEGAL_ADDRESS, now_s)
        for fresh in [item for item in self._fresh if address <= item < address + count]:
            self._fresh.discard(fresh)
            self.answered_s[fresh] = now_s
        return bytes([function, 2 * count]) + self._bytes[2 * address : 2 * (address + count)]

    def _refuse(self, function: int, code: int, now_s: float) -> bytes:
        self.exceptions_s.append(now_s)
        return bytes([function | 0x80, code])


class _Connection(asyncio.Protocol):
    """Whole requests out of the stream; answers go out in the same call."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self._transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self._server.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            head = _HEADER.unpack_from(self._buffer)
            transaction, _zero, _length, unit, function, address, count = head
            self._buffer = self._buffer[_HEADER.size :]
            pdu = self._server.table.answer(function, address, count)
            self._transport.write(struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu)


class Server:
    """One listening port with a table."""

    def __init__(self, table: Table | None = None) -> None:
        self.table = table or Table()
        self.connections: set[asyncio.Transport] = set()
        self.port = 0
        self._listener: asyncio.Server | None = None

    async def start(self, port: int = 0) -> int:
        """Listen; the port."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Connection(self), "127.0.0.1", port)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self.port

    def kill(self) -> None:
        """As a power cut that resets."""
        assert self._listener is not None
        self._listener.close()
        for transport in list(self.connections):
            transport.abort()


async def _serve(port: int) -> None:
    server = Server()
    for address in range(1_000):
        server.table.put(address, address)
    await server.start(port)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
