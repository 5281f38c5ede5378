"""The running server over its Unix socket; whoever owns the data folder needs no password.

It uses http.client and not httpx, because reading httpx from the disk takes
longer than the 150 ms in which a verb has to say something.
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlencode

from penstock.cli.document import document, rows, text
from penstock.cli.outcome import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from penstock.cli.document import Document
    from penstock.node.home import Home

BASE = "/api/v1"
TIMEOUT_S = 35.0
PROBE_S = 2.0
ANSWER_BYTES_MAX = 256 * 1024 * 1024
PART_BYTES = 1024 * 1024


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def is_running(home: Home) -> bool:
    """Whether a server answers at the socket of `home`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_S)
        try:
            probe.connect(str(home.socket))
        except OSError:
            return False
    return True


def not_running(home: Home) -> Fault:
    """The sentence for a verb that needs a server."""
    return Fault(
        f"Penstock does not run in {home.root}; start it with `penstock up --home {home.root}`."
    )


class BrokenOff(Fault):
    """The connection ended in the middle of an answer; asking again may help."""


class Client:
    """Requests to the API; every refusal is a Fault with the server's own words."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Document:
        """The answer of GET below /api/v1."""
        return _parsed(self.get_bytes(path, query))

    def get_bytes(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """The body as it is (CSV)."""
        return self._ask("GET", f"{path}?{urlencode(query)}" if query else path, None)

    def post(self, path: str, body: Document | None = None) -> Document:
        """The answer of POST; each call has an Idempotency-Key of its own."""
        return _parsed(self._ask("POST", path, body or {}))

    def upload(self, path: str, file: Path) -> Document:
        """The answer of POST with a file as its body, read as it is sent."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(file.stat().st_size),
        }
        with file.open("rb") as body, self._open("POST", path, body, headers) as answer:
            return _parsed(answer.read(ANSWER_BYTES_MAX))

    def put(self, path: str, body: Document) -> None:
        """PUT without an answer."""
        self._ask("PUT", path, body)

    def delete(self, path: str) -> None:
        """DELETE without an answer."""
        self._ask("DELETE", path, None)

    def fetch(
        self,
        method: str,
        path: str,
        out: BinaryIO,
        body: Document | None = None,
        begin: int = 0,
    ) -> dict[str, str]:
        """Copy the body to `out` as it comes, from byte `begin` on; the headers, small letters."""
        headers = {"Range": f"bytes={begin}-"} if begin else {}
        with self._open(method, path, body, headers) as answer:
            shutil.copyfileobj(answer, out, PART_BYTES)
            return {name.lower(): value for name, value in answer.getheaders()}

    def _ask(self, method: str, path: str, body: Document | None) -> bytes:
        with self._open(method, path, body, {}) as answer:
            return answer.read(ANSWER_BYTES_MAX)

    @contextmanager
    def _open(
        self,
        method: str,
        path: str,
        body: Document | BinaryIO | None,
        headers: Mapping[str, str],
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer, to be read inside the block; whatever goes wrong is a Fault."""
        connection = _UnixConnection(str(self._home.socket), TIMEOUT_S)
        given = {"Idempotency-Key": str(uuid.uuid4()), "Accept": "application/json", **headers}
        data: bytes | BinaryIO | None = None
        if isinstance(body, dict):
            given["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        elif body is not None:
            data = body
        try:
            connection.request(method, BASE + path, data, given)
            answer = connection.getresponse()
            if answer.status >= http.client.BAD_REQUEST:
                raise _refusal(answer.status, answer.read(ANSWER_BYTES_MAX))
            yield answer
        except TimeoutError as error:
            raise Fault(
                f"Penstock in {self._home.root} did not answer within {TIMEOUT_S:.0f} s; "
                "see `penstock doctor` and its logs folder."
            ) from error
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise not_running(self._home) from error
        except PermissionError as error:
            raise Fault(
                f"{self._home.socket} belongs to another user; run this as the owner of "
                f"{self._home.root} or as root."
            ) from error
        except BrokenPipeError:
            raise  # of our own output: `penstock query … | head`
        except (ConnectionError, http.client.HTTPException) as error:
            raise BrokenOff(
                f"Penstock in {self._home.root} broke off the answer "
                f"({type(error).__name__}); it may be stopping. Try again in a moment."
            ) from error
        finally:
            connection.close()


def _parsed(content: bytes) -> Document:
    try:
        return document(json.loads(content))
    except ValueError as error:
        raise Fault("The server's answer is not JSON; is another program at the socket?") from error


def _refusal(status: int, content: bytes) -> Fault:
    """RFC 9457: the detail says what, the remedy says what to do, `errors` say where."""
    try:
        problem = document(json.loads(content))
        errors = rows(problem.get("errors") or [])
    except (ValueError, Fault):
        return Fault(f"The server answered HTTP {status}; see its log.")
    words = [text(problem.get("detail")) or text(problem.get("title")), text(problem.get("remedy"))]
    lines = [f"{text(item.get('path'))}: {text(item.get('message'))}" for item in errors]
    return Fault(" ".join(filter(None, words)) or f"HTTP {status}.", lines)
