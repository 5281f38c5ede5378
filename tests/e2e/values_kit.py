"""One node in one process: a link, a log, a history and every door at which values come out.

Values come in as a field process sends them: frames of a link, into a real log on a real
disk, read by the historian. SQL and exports run as compute runs them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx
import pytest
from direct_compute import Node
from sql_kit import ORIGIN, POINTS

from penstock.codec.dictionary import DictionaryEntry, encode_dictionary
from penstock.codec.link import LinkType, decode_acknowledge, decode_credit
from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.historian.aggregate_routes import aggregate_routes
from penstock.historian.compaction import compact_once
from penstock.historian.encode import DecimalHints
from penstock.historian.routes import routes
from penstock.historian.samples.routes import routes as samples_routes
from penstock.historian.sql import process
from penstock.link.downlink import Downlink
from penstock.link.session import Session
from penstock.link.uplink import Uplink
from penstock.log import Log, LogSettings
from penstock.model import Batch, Frame, Origin, Point
from penstock.security.principal import local_principal
from penstock.server.live import LiveHub
from penstock.testing import FakeClock
from penstock.world import SystemDisk

STORES = ("memory", "segment", "compacted")
BY_ID = {point.id: point for point in POINTS}
SENDER = Origin(UUID(int=9), 1, 1)
YEAR_2200_NS = 7_258_118_400 * 10**9


class Directory:
    def by_id(self, id_: UUID) -> Point | None:
        return BY_ID.get(id_)


@dataclass
class Whole:
    """The doors: `client` is HTTP, `hub` the live socket's; `store` says where values lie."""

    log: Log
    worker: HistorianWorker
    client: httpx.AsyncClient
    hub: LiveHub
    store: str
    folder: Path
    uplink: Uplink = field(default_factory=lambda: Uplink(SENDER))

    async def put(self, *parts: list[Frame]) -> None:
        """Each part is a batch; then the values lie where `store` says."""
        async with connected(self.uplink, self.log):
            for part in parts:
                self.uplink.put(sorted(part, key=lambda frame: frame.kind))
                await self.uplink.wait_acknowledged()
                await self.worker.take_available()
                if self.store != "memory":
                    await self.worker.flush_now()
        if self.store == "compacted":
            await self._compact()

    async def _compact(self) -> None:
        historian = self.worker.historian
        proposal = compact_once(
            SystemDisk(),
            self.folder / "segments",
            historian.manifest,
            HistorianSettings(compaction_segments_min=2),
            DecimalHints(),
            lambda _: None,
            lambda: False,
            now_ns=YEAR_2200_NS,
        )
        assert proposal is not None
        historian.swap(proposal)

    def opened_again(self) -> Historian:
        """What a start after a kill makes of the same files: the manifest, then the log."""
        historian = Historian.open(SystemDisk(), self.folder / "segments", HistorianSettings())
        _incarnation, after = historian.position
        historian.resume(after)
        for record in self.log.read(after):
            if isinstance(record.payload, Batch):
                historian.append(record.payload, record.sequence, record.receive_ns)
        return historian

    async def get(self, path: str, **parameters: str) -> Any:
        answer = await self.client.get(path, params=parameters)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    async def post(self, path: str, **document: Any) -> httpx.Response:
        answer = await self.client.post(path, json=document)
        assert 200 == answer.status_code, answer.text
        return answer

    def live(self, *points: UUID) -> list[bytes]:
        """The first messages with values that a page gets which shows the points."""
        client = self.hub.join(local_principal("root"))
        assert client is not None
        assert self.hub.subscribe(client, 1, [str(id_) for id_ in points], 10)
        return [message for message in self.hub.messages(client) if message[0] in (1, 7)]


@asynccontextmanager
async def whole(folder: Path, store: str) -> AsyncIterator[Whole]:
    disk, clock = SystemDisk(), FakeClock()
    log = await Log.open(
        folder / "log", disk=disk, clock=clock, origin=ORIGIN, settings=LogSettings(linger_ms=0)
    )
    historian = Historian.open(disk, folder / "segments", HistorianSettings())
    worker = HistorianWorker(historian, log, clock)
    node: Any = Node(SimpleNamespace(historian=historian), folder)
    node.app.include_router(routes(worker, Directory(), clock))
    node.app.include_router(aggregate_routes(worker, Directory(), clock))
    node.app.include_router(samples_routes(worker, Directory()))
    hub = LiveHub(historian.last, BY_ID.get, lambda _: {}, clock)
    transport = httpx.ASGITransport(node.app)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("penstock.security.routes.current_principal", node.principal)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            try:
                yield Whole(log, worker, client, hub, store, folder)
            finally:
                await node.desk.close()
                process.end_all()
                await worker.close(flush=False)
                await log.close()


# --- the link


@asynccontextmanager
async def connected(uplink: Uplink, log: Log) -> AsyncIterator[None]:
    """Both ends of a link over a socket: the uplink of a field process, core's downlink."""
    one, two = socket.socketpair()
    sender, receiver = await Session.over(one), await Session.over(two)
    downlink = Downlink(receiver, log, lambda id_: BY_ID[id_].handle)
    tasks = [
        asyncio.ensure_future(_send(sender, uplink)),
        asyncio.ensure_future(_receive(receiver, downlink)),
    ]
    entries = [DictionaryEntry(p.handle, p.id, p.kind, p.path) for p in POINTS]
    sender.send(LinkType.DICTIONARY, [encode_dictionary(entries)])
    uplink.attach(sender, downlink.open())
    try:
        yield
    finally:
        uplink.detach()
        downlink.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await sender.close()
        await receiver.close()


async def _send(session: Session, uplink: Uplink) -> None:
    async for header, payload in session.frames():
        if header.type == LinkType.ACKNOWLEDGE:
            uplink.on_acknowledge(decode_acknowledge(payload))
        elif header.type == LinkType.CREDIT:
            uplink.on_credit(decode_credit(payload))


async def _receive(session: Session, downlink: Downlink) -> None:
    async for header, payload in session.frames():
        if header.type == LinkType.BATCH:
            downlink.on_batch(payload)
        elif header.type == LinkType.DICTIONARY:
            downlink.on_dictionary(payload)
