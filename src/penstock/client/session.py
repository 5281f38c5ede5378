"""Requests of one client: who it is, what is tried again, and when it gives up.

Over HTTP it logs in as the web app does: a session cookie, and the CSRF token beside
every request that changes something. The password is sent again when a session has ended.
"""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from penstock.client.document import text
from penstock.client.errors import BrokenOff, ClientError, Problem, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from penstock.client.document import Document
    from penstock.client.patience import Patience
    from penstock.client.wire import Answer, Wire

PART_BYTES = 1024 * 1024
_T = TypeVar("_T")


class Session:
    """Asks over a Wire; `user` is empty at the local socket, which needs no password."""

    def __init__(self, wire: Wire, user: str, password: str, patience: Patience) -> None:
        self._wire = wire
        self._user = user
        self._password = password
        self._patience = patience
        self._has_answered = False
        self._logging_in = threading.Lock()

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Document:
        """The answer of GET below /api/v1."""
        return self.ask("GET", path, lambda answer: answer.json(), query=query)

    def post(
        self, path: str, body: Document | None = None, *, is_repeatable: bool = True
    ) -> Document:
        """The answer of POST; each has an Idempotency-Key of its own, the same at each try."""
        return self.ask(
            "POST", path, lambda answer: answer.json(), body=body or {}, is_repeatable=is_repeatable
        )

    def put(self, path: str, body: Document) -> None:
        """PUT; its answer is not looked at."""
        self.ask("PUT", path, lambda answer: answer.whole(), body=body)

    def upload(self, path: str, query: Mapping[str, str], file: Path) -> Document:
        """The answer of POST with a file as its body, read as it is sent. Tried once."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(file.stat().st_size),
            "Idempotency-Key": str(uuid.uuid4()),
        }
        self._logged_in("")
        with (
            file.open("rb") as body,
            self._wire.ask("POST", path, query=query, body=body, headers=headers) as answer,
        ):
            return answer.json()

    def delete(self, path: str) -> None:
        """DELETE without an answer."""
        self.ask("DELETE", path, lambda answer: answer.whole())

    def fetch(
        self,
        method: str,
        path: str,
        out: BinaryIO,
        body: Document | None = None,
        begin: int = 0,
    ) -> dict[str, str]:
        """Copy a body to `out` as it comes, from byte `begin` on; its headers. Tried once."""

        def copied(answer: Answer) -> dict[str, str]:
            while part := answer.read(PART_BYTES):
                out.write(part)
            return answer.headers

        headers = {"Range": f"bytes={begin}-"} if begin else {}
        return self._once(method, path, copied, None, body, headers)

    def ask(
        self,
        method: str,
        path: str,
        read: Callable[[Answer], _T],
        *,
        query: Mapping[str, str] | None = None,
        body: Document | None = None,
        is_repeatable: bool = True,
    ) -> _T:
        """What `read` makes of the answer; tried again as Patience says.

        With `is_repeatable` also when the connection broke and nobody knows what was done.
        """
        headers = {} if method == "GET" else {"Idempotency-Key": str(uuid.uuid4())}
        waits = self._patience.waits()
        while True:
            try:
                return self._once(method, path, read, query, body, headers)
            except Problem as problem:
                waits.after(problem)
            except (BrokenOff, Unreachable) as error:
                if not (is_repeatable and self._has_answered):
                    raise
                waits.after(error)

    def close(self) -> None:
        """Log out, if the plant can still be asked, and close the connections."""
        if "Cookie" in self._wire.headers and not self._wire.is_cancelled:
            try:
                with self._wire.ask("DELETE", "/session") as answer:
                    answer.whole()
            except ClientError:
                pass  # a session that nobody uses ends by itself
        self._wire.headers.clear()
        self._wire.close()

    def _once(
        self,
        method: str,
        path: str,
        read: Callable[[Answer], _T],
        query: Mapping[str, str] | None,
        body: Document | None,
        headers: Mapping[str, str],
    ) -> _T:
        cookie = self._logged_in("")
        try:
            with self._wire.ask(method, path, query=query, body=body, headers=headers) as answer:
                self._has_answered = True
                return read(answer)
        except Problem as problem:
            if problem.code != "no_session" or not self._user:
                raise
        self._logged_in(cookie)
        with self._wire.ask(method, path, query=query, body=body, headers=headers) as answer:
            return read(answer)

    def _logged_in(self, ended: str) -> str:
        """The cookie in use; logs in if there is none, or only the one that has ended."""
        if not self._user:
            return ""
        with self._logging_in:
            if self._wire.headers.get("Cookie", "") == ended:
                self._log_in()
            return self._wire.headers["Cookie"]

    def _log_in(self) -> None:
        self._wire.headers.clear()
        body: Document = {"name": self._user, "password": self._password}
        with self._wire.ask("POST", "/session", body=body) as answer:
            cookie = answer.headers.get("set-cookie", "").partition(";")[0]
            csrf = text(answer.json().get("csrf"))
        self._wire.headers.update({"Cookie": cookie, "X-CSRF-Token": csrf})
