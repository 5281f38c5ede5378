"""The field process on its link to core: batches up; configuration and commands down."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from penstock.codec.dictionary import encode_dictionary
from penstock.codec.link import LinkType, decode_json
from penstock.node.child import ChildService
from penstock.node.field.collector import Collector
from penstock.node.field.commands import CommandHand
from penstock.node.field.host import Host

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from penstock.codec.link import LinkHeader
    from penstock.link.session import Session
    from penstock.link.uplink import Uplink
    from penstock.model import ConfigProblem
    from penstock.model.event import Json
    from penstock.world import Clock

log = structlog.get_logger()


class FieldService(ChildService):
    """Everything of the field process that lives as long as the process."""

    role = "field"

    def __init__(self, clock: Clock, uplink: Uplink, data: Path) -> None:
        super().__init__(uplink)
        self._host = Host(clock, Collector(uplink), uplink, self._handles)
        self._hand = CommandHand(self._host, clock, data)
        self._configuring: set[asyncio.Task[None]] = set()

    async def _stop_work(self) -> None:
        await self._host.close()

    def _on_frame(self, session: Session, header: LinkHeader, payload: bytes) -> None:
        if header.type == LinkType.CONFIGURATION:
            self._configure_beside(session, decode_json(payload))
        elif header.type == LinkType.COMMAND:
            self._hand.take(payload, lambda state: session.send_json(LinkType.COMMAND_STATE, state))

    def _on_hello(self, session: Session, hello: dict[str, Json]) -> None:
        self._hand.trust(UUID(str(hello["node"])), bytes.fromhex(str(hello["public_key"])))
        super()._on_hello(session, hello)
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

    def _heartbeat(self) -> dict[str, Json]:
        return {
            **super()._heartbeat(),
            "devices": self._host.statistics(),
            "crashes": self._host.crashes,
        }
