"""Limits every request meets: size of the body, time to the first byte, requests a second.

What a limit refuses is counted, and the answer says when to come back.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from penstock.model import Refused
from penstock.model.time import SECOND_NS
from penstock.server.asgi import header, is_local_socket, refuse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from penstock.server.settings import ServerSettings
    from penstock.world import Clock

ADDRESSES_MAX = 4_096


class BodyLimit:
    """Refuses a body by its declared length, or in the middle of one that lied or declared none."""

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._bytes_max = settings.body_bytes_max
        self._by_path = dict(settings.body_bytes_by_path)
        self._uploads = dict(settings.uploads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what is received."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        bytes_max = self._limit(scope["path"])
        declared = header(scope, b"content-length")
        if declared.isdecimal() and int(declared) > bytes_max:
            await refuse(Refused("too_large", bytes_max=bytes_max), scope, receive, send)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > bytes_max:
                raise HTTPException(413)
            return message

        await self._app(scope, receive_counted, send)

    def _limit(self, path: str) -> int:
        if path in self._uploads:
            return self._uploads[path]
        fitting = [size for prefix, size in self._by_path.items() if path.startswith(prefix)]
        return max(fitting, default=self._bytes_max)


class TimeLimit:
    """Ends a request that has not begun its answer in time; a long download may go on.

    An upload may take longer too, but each part of it must come in time.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._timeout_s = settings.request_timeout_s
        self._uploads = frozenset(settings.uploads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on under a deadline; WebSockets have none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._timeout_s) as deadline:

                async def send_started(message: Message) -> None:
                    if message["type"] == "http.response.start":
                        deadline.reschedule(None)
                    await send(message)

                async def receive_in_time() -> Message:
                    message = await receive()
                    if message.get("body") and deadline.when() is not None:
                        now_s = asyncio.get_running_loop().time()
                        deadline.reschedule(now_s + self._timeout_s)
                    return message

                is_upload = scope["path"] in self._uploads
                await self._app(scope, receive_in_time if is_upload else receive, send_started)
        except TimeoutError:
            if not deadline.expired():
                raise
            await refuse(Refused("too_slow", retry_after_s=5), scope, receive, send)


class RateLimit:
    """A token bucket for each client address; the oldest addresses are forgotten."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, clock: Clock) -> None:
        self._app = app
        self._per_s = settings.requests_per_s
        self._burst = float(settings.requests_burst)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self.refused = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse when the address's bucket is empty."""
        client = scope.get("client")
        if is_local_socket(scope) or client is None or self._take(client[0]):
            await self._app(scope, receive, send)
            return
        self.refused += 1
        await refuse(Refused("busy", retry_after_s=1), scope, receive, send)

    def _take(self, address: str) -> bool:
        now_ns = self._clock.monotonic_ns()
        tokens, last_ns = self._buckets.get(address, (self._burst, now_ns))
        tokens = min(self._burst, tokens + (now_ns - last_ns) / SECOND_NS * self._per_s)
        is_enough = tokens >= 1
        self._buckets[address] = (tokens - 1 if is_enough else tokens, now_ns)
        self._buckets.move_to_end(address)
        if len(self._buckets) > ADDRESSES_MAX:
            self._buckets.popitem(last=False)
        return is_enough
