"""Follower: one reader of the log, from its committed position to the durable end, for ever.

Whoever follows the log writes one function, `take(records)`, and says when its
effects are durable (`advance`); until then the files stay. Where nothing can be
read any more, the follower goes on behind the gap: the log has reported it itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from penstock.log.poison import is_refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from penstock.codec.record import RecordKind
    from penstock.log.record import LogRecord
    from penstock.log.retention import ReaderHandle
    from penstock.model import Event
    from penstock.model.event import Json

    Take = Callable[[Sequence[LogRecord]], Awaitable[None]]

RECORDS_MAX = 1_024


class ReadableLog(Protocol):
    """What a reader needs of a log (penstock.log.Log)."""

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
        """Where a reader that committed this position goes on."""
        ...

    def declare_reader(self, name: str, *, blocks: bool) -> ReaderHandle:
        """Keep files for this reader."""
        ...

    def read(self, after: int, records_max: int = 256) -> list[LogRecord]:
        """Durable records behind `after`."""
        ...

    async def wait_beyond(self, sequence: int) -> int:
        """Durable sequence, as soon as it is greater than `sequence`."""
        ...


class DecisionLog(ReadableLog, Protocol):
    """A log that also takes what was decided: events and commands."""

    async def append_events(self, events: Sequence[Event]) -> int:
        """Sequence of the last, when all are durable."""
        ...

    async def append_json(self, kind: RecordKind, payload: dict[str, Json]) -> int:
        """Sequence, when it is durable."""
        ...


class Follower:
    """A blocking reader: it holds the log's files from the moment it is made."""

    def __init__(
        self, log: ReadableLog, name: str, take: Take, *, records_max: int = RECORDS_MAX
    ) -> None:
        self.name = name
        self.position = 0
        self._log = log
        self._take = take
        self._records_max = records_max
        self._handle = log.declare_reader(name, blocks=True)
        self._moved = asyncio.Event()

    def resume(self, incarnation: int, sequence: int, needed: int | None = None) -> int:
        """Go on behind a committed position; what comes after it will be taken (again).

        Records behind `needed` stay, where an older state may have to be gone on from.
        """
        self.position = self._log.resume_after(incarnation, sequence)
        self.advance(self.position if needed is None else min(needed, self.position))
        return self.position

    async def run(self) -> None:
        """Take what is durable, for ever."""
        while True:
            await self.catch_up()
            await self._log.wait_beyond(self.position)

    async def catch_up(self) -> None:
        """Take up to the durable end, with turns for others between the parts."""
        while self.position < self._log.durable:
            records = self._log.read(self.position, self._together())
            if records:
                await self._take_watched(records)
                self.note_taken(records[-1].sequence)
            else:
                following = self._log.first_sequence - 1
                self.note_taken(following if following > self.position else self._log.durable)
            await asyncio.sleep(0)

    def is_transient(self, error: object) -> bool:
        """Is this error of `take` no fault of a record?"""
        return is_refusal(error)

    def _together(self) -> int:
        poison = self._handle.poison
        if poison is None:
            return self._records_max
        return poison.records_max(self.position, self._records_max)

    async def _take_watched(self, records: Sequence[LogRecord]) -> None:
        poison = self._handle.poison
        if poison is None:
            await self._take(records)
        elif poison.is_condemned(records[0].sequence):
            await poison.set_aside(records[0].sequence)
        else:
            with poison.watch(lambda: self.position, records[-1].sequence, self.is_transient):
                await self._take(records)

    async def wait_taken(self, sequence: int) -> None:
        """Return once everything up to `sequence` was taken."""
        while self.position < sequence:
            self._moved.clear()
            await self._moved.wait()

    def note_taken(self, sequence: int) -> None:
        """`take` may say so before it ends, where it has to wait in between."""
        self.position = sequence
        self._moved.set()

    def advance(self, sequence: int) -> None:
        """The effects of all records up to `sequence` are durable: their files may go."""
        self._handle.advance(sequence)

    def statistics(self) -> dict[str, int]:
        """How far it is behind."""
        return {"behind_records": self._log.durable - self.position}
