"""Control channel between the supervisor and its children: JSON lines and sockets.

It carries what is about the processes themselves (ready, ports, stop, a fresh
end of a link after the other end died), never a sample.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGE_BYTES_MAX = 256 * 1024
FDS_MAX = 4
ALIVE_S = 2.0
ENVIRONMENT = "PENSTOCK_CONTROL_FD"

Message = dict[str, object]


class Control:
    """One end of a control channel on the running event loop."""

    def __init__(
        self,
        sock: socket.socket,
        on_message: Callable[[Message, list[int]], None],
        on_close: Callable[[], None],
    ) -> None:
        self._sock = sock
        self._on_message = on_message
        self._on_close = on_close
        self._buffer = b""
        self._fds: list[int] = []
        self._is_open = True
        self._beat: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._read)

    @classmethod
    def inherited(
        cls, on_message: Callable[[Message, list[int]], None], on_close: Callable[[], None]
    ) -> Control | None:
        """The child's end, named by an environment variable; None for a process run by hand."""
        number = os.environ.pop(ENVIRONMENT, "")
        if not number:
            return None
        return cls(socket.socket(fileno=int(number)), on_message, on_close)

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Send one message; a full or closed channel loses it, the other end is being replaced."""
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        assert len(data) <= MESSAGE_BYTES_MAX
        with contextlib.suppress(OSError):
            if fds:
                socket.send_fds(self._sock, [data], list(fds))
            else:
                self._sock.sendall(data)

    def keep_alive(self) -> None:
        """Tell the other end, now and every few seconds, that this event loop turns."""
        self.send({"op": "alive"})
        self._beat = self._loop.call_later(ALIVE_S, self.keep_alive)

    def close(self) -> None:
        """Stop listening and close."""
        if self._is_open:
            self._is_open = False
            if self._beat is not None:
                self._beat.cancel()
            self._loop.remove_reader(self._sock)
            self._sock.close()

    def _read(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self._sock, MESSAGE_BYTES_MAX, FDS_MAX)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data:
            self.close()
            self._on_close()
            return
        self._fds += fds
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            taken = self._fds if message.get("fds") else []
            self._fds = [] if taken else self._fds
            self._on_message(message, taken)
