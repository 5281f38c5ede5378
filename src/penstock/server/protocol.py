"""uvicorn's HTTP protocol with two things it lacks: a deadline for headers, and the local peer.

A connection that never ends a request's headers would stay open for ever. At the Unix
socket the kernel names the peer's user; anybody but the owner and root is cut
off before a byte is read.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_LOCAL_PEERCRED = 1
FIRST_REQUEST_TIMEOUT_S = 10.0


class PenstockProtocol(H11Protocol):
    """Ends a connection on which a request was begun, or the first not sent, and stays half."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline of the first request."""
        super().connection_made(transport)
        self._start_deadline()

    def data_received(self, data: bytes) -> None:
        """The first byte of every request starts its deadline, whole headers end it."""
        super().data_received(data)
        self._watch_headers()

    def on_response_complete(self) -> None:
        """Bytes of a next request may have come meanwhile."""
        super().on_response_complete()
        self._watch_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._end_deadline()
        super().connection_lost(exc)

    def _watch_headers(self) -> None:
        is_half = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if not is_half:
            self._end_deadline()
        elif self._deadline is None:
            self._start_deadline()

    def _start_deadline(self) -> None:
        timeout_s = getattr(self.config, "first_request_timeout_s", FIRST_REQUEST_TIMEOUT_S)
        self._deadline = self.loop.call_later(timeout_s, self.transport.abort)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class LocalProtocol(PenstockProtocol):
    """At the Unix socket: the peer's uid goes into the scope's state."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse a foreign user without an answer."""
        super().connection_made(transport)
        uid = peer_uid(transport.get_extra_info("socket").fileno())
        if uid not in {0, os.geteuid()}:
            transport.abort()
            return
        self.app_state = {**self.app_state, "peer_uid": uid}


def peer_uid(descriptor: int) -> int:
    """User id of the process at the other end, as the kernel knows it."""
    with socket.socket(fileno=os.dup(descriptor)) as peer:
        if sys.platform == "darwin":
            credentials = peer.getsockopt(0, _LOCAL_PEERCRED, struct.calcsize("=II"))
            return int(struct.unpack("=II", credentials)[1])
        credentials = peer.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("=iII")
        )
        return int(struct.unpack("=iII", credentials)[1])
