"""The few ASGI words the guards share: reading headers of a scope, refusing in its protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.server.problems import problem

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from penstock.model import Refused

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def header(scope: Scope, name: bytes) -> str:
    """Value of a header, "" without one; the guards refuse a doubled Host before asking."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def header_count(scope: Scope, name: bytes) -> int:
    """How many headers of this name there are."""
    return sum(key == name for key, _value in scope["headers"])


def is_local_socket(scope: Scope) -> bool:
    """Whether the request came over the Unix socket, whose peer the kernel vouched for."""
    return scope.get("state", {}).get("peer_uid") is not None


async def refuse(refusal: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the problem; a WebSocket is denied with the same answer."""
    response = problem(refusal)
    if scope["type"] != "websocket":
        await response(scope, receive, send)
        return
    await send(
        {
            "type": "websocket.http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }
    )
    await send({"type": "websocket.http.response.body", "body": bytes(response.body)})
