"""One TCP connection: pymodbus frames the messages, answers stay raw bytes for numpy.

An answer is matched by transaction id and unit. After a time-out the session
closes the connection, so that a late answer can never be taken for the next one.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, cast

from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU

from penstock.model import NotConnected

if TYPE_CHECKING:
    from collections.abc import Callable

FRAME_BYTES_MAX = 260
HEADER_BYTES = 7
STRAYS_MAX = 32
KEEPALIVE_IDLE_S = 10
KEEPALIVE_EVERY_S = 5
KEEPALIVE_PROBES = 3
_EXCEPTION = 0x80


class Outcome(Enum):
    """What came back."""

    DATA = "data"
    EXCEPTION = "exception"
    MALFORMED = "malformed"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Answer:
    """`payload` is the PDU behind the function code; `time_ns` is monotonic, mid-request."""

    outcome: Outcome
    time_ns: int
    payload: bytes = b""
    code: int = 0


@dataclass(frozen=True, slots=True)
class Pending:
    """A request under way."""

    transaction: int
    function: int
    sent_ns: int
    answered: asyncio.Future[bytes]


class Wire(asyncio.Protocol):
    """Requests out, answers matched; a broken stream ends the connection."""

    def __init__(self, count: Callable[[str], None]) -> None:
        self._framer = FramerSocket(DecodePDU(is_server=False))
        self._count = count
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._transaction = 0
        self._pending: dict[int, tuple[int, asyncio.Future[bytes]]] = {}
        self._loss = "connection closed"
        self._strays = 0

    @property
    def is_open(self) -> bool:
        """May a request be sent?"""
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        _keep_alive(transport.get_extra_info("socket"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop; whoever waits learns it at once."""
        self._transport = None
        waiting, self._pending = self._pending, {}
        for _, future in waiting.values():
            if not future.done():
                future.set_exception(NotConnected(str(exc) if exc else self._loss))
                future.exception()  # it counts as seen, for the asker may have gone

    def data_received(self, data: bytes) -> None:
        """Called by the loop; takes all whole frames out of the stream."""
        self._buffer = self._buffer + data if self._buffer else data
        while len(self._buffer) > HEADER_BYTES and self._transport is not None:
            if not _is_in_step(self._buffer):
                self._give_up("out_of_step", "what arrived is not Modbus TCP")
                return
            used, unit, transaction, pdu = self._framer.decode(self._buffer)
            if used == 0:
                return
            self._buffer = self._buffer[used:]
            self._deliver(unit, transaction, pdu)

    def _give_up(self, counter: str, loss: str) -> None:
        self._count(counter)
        self._loss = loss
        self._buffer = b""
        self.close()

    def send_nowait(self, unit: int, pdu: bytes) -> tuple[int, asyncio.Future[bytes]]:
        """Write one request; the future gets the answer's PDU, or NotConnected."""
        assert self._transport is not None
        self._transaction = self._transaction % 0xFFFF + 1
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._pending[self._transaction] = (unit, future)
        self._transport.write(self._framer.encode(pdu, unit, self._transaction))
        return self._transaction, future

    def forget(self, transaction: int) -> None:
        """Nobody waits for this answer any more."""
        entry = self._pending.pop(transaction, None)
        if entry is not None:
            entry[1].cancel()

    def close(self) -> None:
        """Close at once, without waiting for the other end."""
        if self._transport is not None:
            self._transport.abort()
            self.connection_lost(None)

    def _deliver(self, unit: int, transaction: int, pdu: bytes) -> None:
        expected, future = self._pending.get(transaction, (None, None))
        if future is None or expected != unit or future.done():
            self._count("stray_answers")
            self._strays += 1
            if self._strays >= STRAYS_MAX:  # it talks without being asked, and others wait for us
                self._give_up("talkative", f"{STRAYS_MAX} answers that nobody asked for")
            return
        self._strays = 0
        del self._pending[transaction]
        future.set_result(pdu)


async def connect(host: str, port: int, timeout_s: float, count: Callable[[str], None]) -> Wire:
    """Open a connection; NotConnected says what to check."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            _, wire = await loop.create_connection(lambda: Wire(count), host, port)
    except TimeoutError as error:
        raise NotConnected(
            f"{host}:{port} does not answer. Check power, cable and address "
            f"(no connection within {timeout_s:g} s)."
        ) from error
    except OSError as error:
        raise NotConnected(
            f"{host}:{port} refuses the connection. Check that its Modbus server is on ({error})."
        ) from error
    return wire


def read_answer(pending: Pending, pdu: bytes, received_ns: int) -> Answer:
    """Sort an answer by its function code."""
    time_ns = (pending.sent_ns + received_ns) // 2
    if pdu and pdu[0] == pending.function:
        return Answer(Outcome.DATA, time_ns, pdu[1:])
    if len(pdu) >= 2 and pdu[0] == pending.function | _EXCEPTION:
        return Answer(Outcome.EXCEPTION, time_ns, code=pdu[1])
    return Answer(Outcome.MALFORMED, time_ns, pdu)


def _is_in_step(buffer: bytes) -> bool:
    length = int.from_bytes(buffer[4:6], "big")
    return buffer[2:4] == b"\0\0" and 2 <= length <= FRAME_BYTES_MAX - 6


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
        ("TCP_KEEPALIVE", KEEPALIVE_IDLE_S),  # the same under macOS
        ("TCP_KEEPINTVL", KEEPALIVE_EVERY_S),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
    ):
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
