"""A Modbus machine that the test owns: its registers, its log of the wire, its life and its lies.

pymodbus serves it on a loop in a thread of its own. `registers` is the truth that the wire
shows; `writes` holds every write that came over the wire, obeyed or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import Future

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

WRITE_FUNCTIONS = {5, 6, 15, 16, 22, 23}
OWNER_AT = 900
SIZE = 1000


class Machine:
    """Holding registers on a free port that stays the same over `kill` and `revive`.

    `ignores_writes` acknowledges without obeying; `holds_writes` obeys at `obey`.
    """

    def __init__(self) -> None:
        self.owner = secrets.randbits(31)
        self.registers = [0] * SIZE
        self.writes: list[tuple[int, int, tuple[int, ...]]] = []
        self.ignores_writes = False
        self.holds_writes = False
        self._held: list[tuple[int, tuple[int, ...]]] = []
        self.port = 0
        self._server: ModbusTcpServer | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.registers[OWNER_AT : OWNER_AT + 2] = [self.owner >> 16, self.owner & 0xFFFF]

    def put_float(self, address: int, value: float) -> float:
        """Set a float32; the value that then stands there, as a double."""
        data = struct.pack(">f", value)
        self.registers[address : address + 2] = struct.unpack(">HH", data)
        return struct.unpack(">f", data)[0]

    def float_at(self, address: int) -> float:
        return struct.unpack(">f", struct.pack(">HH", *self.registers[address : address + 2]))[0]

    def obey(self) -> None:
        """Do what was held back; nothing is held from now on."""
        self.holds_writes = False
        while self._held:
            self._store(*self._held.pop(0))

    def revive(self) -> None:
        """Listen, at the old port if there was one."""
        self._run(self._listen())

    def kill(self) -> None:
        """Its socket and all its connections are gone at once."""
        self._run(self._end())

    def close(self) -> None:
        self.kill()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work) -> None:
        future: Future[None] = asyncio.run_coroutine_threadsafe(work, self._loop)
        future.result(10)

    async def _listen(self) -> None:
        assert self._server is None
        cells = [SimData(0, values=[0] * SIZE, datatype=DataType.REGISTERS)]
        bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        device = SimDevice(0, simdata=(bits, bits, cells, cells), action=self._act)
        self._server = ModbusTcpServer(device, address=("127.0.0.1", self.port))
        assert await self._server.listen(), f"port {self.port} is taken"
        self.port = self._server.transport.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.shutdown()

    async def _act(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        image: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        if function in WRITE_FUNCTIONS:
            written = tuple(int(value) for value in values or ())
            self.writes.append((function, address, written))
            if self.holds_writes:
                self._held.append((address, written))
            elif not self.ignores_writes:
                self._store(address, written)
        image[address - start : address - start + count] = self.registers[address : address + count]
        return None

    def _store(self, address: int, written: tuple[int, ...]) -> None:
        self.registers[address : address + len(written)] = written


@contextlib.contextmanager
def machine() -> Iterator[Machine]:
    """A machine that runs."""
    made = Machine()
    made.revive()
    try:
        yield made
    finally:
        made.close()
