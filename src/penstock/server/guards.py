"""What every request passes before a route sees it: address, origin, CSRF, headers.

Pure ASGI and outermost, so that even an internal error leaves with its security
headers. Each guard takes an app and is one: they are nested in app.py.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from typing import TYPE_CHECKING

from fastapi.requests import HTTPConnection

from penstock.model import Refused
from penstock.security.routes import session_token
from penstock.security.sessions import is_csrf_right
from penstock.server.asgi import SAFE_METHODS, header, header_count, is_local_socket, refuse
from penstock.server.problems import REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
SECURITY_HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
HSTS = (b"strict-transport-security", b"max-age=31536000")
# These begin a session, so a page that has none must be able to post to them.
NO_CSRF_PATHS = frozenset({"/api/v1/session", "/api/v1/setup"})

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")


class HeaderGuard:
    """Gives each request an id and each answer its security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; the answer's start is completed on its way out."""
        request_id = secrets.token_hex(8)
        scope[REQUEST_ID] = request_id
        extra = [*SECURITY_HEADERS, (b"x-request-id", request_id.encode())]
        if _wants_hsts(scope):
            extra.append(HSTS)

        async def send_with_headers(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                given = list(message.get("headers", ()))
                names = {name for name, _value in given}
                missing = [item for item in extra if item[0] not in names]
                if b"cache-control" not in names:
                    missing.append((b"cache-control", b"no-store"))
                message = {**message, "headers": given + missing}
            await send(message)

        await self._app(scope, receive, send_with_headers)


class HostGuard:
    """Answers only to names that are ours, so that a foreign name cannot be re-bound to us.

    The port is not compared: `ssh -L 9000:127.0.0.1:8080` changes it. An address
    is fine when the connection really arrived at it.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        self._app = app
        self._names = {name.casefold().rstrip(".") for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a foreign, missing or doubled Host."""
        is_ours = header_count(scope, b"host") == 1 and self._is_ours(scope)
        if is_local_socket(scope) or is_ours:
            await self._app(scope, receive, send)
        else:
            await refuse(Refused("bad_host"), scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        name = host_name(header(scope, b"host"))
        server = scope.get("server") or ("", None)
        return name in self._names or (bool(name) and name == server[0])


class StageGuard:
    """Until the set-up link is used, only this machine is answered."""

    def __init__(self, app: ASGIApp, is_set_up: Callable[[], bool]) -> None:
        self._app = app
        self._is_set_up = is_set_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a client from elsewhere with the way to go."""
        if is_local_socket(scope) or _is_loopback_client(scope) or self._is_set_up():
            await self._app(scope, receive, send)
        else:
            await refuse(Refused("setup_needed"), scope, receive, send)


class OriginGuard:
    """A browser's unsafe request must come from our own page and carry the page's CSRF token."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what another site could have made the browser send."""
        refusal = None if is_local_socket(scope) else _origin_refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refuse(refusal, scope, receive, send)


def host_name(host: str) -> str:
    """Name of a Host header without its port; "" for one that is malformed."""
    match = _HOST.fullmatch(host)
    return match[1].strip("[]").casefold().rstrip(".") if match else ""


def _origin_refusal(scope: Scope) -> Refused | None:
    is_socket = scope["type"] == "websocket"
    if not is_socket and scope["method"] in SAFE_METHODS:
        return None
    if not _is_same_origin(scope):
        return Refused("bad_origin")
    is_exempt = scope.get("method") == "POST" and scope["path"] in NO_CSRF_PATHS
    token = "" if is_socket or is_exempt else session_token(HTTPConnection(scope))
    if token and not is_csrf_right(token, header(scope, b"x-csrf-token")):
        return Refused("bad_csrf")
    return None


def _is_same_origin(scope: Scope) -> bool:
    """Browsers send Origin with every unsafe request; who sends none is no browser."""
    if header(scope, b"sec-fetch-site") not in {"", "same-origin", "none"}:
        return False
    if not header_count(scope, b"origin"):
        return True
    is_tls = scope["scheme"] in {"https", "wss"}
    expected = f"{'https' if is_tls else 'http'}://{header(scope, b'host')}"
    return header(scope, b"origin").casefold() == expected.casefold()


def _is_loopback_client(scope: Scope) -> bool:
    client = scope.get("client")
    try:
        return client is not None and ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False


def _wants_hsts(scope: Scope) -> bool:
    """Not for localhost: a browser would then refuse plain HTTP on every port of localhost."""
    if scope["scheme"] not in {"https", "wss"}:
        return False
    name = host_name(header(scope, b"host"))
    return bool(name) and name != "localhost" and not name.endswith(".localhost")
