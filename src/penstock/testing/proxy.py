"""FaultProxy: a TCP proxy that breaks a link on purpose, on real sockets.

Black hole is the case that breaks others: packets vanish, nobody sends a reset.
New connections hang too, because the listen queue is filled up and Linux then
drops each SYN, as a cut cable does.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

CHUNK_BYTES = 64 * 1024
BACKLOG = 64
FILLERS_MAX = 8
_LINGER_RESET = struct.pack("ii", 1, 0)


class Fault(Enum):
    """What the proxy does to the link."""

    PASS = "pass"  # noqa: S105
    BLACK_HOLE = "black hole"
    REFUSE = "refuse"
    RESET = "reset"
    DELAY = "delay"
    ONE_BYTE = "one byte at a time"


class FaultProxy:
    """Listens on a free port of 127.0.0.1 and forwards to a target; `set` changes the fault."""

    def __init__(self, target_port: int, target_host: str = "127.0.0.1") -> None:
        self._target = (target_host, target_port)
        self._listener: socket.socket | None = None
        self._fillers: list[socket.socket] = []
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None
        self.port = 0
        self.fault = Fault.PASS
        self.delay_s = 0.0
        self.connections = 0
        self.bytes_forwarded = 0

    async def __aenter__(self) -> FaultProxy:
        self._listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop_listening()
        await self._drop_connections()

    async def set(self, fault: Fault, delay_s: float = 0.0) -> None:
        """Change the fault for connections that are there and for new ones."""
        was, self.fault, self.delay_s = self.fault, fault, delay_s
        if was in (Fault.BLACK_HOLE, Fault.REFUSE) and fault is not was:
            await self._stop_listening()
            await self._drop_connections()
        if fault is Fault.REFUSE:
            await self._stop_listening()
            await self._drop_connections()
        elif fault is Fault.BLACK_HOLE:
            await self._fill_listen_queue()
        elif self._listener is None:
            self._listen()

    async def drop_connections(self) -> None:
        """End all connections with a reset, as a restart of the target does."""
        await self._drop_connections()

    def _listen(self) -> None:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._accepting = asyncio.create_task(self._accept(listener))

    async def _stop_listening(self) -> None:
        if self._accepting is not None:
            await _end([self._accepting])
            self._accepting = None
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _drop_connections(self) -> None:
        for pair in self._pairs:
            for end in pair:
                _make_reset(end)
        tasks, self._tasks = self._tasks, set()
        await _end(list(tasks))

    async def _fill_listen_queue(self) -> None:
        if self._accepting is not None:
            await _end([self._accepting])
            self._accepting = None
        if self._listener is None:
            self._listen()
            return await self._fill_listen_queue()
        self._listener.listen(0)
        loop = asyncio.get_running_loop()
        for _ in range(FILLERS_MAX):
            filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            filler.setblocking(False)
            self._fillers.append(filler)
            try:
                async with asyncio.timeout(0.05):
                    await loop.sock_connect(filler, ("127.0.0.1", self.port))
            except TimeoutError:
                return None  # the queue is full: from now on every SYN is dropped
        return None

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listener)
            self.connections += 1
            if self.fault is Fault.RESET:
                _make_reset(client)
                client.close()
                continue
            client.setblocking(False)
            task = asyncio.create_task(self._serve(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket) -> None:
        target = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        target.setblocking(False)
        pair = (client, target)
        self._pairs.add(pair)
        try:
            await asyncio.get_running_loop().sock_connect(target, self._target)
            for end in pair:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(client, target))
                group.create_task(self._forward(target, client))
        except* OSError:
            pass
        finally:
            self._pairs.discard(pair)
            client.close()
            target.close()

    async def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            data = await loop.sock_recv(source, CHUNK_BYTES)
            if self.fault is Fault.BLACK_HOLE:
                if not data:
                    await loop.create_future()  # the end of the connection is lost as well
                continue
            if self.fault is Fault.RESET:
                _make_reset(source)
            if self.fault is Fault.RESET or not data:
                raise ConnectionResetError
            if self.fault is Fault.DELAY:
                await asyncio.sleep(self.delay_s)
            await self._send(sink, data)

    async def _send(self, sink: socket.socket, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        self.bytes_forwarded += len(data)
        if self.fault is not Fault.ONE_BYTE:
            await loop.sock_sendall(sink, data)
            return
        for i in range(len(data)):
            await loop.sock_sendall(sink, data[i : i + 1])
            await asyncio.sleep(0)


def _make_reset(end: socket.socket) -> None:
    """Let its close be a reset instead of a polite end."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
