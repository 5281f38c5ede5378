"""A Modbus device of the test: each answer carries a number that no other answer carries.

Holding registers 0 .. are 32-bit values that all equal the number of the answer, so
that a value in history names the answer it came from; the last one is a wave for
alarms. What was answered and what was written is kept here, outside the product.
"""

from __future__ import annotations

import asyncio
import struct
import threading
import time
from collections.abc import Callable

POINTS = 40  # the last one is the wave
BLOCK = 2 * POINTS
WAVE_PERIOD = 30
SETPOINT = 400
PATIENCE_S = 60.0


def wave(number: int) -> int:
    """The square wave of the alarm point, as answer `number` has it."""
    return 100 if number % WAVE_PERIOD >= WAVE_PERIOD // 2 else 0


class CountingServer:
    """Runs in a thread of its own until `close`."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int]] = []
        self.writes: list[tuple[int, int]] = []
        self.setpoint = 0
        self.write_seen = threading.Event()
        self.write_gate = threading.Event()
        self.write_gate.set()
        self._moved = threading.Condition()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="counting-server", daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    @property
    def count(self) -> int:
        """Number of the newest answer."""
        return self.sent[-1][0] if self.sent else 0

    def wait_answers(self, more: int) -> int:
        """The clock of these tests: wait until `more` polls were answered."""
        target = self.count + more
        with self._moved:
            done = self._moved.wait_for(lambda: self.count >= target, PATIENCE_S)
        assert done, f"no poll comes any more: {self.count} of {target}"
        return self.count

    def close(self) -> None:
        self.write_gate.set()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                transaction, _, size, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                answer = await self._answer(await reader.readexactly(size - 1))
                writer.write(struct.pack(">HHHB", transaction, 0, len(answer) + 1, unit) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, pdu: bytes) -> bytes:
        function = pdu[0]
        if function in (3, 4):
            return self._read(function, *struct.unpack(">HH", pdu[1:5]))
        if function in (6, 16):
            return await self._write(function, pdu)
        return bytes([function | 0x80, 1])

    def _read(self, function: int, first: int, count: int) -> bytes:
        if first == SETPOINT:
            data = struct.pack(">I", self.setpoint)[: 2 * count]
        else:
            data = self._block(first, count)
        return bytes([function, len(data)]) + data

    def _block(self, first: int, count: int) -> bytes:
        """A whole poll counts; a probe of one point repeats the number before."""
        if (first, count) == (0, BLOCK):
            with self._moved:
                self.sent.append((self.count + 1, time.time_ns()))
                self._moved.notify_all()
        numbers = [self.count] * (POINTS - 1) + [wave(self.count)]
        return struct.pack(f">{POINTS}I", *numbers)[2 * first : 2 * (first + count)]

    async def _write(self, function: int, pdu: bytes) -> bytes:
        values = pdu[3:5] if function == 6 else pdu[6:]
        self.setpoint = int.from_bytes(values, "big")
        self.writes.append((self.setpoint, time.time_ns()))
        self.write_seen.set()
        if not self.write_gate.is_set():
            await wait_in_thread(self.write_gate.wait)
        return pdu[:5]


async def wait_in_thread(wait: Callable[[float], bool]) -> None:
    """The polls of another connection go on meanwhile."""
    await asyncio.to_thread(wait, PATIENCE_S)
