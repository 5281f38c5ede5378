"""CommandProjector: the log's command records to SQLite, position and effects in one commit.

The desk does not wait for it: what binds is the log. It waits once, at its
start, to learn what the last process had under way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.commands.command import from_document
from penstock.commands.store import CommandStore
from penstock.log import RecordKind
from penstock.log.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from penstock.log import LogRecord, ReadableLog
    from penstock.model.event import Json
    from penstock.state import State
    from penstock.world import Clock

READER = "commands"


class CommandProjector:
    """The one writer of the command tables."""

    def __init__(
        self, log: ReadableLog, state: State, clock: Clock, store: CommandStore | None = None
    ) -> None:
        self.store = store or CommandStore()
        self._projection = Projection(log, state, clock, READER, self._take)

    async def run(self) -> None:
        """Project for ever; restartable, because all it knows is stored."""
        self._projection.load()
        await self._projection.run()

    async def wait_projected(self, sequence: int) -> None:
        """Return once everything up to `sequence` is committed; `run` must be running."""
        await self._projection.wait_taken(sequence)

    def statistics(self) -> dict[str, int]:
        """How far the projection is behind."""
        return self._projection.statistics()

    async def _take(self, records: Sequence[LogRecord]) -> None:
        payloads = [
            record.payload
            for record in records
            if record.kind == RecordKind.COMMAND and isinstance(record.payload, dict)
        ]
        if payloads or self._projection.is_due:
            last = records[-1].sequence
            await self._projection.commit(last, lambda c: self._put(c, payloads))

    def _put(self, connection: Connection, payloads: Sequence[dict[str, Json]]) -> None:
        for payload in payloads:
            document, request = payload["command"], payload.get("request")
            assert isinstance(document, dict)
            command = from_document(document)
            self.store.put(connection, command)
            if isinstance(request, dict):
                who, key, digest = (str(request[n]) for n in ("principal", "key", "digest"))
                self.store.add_request(connection, who, key, digest, command.id)
