"""Both ends of a link in one process: a sender, a receiver, and a log in memory behind it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from uuid import UUID

from penstock.codec.dictionary import DictionaryEntry, encode_dictionary
from penstock.codec.interval_set import IntervalSet
from penstock.codec.link import LinkType, decode_acknowledge, decode_credit
from penstock.link.downlink import Downlink
from penstock.link.session import Session
from penstock.link.uplink import Uplink
from penstock.model import Batch, NotConnected, Origin, Refused, ValueKind
from penstock.testing import frame

ORIGIN = Origin(UUID(int=1), 1, 7)
POINTS = {handle: UUID(int=100 + handle) for handle in (1, 2, 3)}
# What the receiver calls the sender's points; point 3 is not known to it.
HANDLES = {POINTS[1]: 11, POINTS[2]: 22}


class MemoryLog:
    """A log door: a batch is durable after `sync`, which comes by itself unless `is_held`."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.received = IntervalSet()
        self.is_held = False
        self.is_full = False
        self.duplicates = 0
        self._waiting: dict[int, tuple[Batch, asyncio.Future[int]]] = {}

    def append_batch_nowait(self, batch: Batch) -> asyncio.Future[int]:
        if self.is_full:
            raise Refused("busy")
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if self.received.has(batch.origin, batch.sequence):
            self.duplicates += 1
            future.set_result(batch.sequence)
            return future
        if batch.sequence in self._waiting:
            self.duplicates += 1
            return self._waiting[batch.sequence][1]
        self._waiting[batch.sequence] = (batch, future)
        if not self.is_held:
            asyncio.get_running_loop().call_soon(self.sync)
        return future

    def sync(self) -> None:
        """Everything that waits is durable; its senders hear of it a turn of the loop later."""
        waiting, self._waiting = self._waiting, {}
        for batch, future in waiting.values():
            assert self.received.add(batch.origin, batch.sequence)
            self.batches.append(batch)
            future.set_result(batch.sequence)

    def refuse(self) -> None:
        """The disk said no while the group was written."""
        waiting, self._waiting = self._waiting, {}
        for _, future in waiting.values():
            future.set_exception(Refused("disk_full"))

    @property
    def sequences(self) -> list[int]:
        return [batch.sequence for batch in self.batches]


class Receiver:
    """Downlink with its session."""

    def __init__(self, session: Session, log: MemoryLog) -> None:
        self.session = session
        self.downlink = Downlink(session, log, HANDLES.get)
        self.end: str = ""
        self.task = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        try:
            async for header, payload in self.session.frames():
                if header.type == LinkType.BATCH:
                    self.downlink.on_batch(payload)
                elif header.type == LinkType.DICTIONARY:
                    self.downlink.on_dictionary(payload)
        except NotConnected as error:
            self.end = str(error)
        finally:
            await self.session.close()


class Sender:
    """Uplink's side of a session."""

    def __init__(self, session: Session, uplink: Uplink, credit: int) -> None:
        self.session = session
        self.uplink = uplink
        session.send(LinkType.DICTIONARY, [encode_dictionary(dictionary(1, 2, 3))])
        uplink.attach(session, credit)
        self.task = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        try:
            async for header, payload in self.session.frames():
                if header.type == LinkType.ACKNOWLEDGE:
                    self.uplink.on_acknowledge(decode_acknowledge(payload))
                elif header.type == LinkType.CREDIT:
                    self.uplink.on_credit(decode_credit(payload))
        except NotConnected:
            pass
        finally:
            self.uplink.detach()
            await self.session.close()


class Link:
    """One connection; `cut` ends it as a dying process would."""

    def __init__(self, sender: Sender, receiver: Receiver) -> None:
        self.sender = sender
        self.receiver = receiver

    @classmethod
    async def up(cls, uplink: Uplink, log: MemoryLog, credit: int | None = None) -> Link:
        one, two = socket.socketpair()
        receiver = Receiver(await Session.over(two), log)
        granted = receiver.downlink.open() if credit is None else credit
        return cls(Sender(await Session.over(one), uplink, granted), receiver)

    async def cut(self) -> None:
        for task in (self.receiver.task, self.sender.task):
            task.cancel()
        await asyncio.wait([self.receiver.task, self.sender.task])


def dictionary(*handles: int) -> list[DictionaryEntry]:
    return [DictionaryEntry(h, POINTS[h], ValueKind.FLOAT, f"w/{h}") for h in handles]


def put(uplink: Uplink, value: float, handle: int = 1) -> int:
    return uplink.put([frame(handle, int(value), [float(value)])])


async def wait_for(condition: Callable[[], bool]) -> None:
    """Return as soon as it holds; every turn of the loop looks."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - any condition, no event for each
            await asyncio.sleep(0)
