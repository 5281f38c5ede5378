"""What can go wrong, named by what the caller can do about it.

ClientError
├── Unreachable   nothing answers there, or it is not yours to ask: start it, mend the address
├── Untrusted     whoever answers is not who was meant: compare the certificate
├── TimedOut      no answer in time: ask for less, or wait longer
├── BrokenOff     the answer ended in the middle: ask again
├── Cancelled     you said so
├── Problem       the plant refused: `code`, `detail` and `remedy` say why and what to do
├── NoSuchPoint   no point has this path or fits this pattern: `near` has similar ones
├── Missing       a library of yours is not installed
└── Unexpected    the answer is not what this client knows: another version, or a bug
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ClientError(Exception):
    """Base of all: the text says what happened and what to do."""


class Unreachable(ClientError):
    """Nothing answers at the address, or its socket belongs to another user."""


class Untrusted(ClientError):
    """The server's certificate is not of the authority that was named, or not for its name."""


class TimedOut(ClientError):
    """No answer within the time that was given."""


class BrokenOff(ClientError):
    """The connection ended before the answer did; asking again may help."""


class Cancelled(ClientError):
    """The request was given up by `Client.cancel`."""


class Unexpected(ClientError):
    """The answer has another shape than this client knows."""


class Missing(ClientError, ImportError):
    """A library that this method needs is not installed."""


class NoSuchPoint(ClientError):
    """No point fits; `near` has the paths that look most like it."""

    def __init__(self, pattern: str, near: Sequence[str] = ()) -> None:
        self.pattern = pattern
        self.near = tuple(near)
        hint = f" Near it are: {', '.join(near)}." if near else ""
        super().__init__(f"No point fits {pattern!r}.{hint}")


class Problem(ClientError):
    """A refusal (RFC 9457), in the words of docs/reference/problems.md.

    `status` is that of HTTP, `errors` are (path, message) of single fields, `wait_s` is
    how long to wait before the next try, if the plant has said it.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        remedy: str = "",
        *,
        status: int = 0,
        params: Mapping[str, object] | None = None,
        errors: Sequence[tuple[str, str]] = (),
        request_id: str = "",
        wait_s: float | None = None,
    ) -> None:
        self.code = code
        self.detail = detail
        self.remedy = remedy
        self.status = status
        self.params = dict(params or {})
        self.errors = tuple(errors)
        self.request_id = request_id
        self.wait_s = wait_s
        fields = "".join(f"\n  {path}: {message}" for path, message in errors)
        super().__init__(" ".join(filter(None, (detail, remedy))) + fields)
