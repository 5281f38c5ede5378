"""The WebSocket of live.py: reads what a page wants, writes what is due."""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
import asyncio
import contextlib
from typing import Annotated, Literal

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from penstock.security import Security
from penstock.security.principal import Principal
from penstock.security.routes import requires
from penstock.server.live import POINTS_MAX, LiveClient, LiveHub

ALIVE_CHECK_S = 5.0
SEND_TIMEOUT_S = 30.0
CLOSE_LOGGED_OUT = 4401
CLOSE_TOO_MANY = 4429
CLOSE_BAD_MESSAGE = 4400
CLOSE_TOO_MANY_POINTS = 4413


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SubMessage(_Message):
    """Show me these points."""

    op: Literal["sub"]
    sid: int = Field(ge=1, le=2**32 - 1)
    points: list[str] = Field(max_length=POINTS_MAX)
    hz: float = Field(default=2.0, gt=0)


class UnsubMessage(_Message):
    """No longer."""

    op: Literal["unsub"]
    sid: int


class PingMessage(_Message):
    """Keeps proxies awake."""

    op: Literal["ping"]


_MESSAGE: TypeAdapter[SubMessage | UnsubMessage | PingMessage] = TypeAdapter(
    Annotated[SubMessage | UnsubMessage | PingMessage, Field(discriminator="op")]
)


def live_routes(hub: LiveHub, security: Security) -> APIRouter:
    """The live socket."""
    router = APIRouter()

    @router.websocket("/live")
    async def live(
        socket: WebSocket, principal: Annotated[Principal, requires("view", is_anywhere=True)]
    ) -> None:
        """Binary frames down, small JSON up."""
        await socket.accept()
        client = hub.join(principal)
        if client is None:
            await socket.close(CLOSE_TOO_MANY)
            return
        try:
            await _serve(hub, security, socket, client)
        finally:
            hub.leave(client)

    return router


async def _serve(hub: LiveHub, security: Security, socket: WebSocket, client: LiveClient) -> None:
    """Until one side ends; the other two tasks end with it."""
    tasks = [
        asyncio.ensure_future(work)
        for work in (
            _receive(hub, socket, client),
            _send(hub, socket, client),
            _watch(security, socket, client),
        )
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        is_end = isinstance(
            result, WebSocketDisconnect | asyncio.CancelledError | TimeoutError | RuntimeError
        )
        if isinstance(result, BaseException) and not is_end:
            raise result


async def _receive(hub: LiveHub, socket: WebSocket, client: LiveClient) -> None:
    while True:
        received = await socket.receive()
        if received["type"] == "websocket.disconnect":
            return
        try:
            message = _MESSAGE.validate_json(received.get("text") or "")
        except ValidationError:
            await socket.close(CLOSE_BAD_MESSAGE)
            return
        if isinstance(message, SubMessage):
            if not hub.subscribe(client, message.sid, message.points, message.hz):
                await socket.close(CLOSE_TOO_MANY_POINTS)
                return
        elif isinstance(message, UnsubMessage):
            hub.unsubscribe(client, message.sid)


async def _send(hub: LiveHub, socket: WebSocket, client: LiveClient) -> None:
    while True:
        await hub.wait_turn(client)
        for message in hub.messages(client):
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await socket.send_bytes(message)


async def _watch(security: Security, socket: WebSocket, client: LiveClient) -> None:
    """A session that was revoked loses its socket within seconds."""
    is_alive = True
    while is_alive:
        await asyncio.sleep(ALIVE_CHECK_S)
        is_alive = security.is_alive(client.principal)
    with contextlib.suppress(RuntimeError):
        await socket.close(CLOSE_LOGGED_OUT)
