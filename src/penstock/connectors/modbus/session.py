"""The session of a line: ask and wait, close after a time-out, open again.

A unit behind a gateway that is dead costs its neighbours one time-out: the
connection is replaced at once, and the host asks the unit again with back-off.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from penstock.connectors.modbus.wire import Answer, Outcome, Pending, Wire, connect, read_answer
from penstock.model import NotConnected

if TYPE_CHECKING:
    from penstock.plugin import ConnectorContext


class Session:
    """At most one connection to a host and port."""

    def __init__(
        self,
        host: str,
        port: int,
        timeout_s: float,
        connect_timeout_s: float,
        context: ConnectorContext,
    ) -> None:
        self._host = host
        self._port = port
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._context = context
        self._clock = context.clock
        self._wire: Wire | None = None

    @property
    def is_open(self) -> bool:
        """Is there a connection that was not lost?"""
        return self._wire is not None and self._wire.is_open

    async def open(self) -> None:
        """Connect anew; NotConnected."""
        self.close()
        self._context.count("connects")
        self._wire = await connect(
            self._host, self._port, self._connect_timeout_s, self._context.count
        )

    def close(self) -> None:
        """Close without waiting."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def start(self, unit: int, pdu: bytes) -> Pending:
        """Send a request; NotConnected when there is no connection to send it on."""
        if self._wire is None or not self._wire.is_open:
            raise NotConnected(f"{self._host}:{self._port} closed the connection.")
        self._context.count("requests")
        sent_ns = self._clock.monotonic_ns()
        transaction, future = self._wire.send_nowait(unit, pdu)
        return Pending(transaction, pdu[0], sent_ns, future)

    async def finish(self, pending: Pending) -> Answer:
        """Wait for the answer; SILENT after the time-out, NotConnected when the line is lost."""
        try:
            async with asyncio.timeout(self._timeout_s):
                pdu = await pending.answered
        except TimeoutError:
            self._context.count("timeouts")
            return Answer(Outcome.SILENT, self._clock.monotonic_ns())
        finally:
            if self._wire is not None:
                self._wire.forget(pending.transaction)
        return read_answer(pending, pdu, self._clock.monotonic_ns())

    async def ask(self, unit: int, pdu: bytes) -> Answer:
        """One request and its answer."""
        return await self.finish(self.start(unit, pdu))

    async def replace(self) -> None:
        """After a time-out: drop the connection with all that may still arrive, open a new one."""
        self.close()
        await self.open()
