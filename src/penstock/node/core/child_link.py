"""Core's end of the link to a child process: what field and compute have in common.

A session comes and goes with the child; what it has said last is forgotten with it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from penstock import __version__
from penstock.codec.layout import Damaged
from penstock.codec.link import LinkType, decode_json
from penstock.link.downlink import Downlink
from penstock.link.session import Session
from penstock.model import NotConnected

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from uuid import UUID

    from penstock.codec.link import LinkHeader
    from penstock.link.downlink import LogDoor
    from penstock.model.event import Json

    Document = dict[str, Json]

log = structlog.get_logger()

# A child sends a heartbeat each second.
TICK_S = 1.0


class ChildLink:
    """The one process `name` of this node; subclasses say what travels beside batches."""

    name = ""
    quiet_ticks_max = 5

    def __init__(
        self, log_door: LogDoor, handle_of: Callable[[UUID], int | None], hello: Document
    ) -> None:
        self._log_door = log_door
        self._handle_of = handle_of
        self._hello: Document = {**hello, "version": __version__}
        self._session: Session | None = None
        self._serving: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._is_up = asyncio.Event()
        self._frames = 0
        self.on_lost: Callable[[], None] = lambda: None
        self.heartbeat: Document = {}
        self.counters: dict[str, int] = {}

    @property
    def is_connected(self) -> bool:
        """Whether the process is on the link."""
        return self._is_up.is_set()

    async def connect(self, sock: socket.socket) -> None:
        """Serve a fresh link; the one before, if any, is given up."""
        async with self._turn:
            await self.close()
            session = await Session.over(sock)
            self._serving = asyncio.get_running_loop().create_task(self._serve(session))

    async def close(self) -> None:
        """End the session; it is not lost then."""
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.cancel()
            await asyncio.wait([serving], timeout=1.0)

    # --- what a subclass gives

    def _on_frame(self, header: LinkHeader, payload: bytes) -> None:
        """A frame that is not about batches, greetings, heartbeats or questions."""

    async def _answer(self, query: Document) -> Document:
        """What the child asks."""
        raise NotImplementedError

    async def _before_hello(self, greeting: Document) -> None:
        """The child has greeted; it is answered, and its batches are taken, after this."""

    def _on_up(self) -> None:
        """The child has greeted and was greeted."""

    def _on_down(self) -> None:
        """A child that was up is gone."""

    # --- the session

    async def _serve(self, session: Session) -> None:
        downlink = Downlink(session, self._log_door, self._handle_of)
        self.counters = downlink.counters
        watch = asyncio.get_running_loop().create_task(self._watch(session))
        try:
            async for header, payload in session.frames():
                self._frames += 1
                if header.type == LinkType.HELLO:
                    await self._before_hello(decode_json(payload))
                self._take(session, downlink, header, payload)
        except (NotConnected, Damaged) as error:
            log.warning("link_lost", peer=self.name, detail=str(error))
        finally:
            watch.cancel()
            was_up = self._is_up.is_set()
            self._session = None
            self._is_up.clear()
            self.heartbeat = {}
            if was_up:
                self._on_down()
            downlink.close()
            if self._serving is asyncio.current_task():
                self.on_lost()
            await session.close()

    async def _watch(self, session: Session) -> None:
        """A child that lives and says nothing is as good as gone: end the session.

        Ticks are counted and not time, so that after a pause of this process all that
        has arrived meanwhile is read before anybody is called silent.
        """
        quiet, heard = 0, self._frames
        while quiet < self.quiet_ticks_max:
            await asyncio.sleep(TICK_S)
            is_quiet = self._session is session and self._frames == heard
            quiet, heard = quiet + 1 if is_quiet else 0, self._frames
        log.warning("child_silent", peer=self.name, seconds=self.quiet_ticks_max * TICK_S)
        session.abort()

    def _take(
        self, session: Session, downlink: Downlink, header: LinkHeader, payload: bytes
    ) -> None:
        if header.type == LinkType.BATCH:
            downlink.on_batch(payload)
        elif header.type == LinkType.DICTIONARY:
            downlink.on_dictionary(payload)
        elif header.type == LinkType.HELLO:
            session.send_json(LinkType.HELLO, {**self._hello, "credit": downlink.open()})
            self._session = session
            self._is_up.set()
            self._on_up()
        elif header.type == LinkType.HEARTBEAT:
            self.heartbeat = decode_json(payload)
        elif header.type == LinkType.QUERY:
            session.answer(payload, self._answer)
        else:
            self._on_frame(header, payload)
