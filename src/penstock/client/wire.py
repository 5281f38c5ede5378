"""HTTP to one node: over its Unix socket, TLS, or plain TCP on this computer.

It uses http.client and not httpx, because reading httpx from the disk takes longer than
the 150 ms in which a verb of the command line has to say something. Connections are kept
open and used again; a kept one that the server has closed meanwhile is no error.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlencode, urlsplit

from penstock.client.document import document, rows, text
from penstock.client.errors import (
    BrokenOff,
    Cancelled,
    ClientError,
    Problem,
    TimedOut,
    Unexpected,
    Unreachable,
    Untrusted,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

    from penstock.client.document import Document

BASE = "/api/v1"
TIMEOUT_S = 35.0
ANSWER_BYTES_MAX = 256 * 1024 * 1024
IDLE_MAX = 4
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a node answers: `path` of a socket, or `host` and `port`, with TLS if `is_tls`."""

    path: str = ""
    host: str = ""
    port: int = 0
    is_tls: bool = False

    @classmethod
    def parse(cls, url: str) -> Target:
        """From "https://host:port", or "http://" with a name of this computer.

        ValueError for anything else: a password never crosses a network in clear.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{url!r} is no address such as https://plant-pc.local:8443.")
        if parts.path not in {"", "/"} or parts.query or parts.username is not None:
            raise ValueError(f"{url!r} has more than scheme, host and port.")
        is_tls = parts.scheme == "https"
        if not is_tls and parts.hostname not in LOOPBACK:
            raise ValueError(f"{url!r}: only https goes to another computer.")
        return cls(host=parts.hostname, port=parts.port or (443 if is_tls else 80), is_tls=is_tls)

    def __str__(self) -> str:
        return self.path or f"{'https' if self.is_tls else 'http'}://{self.host}:{self.port}"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Answer:
    """An answer while it is read; its errors are ours."""

    def __init__(self, wire: Wire, response: http.client.HTTPResponse) -> None:
        self._wire = wire
        self._response = response
        self._left = response.length
        self.status = response.status

    @property
    def headers(self) -> dict[str, str]:
        """By their names in small letters."""
        return {name.lower(): value for name, value in self._response.getheaders()}

    def read(self, size: int = ANSWER_BYTES_MAX) -> bytes:
        """Up to `size` bytes, none at the end; BrokenOff if the end came too early."""
        with self._wire.told():
            part = self._response.read(size)
        if self._left is not None:
            self._left -= len(part)
            if not part and self._left > 0:
                raise self._wire.broken("IncompleteRead")
        return part

    def whole(self) -> bytes:
        """Everything; Unexpected beyond ANSWER_BYTES_MAX."""
        parts = []
        left = ANSWER_BYTES_MAX
        while part := self.read(left + 1):
            left -= len(part)
            if left < 0:
                raise Unexpected(f"The answer has more than {ANSWER_BYTES_MAX} bytes.")
            parts.append(part)
        return b"".join(parts)

    def json(self) -> Document:
        """An object, empty for an answer without content; Unexpected for anything else."""
        data = self.whole()
        if self.status == HTTPStatus.NO_CONTENT and not data:
            return {}
        try:
            return document(json.loads(data))
        except ValueError as error:
            raise Unexpected(
                "The server's answer is not JSON; is another program at this address?"
            ) from error


@dataclass
class Wire:
    """Requests to one node; `headers` go with each, `context` makes a TLS context when needed."""

    target: Target
    timeout_s: float = TIMEOUT_S
    context: Callable[[], ssl.SSLContext] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    idle_max: int = IDLE_MAX
    is_cancelled: bool = False
    _idle: list[http.client.HTTPConnection] = field(default_factory=list)
    _used: set[http.client.HTTPConnection] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Document | BinaryIO | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[Answer]:
        """The answer to one request below /api/v1, to be read inside the block.

        A body is JSON, or a file that is read as it is sent; then `headers` say its length.
        Problem, Unreachable, Untrusted, TimedOut, BrokenOff or Cancelled.
        """
        given = {"Accept": "application/json", **self.headers, **(headers or {})}
        data: bytes | BinaryIO | None = None
        if isinstance(body, dict):
            given["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        elif body is not None:
            data = body
        address = BASE + path + (f"?{urlencode(query)}" if query else "")
        connection, response = self._begin(method, address, data, given)
        is_whole = False
        try:
            answer = Answer(self, response)
            if answer.status >= http.client.BAD_REQUEST:
                raise _problem(answer)
            yield answer
            is_whole = response.isclosed() and not response.will_close
        finally:
            self._put_back(connection, is_usable=is_whole)

    def close(self) -> None:
        """Close the connections that are kept."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def cancel(self) -> None:
        """End what is being asked, from another thread; it raises Cancelled there."""
        self.is_cancelled = True
        with self._lock:
            used = [*self._used]
        for connection in used:
            sock = connection.sock
            if sock is not None:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # it has ended by itself

    @contextmanager
    def told(self) -> Iterator[None]:
        """Errors of sockets and HTTP as ours."""
        try:
            yield
        except TimeoutError as error:
            raise TimedOut(
                f"{self.target} did not answer within {self.timeout_s:.0f} s. "
                "Ask for less, or give the client a longer timeout_s."
            ) from error
        except (ConnectionError, http.client.HTTPException, OSError) as error:
            raise self.broken(type(error).__name__) from error

    def broken(self, name: str) -> ClientError:
        """The answer ended: because somebody cancelled it, or by itself."""
        if self.is_cancelled:
            return Cancelled("The request was cancelled.")
        return BrokenOff(
            f"{self.target} broke off the answer ({name}); it may be stopping. "
            "Try again in a moment."
        )

    def _begin(
        self,
        method: str,
        address: str,
        data: bytes | BinaryIO | None,
        headers: Mapping[str, str],
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send the request; the second try is for a kept connection that was closed meanwhile."""
        while True:
            connection, is_kept = self._connection()
            is_begun = False
            try:
                with self.told():
                    connection.request(method, address, data, dict(headers))
                    response = connection.getresponse()
                is_begun = True
                return connection, response
            except BrokenOff as error:
                is_again = is_kept and not hasattr(data, "read")
                if not (is_again and _is_stale(error.__cause__)):
                    raise
            finally:
                if not is_begun:
                    self._put_back(connection, is_usable=False)

    def _connection(self) -> tuple[http.client.HTTPConnection, bool]:
        """A connection, and whether it was used before."""
        if self.is_cancelled:
            raise Cancelled("The client was cancelled.")
        with self._lock:
            connection = self._idle.pop() if self._idle else None
            if connection is not None:
                self._used.add(connection)
                return connection, True
        made = self._connected()
        with self._lock:
            self._used.add(made)
        return made, False

    def _connected(self) -> http.client.HTTPConnection:
        target = self.target
        connection: http.client.HTTPConnection
        if target.path:
            connection = _UnixConnection(target.path, self.timeout_s)
        elif target.is_tls:
            assert self.context is not None
            connection = http.client.HTTPSConnection(
                target.host, target.port, timeout=self.timeout_s, context=self.context()
            )
        else:
            connection = http.client.HTTPConnection(
                target.host, target.port, timeout=self.timeout_s
            )
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise _unreached(target, error) from error
        return connection

    def _put_back(self, connection: http.client.HTTPConnection, *, is_usable: bool) -> None:
        with self._lock:
            self._used.discard(connection)
            if is_usable and len(self._idle) < self.idle_max and not self.is_cancelled:
                self._idle.append(connection)
                return
        connection.close()


def _is_stale(cause: BaseException | None) -> bool:
    """The server closed a kept connection before it saw the request."""
    return isinstance(cause, ConnectionResetError | BrokenPipeError)


def _unreached(target: Target, error: OSError) -> ClientError:
    if isinstance(error, TimeoutError):
        return TimedOut(f"{target} did not take the connection in time.")
    if isinstance(error, PermissionError):
        return Unreachable(
            f"{target} belongs to another user; run this as the owner of its home or as root, "
            "or log in over https."
        )
    if type(error).__name__ == "SSLCertVerificationError":
        reason = getattr(error, "verify_message", "") or str(error)
        return Untrusted(
            f"The certificate of {target} is not to be trusted: {reason}. Name the authority of "
            "the node with ca=, and an address that its certificate has."
        )
    return Unreachable(f"Nothing answers at {target} ({error}). Is Penstock running there?")


def _problem(answer: Answer) -> ClientError:
    """RFC 9457; an answer that is none has the code "http"."""
    headers = answer.headers
    try:
        body = answer.json()
        errors = [(text(row.get("path")), text(row.get("message"))) for row in rows(_list(body))]
    except Unexpected:
        body, errors = {}, []
    detail = text(body.get("detail")) or text(body.get("title"))
    wait = headers.get("retry-after", "")
    return Problem(
        text(body.get("code")) or "http",
        detail or f"The server answered HTTP {answer.status}; see its log.",
        text(body.get("remedy")),
        status=answer.status,
        params=document(body.get("params") or {}),
        errors=errors,
        request_id=headers.get("x-request-id", ""),
        wait_s=float(wait) if wait.isdecimal() else None,
    )


def _list(body: Document) -> object:
    return body.get("errors") or []


def is_answering(path: Path, timeout_s: float) -> bool:
    """Whether somebody listens at a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(timeout_s)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
