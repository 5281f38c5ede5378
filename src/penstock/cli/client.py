"""The running server over its Unix socket; whoever owns the data folder needs no password.

It is the transport of `penstock.client`, with faults in the words of the command line.
"""

from __future__ import annotations

import shutil
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from penstock.cli.outcome import Fault
from penstock.client import errors
from penstock.client.wire import BASE, TIMEOUT_S, Target, Wire, is_answering

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from penstock.cli.document import Document
    from penstock.client.wire import Answer
    from penstock.node.home import Home

__all__ = ["BASE", "BrokenOff", "Client", "is_running", "not_running"]
PROBE_S = 2.0
PART_BYTES = 1024 * 1024


def is_running(home: Home) -> bool:
    """Whether a server answers at the socket of `home`."""
    return is_answering(home.socket, PROBE_S)


def not_running(home: Home) -> Fault:
    """The sentence for a verb that needs a server."""
    return Fault(
        f"Penstock does not run in {home.root}; start it with `penstock up --home {home.root}`."
    )


class BrokenOff(Fault, errors.BrokenOff):
    """The connection ended in the middle of an answer; asking again may help."""


class Client:
    """Requests to the API; every refusal is a Fault with the server's own words."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._wire = Wire(Target(path=str(home.socket)), idle_max=0)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Document:
        """The answer of GET below /api/v1."""
        with self._open("GET", path, query=query) as answer:
            return answer.json()

    def get_bytes(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """The body as it is (CSV)."""
        with self._open("GET", path, query=query) as answer:
            return answer.whole()

    def post(self, path: str, body: Document | None = None) -> Document:
        """The answer of POST; each call has an Idempotency-Key of its own."""
        with self._open("POST", path, body or {}) as answer:
            return answer.json()

    def upload(self, path: str, file: Path) -> Document:
        """The answer of POST with a file as its body, read as it is sent."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(file.stat().st_size),
        }
        with file.open("rb") as body, self._open("POST", path, body, headers) as answer:
            return answer.json()

    def put(self, path: str, body: Document) -> None:
        """PUT without an answer."""
        with self._open("PUT", path, body) as answer:
            answer.whole()

    def delete(self, path: str) -> None:
        """DELETE without an answer."""
        with self._open("DELETE", path) as answer:
            answer.whole()

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
            return answer.headers

    @contextmanager
    def _open(
        self,
        method: str,
        path: str,
        body: Document | BinaryIO | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Iterator[Answer]:
        """The answer, to be read inside the block; whatever goes wrong is a Fault."""
        given = {"Idempotency-Key": str(uuid.uuid4()), **(headers or {})}
        try:
            with self._wire.ask(method, path, query=query, body=body, headers=given) as answer:
                yield answer
        except errors.ClientError as error:
            raise self._fault(error) from error

    def _fault(self, error: errors.ClientError) -> Fault:
        root = self._home.root
        if isinstance(error, errors.TimedOut):
            return Fault(
                f"Penstock in {root} did not answer within {TIMEOUT_S:.0f} s; "
                "see `penstock doctor` and its logs folder."
            )
        if isinstance(error, errors.Unreachable):
            if isinstance(error.__cause__, PermissionError):
                return Fault(
                    f"{self._home.socket} belongs to another user; run this as the owner of "
                    f"{root} or as root."
                )
            return not_running(self._home)
        if isinstance(error, errors.BrokenOff):
            return BrokenOff(
                f"Penstock in {root} broke off the answer; it may be stopping. "
                "Try again in a moment."
            )
        if isinstance(error, errors.Problem):
            lines = [f"{path}: {message}" for path, message in error.errors]
            return Fault(" ".join(filter(None, (error.detail, error.remedy))), lines)
        return Fault(str(error))
