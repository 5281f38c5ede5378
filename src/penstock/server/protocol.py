"""uvicorn's HTTP protocol with two things it lacks: a first deadline, and who the local peer is.

A connection that never sends a request would stay open for ever. At the Unix
socket the kernel names the peer's user; anybody but the owner and root is cut
off before a byte is read.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys

from uvicorn.protocols.http.h11_impl import H11Protocol

_LOCAL_PEERCRED = 1
FIRST_REQUEST_TIMEOUT_S = 10.0


class PenstockProtocol(H11Protocol):
    """Ends a connection whose first request does not arrive in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline."""
        super().connection_made(transport)
        timeout_s = getattr(self.config, "first_request_timeout_s", FIRST_REQUEST_TIMEOUT_S)
        self._deadline = self.loop.call_later(timeout_s, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._deadline.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        """`scope` is set by the first request whose headers are complete."""
        if getattr(self, "scope", None) is None:
            self.transport.abort()


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
