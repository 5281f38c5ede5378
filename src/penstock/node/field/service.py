"""The field process on its link to core: batches up; configuration and commands down.

It outlives core: what core has not acknowledged is kept and goes again over the
next session with the same numbers.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from penstock import __version__
from penstock.codec.dictionary import encode_dictionary
from penstock.codec.layout import Damaged
from penstock.codec.link import LinkType, decode_acknowledge, decode_credit, decode_json
from penstock.link.session import Session
from penstock.model import NotConnected
from penstock.node.field.collector import Collector
from penstock.node.field.commands import CommandHand
from penstock.node.field.handles import HandleTable
from penstock.node.field.host import Host

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from pathlib import Path

    from penstock.codec.link import LinkHeader
    from penstock.link.uplink import Uplink
    from penstock.model import ConfigProblem
    from penstock.model.event import Json
    from penstock.world import Clock

log = structlog.get_logger()

HEARTBEAT_S = 1.0
DRAIN_S = 4.0
# Core reads nothing: more heartbeats behind this much would only be old when they arrive.
WAITING_BYTES_MAX = 1024 * 1024


class FieldService:
    """Everything of the field process that lives as long as the process."""

    def __init__(self, clock: Clock, uplink: Uplink, data: Path) -> None:
        self._uplink = uplink
        self._handles = HandleTable()
        self._host = Host(clock, Collector(uplink), uplink, self._handles)
        self._hand = CommandHand(self._host, clock, data)
        self._session: Session | None = None
        self._turn = asyncio.Lock()
        self._configuring: set[asyncio.Task[None]] = set()
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
        """Stop the lines and wait until core holds everything."""
        await self._host.close()
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._uplink.wait_acknowledged()
        except TimeoutError:
            left = self._uplink.statistics()
            log.warning("readings_not_accepted", batches=left["pending_batches"])
        if self._session is not None:
            await self._session.close()

    async def _serve(self, session: Session) -> None:
        self._session = session
        self._hello(session)
        beat = asyncio.get_running_loop().create_task(self._beat(session))
        try:
            async for header, payload in session.frames():
                self._on_frame(session, header, payload)
        except (NotConnected, Damaged) as error:
            log.warning("link_lost", detail=str(error))
        finally:
            beat.cancel()
            self._uplink.detach()
            await session.close()

    def _hello(self, session: Session) -> None:
        origin = self._uplink.origin
        session.send_json(
            LinkType.HELLO,
            {
                "role": "field",
                "version": __version__,
                "node": str(origin.node),
                "slot": origin.slot,
                "incarnation": origin.incarnation,
            },
        )

    def _on_frame(self, session: Session, header: LinkHeader, payload: bytes) -> None:
        if header.type == LinkType.ACKNOWLEDGE:
            self._uplink.on_acknowledge(decode_acknowledge(payload))
        elif header.type == LinkType.CREDIT:
            self._uplink.on_credit(decode_credit(payload))
        elif header.type == LinkType.HELLO:
            self._on_hello(session, decode_json(payload))
        elif header.type == LinkType.CONFIGURATION:
            self._configure_beside(session, decode_json(payload))
        elif header.type == LinkType.COMMAND:
            self._hand.take(payload, lambda state: session.send_json(LinkType.COMMAND_STATE, state))
        elif header.type == LinkType.QUERY:
            session.answer(payload, self._answer)

    def _on_hello(self, session: Session, hello: dict[str, Json]) -> None:
        """Core is ready: first what the handles mean, then everything it does not hold yet."""
        self._hand.trust(UUID(str(hello["node"])), bytes.fromhex(str(hello["public_key"])))
        session.send(LinkType.DICTIONARY, [encode_dictionary(self._handles.all())])
        credit = hello["credit"]
        assert isinstance(credit, int)
        self._uplink.attach(session, credit)
        self._host.say_connected()

    def _configure_beside(self, session: Session, document: dict[str, Json]) -> None:
        """Beside the stream: lines that stop slowly must not hold acknowledgements back."""
        task = asyncio.get_running_loop().create_task(self._configure(session, document))
        self._configuring.add(task)
        task.add_done_callback(self._configuring.discard)

    async def _configure(self, session: Session, document: dict[str, Json]) -> None:
        async with self._turn:
            problems = await self._host.apply(document)
            self._tell(session, problems)

    def _tell(self, session: Session, problems: Sequence[ConfigProblem]) -> None:
        """First what the handles mean, then the lines that use them."""
        for problem in problems:
            log.error("configuration_refused", place=problem.place, message=problem.message)
        session.send(LinkType.DICTIONARY, [encode_dictionary(self._handles.take_fresh())])
        self._host.start()

    async def _answer(self, query: dict[str, Json]) -> dict[str, Json]:
        assert query.get("op") == "plan", query
        document = query["configuration"]
        assert isinstance(document, dict)
        return self._host.plan(document)

    async def _beat(self, session: Session) -> None:
        while True:
            if session.waiting_bytes <= WAITING_BYTES_MAX:
                session.send_json(LinkType.HEARTBEAT, self._heartbeat())
            await asyncio.sleep(HEARTBEAT_S)

    def _heartbeat(self) -> dict[str, Json]:
        return {
            "devices": self._host.statistics(),
            "uplink": dict(self._uplink.statistics()),
            "crashes": self._host.crashes,
        }
