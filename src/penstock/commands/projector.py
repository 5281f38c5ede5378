"""CommandProjector: the log's command records to SQLite, position and effects in one commit.

The desk does not wait for it: what binds is the log. It waits once, at its
start, to learn what the last process had under way.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from penstock.commands.command import from_document
from penstock.commands.store import CommandStore
from penstock.log import RecordKind
from penstock.model.time import SECOND_NS
from penstock.state import patiently

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from penstock.log import LogRecord, ReaderHandle
    from penstock.model.event import Json
    from penstock.state import State
    from penstock.world import Clock

READER = "commands"
RECORDS_MAX = 1_024
POSITION_PERIOD_NS = 5 * SECOND_NS


class LogFacade(Protocol):
    """What commands need of the log."""

    @property
    def durable(self) -> int:
        """Last durable sequence."""
        ...

    @property
    def incarnation(self) -> int:
        """Grows at every open."""
        ...

    @property
    def first_sequence(self) -> int:
        """Oldest sequence that is still there."""
        ...

    def resume_after(self, incarnation: int, sequence: int) -> int:
        """Where a reader with this stored position goes on."""
        ...

    def declare_reader(self, name: str, *, blocks: bool) -> ReaderHandle:
        """Hold the files for this reader."""
        ...

    def read(self, after: int, records_max: int = 256) -> list[LogRecord]:
        """Durable records behind `after`."""
        ...

    async def wait_beyond(self, sequence: int) -> int:
        """Durable sequence once it is greater than `sequence`."""
        ...

    async def append_json(self, kind: RecordKind, payload: dict[str, Json]) -> int:
        """Sequence, when it is durable."""
        ...


class CommandProjector:
    """The one writer of the command tables."""

    def __init__(
        self, log: LogFacade, state: State, clock: Clock, store: CommandStore | None = None
    ) -> None:
        self.store = store or CommandStore()
        self._log = log
        self._state = state
        self._clock = clock
        self._position = 0
        self._stored_at_ns = 0
        self._handle: ReaderHandle | None = None
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    async def run(self) -> None:
        """Project for ever; restartable, because all it knows is stored."""
        with self._state.read() as connection:
            incarnation, sequence = self.store.position(connection, READER)
        self._position = self._log.resume_after(incarnation, sequence)
        if self._handle is None:
            self._handle = self._log.declare_reader(READER, blocks=True)
        while True:
            await self.catch_up()
            await self._log.wait_beyond(self._position)

    async def catch_up(self) -> None:
        """Project all that is durable now."""
        while self._position < self._log.durable:
            records = self._log.read(self._position, RECORDS_MAX)
            if records:
                await self._project(records)
            else:
                following = self._log.first_sequence - 1
                self._position = following if following > self._position else self._log.durable
            self._tell_waiters()
            await asyncio.sleep(0)

    async def wait_projected(self, sequence: int) -> None:
        """Return once everything up to `sequence` is committed; `run` must be running."""
        if self._position >= sequence:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((sequence, future))
        await future

    def statistics(self) -> dict[str, int]:
        """How far the projection is behind."""
        return {"behind_records": self._log.durable - self._position}

    async def _project(self, records: Sequence[LogRecord]) -> None:
        last = records[-1].sequence
        payloads = [
            record.payload
            for record in records
            if record.kind == RecordKind.COMMAND and isinstance(record.payload, dict)
        ]
        now_ns = self._clock.monotonic_ns()
        if payloads or now_ns - self._stored_at_ns >= POSITION_PERIOD_NS:
            await patiently(
                lambda: self._state.write(lambda c: self._commit(c, payloads, last)),
                self._clock,
                READER,
            )
            self._stored_at_ns = now_ns
            assert self._handle is not None
            self._handle.advance(last)
        self._position = last

    def _commit(
        self, connection: Connection, payloads: Sequence[dict[str, Json]], last: int
    ) -> None:
        for payload in payloads:
            document, request = payload["command"], payload.get("request")
            assert isinstance(document, dict)
            command = from_document(document)
            self.store.put(connection, command)
            if isinstance(request, dict):
                who, key, digest = (str(request[n]) for n in ("principal", "key", "digest"))
                self.store.add_request(connection, who, key, digest, command.id)
        self.store.set_position(connection, READER, self._log.incarnation, last)

    def _tell_waiters(self) -> None:
        waiting = self._waiters
        self._waiters = [item for item in waiting if item[0] > self._position]
        for sequence, future in waiting:
            if sequence <= self._position and not future.done():
                future.set_result(None)
