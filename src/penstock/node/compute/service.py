"""Compute on its link to core: questions come down and become jobs, batches go up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from penstock.codec.dictionary import encode_dictionary
from penstock.codec.link import LinkType, decode_json
from penstock.model import Refused
from penstock.node.child import ChildService
from penstock.node.compute.board import Board
from penstock.node.compute.jobs import Doors, Job
from penstock.node.question import answered
from penstock.node.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from uuid import UUID

    from penstock.codec.link import LinkHeader
    from penstock.link.session import Session
    from penstock.link.uplink import Uplink
    from penstock.model import Batch, Block, Frame, ValueKind
    from penstock.model.event import Json
    from penstock.world import Clock, Disk

    Document = dict[str, Json]


class ComputeService(ChildService):
    """Everything of the compute process that lives as long as the process."""

    role = "compute"

    def __init__(self, clock: Clock, disk: Disk, uplink: Uplink, data: Path) -> None:
        super().__init__(uplink)
        self._clock = clock
        self._disk = disk
        self._data = data
        self._board = Board()
        self._settings: Document = {}
        Spool(disk, data).clear()

    @property
    def is_busy(self) -> bool:
        """Whether a job waits or is at work."""
        return self._board.is_busy

    async def _stop_work(self) -> None:
        await self._board.stop()

    def _on_hello(self, session: Session, hello: Document) -> None:
        settings = hello["settings"]
        assert isinstance(settings, dict)
        self._settings = settings
        super()._on_hello(session, hello)

    def _on_frame(self, session: Session, header: LinkHeader, payload: bytes) -> None:  # noqa: ARG002
        if header.type == LinkType.RECORD:
            document = decode_json(payload)
            if document.get("op") == "cancel":
                self._board.cancel(str(document.get("job")))

    async def _answer(self, query: Document) -> Document:
        return await answered(self._run(query))

    async def _run(self, query: Document) -> Document:
        session, fields = self._session, query.get("fields")
        if session is None or not isinstance(fields, dict):
            raise Refused("bad_request")
        job = Job(
            id=str(query.get("job")),
            op=str(query.get("op")),
            data=self._data,
            disk=self._disk,
            clock=self._clock,
            node=self._uplink.origin.node,
            settings=self._settings,
            doors=self._doors(session),
            since_ns=self._clock.now_ns(),
        )
        return await self._board.run(job, fields)

    def _doors(self, session: Session) -> Doors:
        async def put(frames: Sequence[Frame], blocks: Sequence[Block]) -> int:
            await self._uplink.wait_room()
            return self._uplink.put(frames, blocks)

        async def put_numbered(batch: Batch) -> None:
            await self._uplink.wait_room()
            self._uplink.put_numbered(batch)

        async def name_point(id_: UUID, kind: ValueKind, path: str) -> int:
            handle = self._handles.name(id_, kind, path)
            if fresh := self._handles.take_fresh():
                session.send(LinkType.DICTIONARY, [encode_dictionary(fresh)])
            return handle

        return Doors(
            loop=asyncio.get_running_loop(),
            ask=lambda question: session.query(question, None),
            put=put,
            put_numbered=put_numbered,
            wait_acknowledged=self._uplink.wait_acknowledged,
            name_point=name_point,
        )

    def _heartbeat(self) -> Document:
        return {
            **super()._heartbeat(),
            "jobs": self._board.document(),
            "counters": dict(self._board.counters),
        }
