"""A child process on its link to core: what field and compute have in common.

It outlives core: what core has not acknowledged is kept and goes again over the
next session with the same numbers. `serve_child` is the life of the process itself,
from the supervisor's control channel to a drained stop.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from typing import TYPE_CHECKING

import structlog

from penstock import __version__
from penstock.codec.dictionary import encode_dictionary
from penstock.codec.layout import Damaged
from penstock.codec.link import LinkType, decode_acknowledge, decode_credit, decode_json
from penstock.link.session import Session
from penstock.model import NotConnected
from penstock.node.control import Control, Message
from penstock.node.handles import HandleTable

if TYPE_CHECKING:
    from penstock.codec.link import LinkHeader
    from penstock.link.uplink import Uplink
    from penstock.model.event import Json

    Document = dict[str, Json]

log = structlog.get_logger()

HEARTBEAT_S = 1.0
DRAIN_S = 4.0
# Core reads nothing: more heartbeats behind this much would only be old when they arrive.
WAITING_BYTES_MAX = 1024 * 1024


class ChildService:
    """One end of the link, as long as the process lives; subclasses say what it is for."""

    role = ""

    def __init__(self, uplink: Uplink) -> None:
        self._uplink = uplink
        self._handles = HandleTable()
        self._session: Session | None = None
        self._turn = asyncio.Lock()
        self._serving: asyncio.Task[None] | None = None

    async def connect(self, sock: socket.socket) -> None:
        """Serve a fresh link; the one before, if any, is given up."""
        async with self._turn:
            if self._serving is not None:
                self._serving.cancel()
                await asyncio.wait([self._serving], timeout=1.0)
            session = await Session.over(sock)
            self._serving = asyncio.get_running_loop().create_task(self._serve(session))

    async def drain(self) -> None:
        """Stop what makes batches and wait until core holds everything."""
        await self._stop_work()
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._uplink.wait_acknowledged()
        except TimeoutError:
            left = self._uplink.statistics()
            log.warning("readings_not_accepted", batches=left["pending_batches"])
        if self._session is not None:
            await self._session.close()

    # --- what a subclass gives

    async def _stop_work(self) -> None:
        """Make no more batches."""

    def _on_frame(self, session: Session, header: LinkHeader, payload: bytes) -> None:
        """A frame that is not about batches, greetings or questions."""

    async def _answer(self, query: Document) -> Document:
        """What core asks."""
        raise NotImplementedError

    def _heartbeat(self) -> Document:
        """What core hears each second."""
        return {"uplink": dict(self._uplink.statistics())}

    def _on_hello(self, session: Session, hello: Document) -> None:
        """Core is ready: first what the handles mean, then everything it does not hold yet."""
        session.send(LinkType.DICTIONARY, [encode_dictionary(self._handles.all())])
        credit = hello["credit"]
        assert isinstance(credit, int)
        self._uplink.attach(session, credit)

    # --- the session

    async def _serve(self, session: Session) -> None:
        self._session = session
        self._greet(session)
        beat = asyncio.get_running_loop().create_task(self._beat(session))
        try:
            async for header, payload in session.frames():
                self._take(session, header, payload)
        except (NotConnected, Damaged) as error:
            log.warning("link_lost", detail=str(error))
        finally:
            beat.cancel()
            self._uplink.detach()
            await session.close()

    def _greet(self, session: Session) -> None:
        origin = self._uplink.origin
        session.send_json(
            LinkType.HELLO,
            {
                "role": self.role,
                "version": __version__,
                "node": str(origin.node),
                "slot": origin.slot,
                "incarnation": origin.incarnation,
            },
        )

    def _take(self, session: Session, header: LinkHeader, payload: bytes) -> None:
        if header.type == LinkType.ACKNOWLEDGE:
            self._uplink.on_acknowledge(decode_acknowledge(payload))
        elif header.type == LinkType.CREDIT:
            self._uplink.on_credit(decode_credit(payload))
        elif header.type == LinkType.HELLO:
            self._on_hello(session, decode_json(payload))
        elif header.type == LinkType.QUERY:
            session.answer(payload, self._answer)
        else:
            self._on_frame(session, header, payload)

    async def _beat(self, session: Session) -> None:
        while True:
            if session.waiting_bytes <= WAITING_BYTES_MAX:
                session.send_json(LinkType.HEARTBEAT, self._heartbeat())
            await asyncio.sleep(HEARTBEAT_S)


async def serve_child(service: ChildService) -> None:
    """Until the supervisor says stop, or goes away."""
    stop = asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()

    def on_message(message: Message, fds: list[int]) -> None:
        if message.get("op") == "link":
            sock = socket.socket(fileno=fds[0])
            task = asyncio.get_running_loop().create_task(service.connect(sock))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        elif message.get("op") == "stop":
            stop.set()

    control = Control.inherited(on_message, stop.set)
    assert control is not None, f"the {service.role} process is started by the supervisor"
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the terminal's Ctrl-C: supervisor's
    control.send({"op": "ready", "pid": os.getpid()})
    control.keep_alive()
    await stop.wait()
    await service.drain()
    control.close()
