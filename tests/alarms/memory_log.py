"""A log in memory that outlives the objects around it, and a State that can be killed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import MetaData, create_engine

from penstock.log import LogRecord, ReaderHandle, RecordKind
from penstock.model import Batch, Event, Frame, Origin
from penstock.state import State, readers

T = TypeVar("T")
NODE = UUID(int=77)


class Killed(BaseException):
    """The process is gone at this point."""


class Killer:
    """Raises before or after the effect of the n-th step, counted over log and state."""

    def __init__(self, at: int | None = None, *, is_after: bool = False) -> None:
        self.at = at
        self.is_after = is_after
        self.count = 0
        self.has_killed = False

    def before(self) -> int:
        """Number of the step; give it to `after`."""
        self.count += 1
        self._kill(self.count, is_after=False)
        return self.count

    def after(self, step: int) -> None:
        self._kill(step, is_after=True)

    def _kill(self, step: int, *, is_after: bool) -> None:
        if step == self.at and is_after is self.is_after:
            self.at = None
            self.has_killed = True
            raise Killed


class MemoryLog:
    """The log façade; a record is durable when it was appended."""

    incarnation = 1
    first_sequence = 1

    def __init__(self) -> None:
        self.records: list[LogRecord] = []
        self.killer = Killer()
        self.now_ns: Callable[[], int] = lambda: 0
        self._waiters: list[tuple[int, asyncio.Future[int]]] = []

    @property
    def durable(self) -> int:
        return len(self.records)

    def resume_after(self, incarnation: int, sequence: int) -> int:
        return min(sequence, self.durable)

    def declare_reader(self, name: str, *, blocks: bool) -> ReaderHandle:
        return ReaderHandle(name, blocks, None, lambda _handle: None)

    def read(self, after: int, records_max: int = 256) -> list[LogRecord]:
        return self.records[after : after + records_max]

    async def wait_beyond(self, sequence: int) -> int:
        if self.durable <= sequence:
            future = asyncio.get_running_loop().create_future()
            self._waiters.append((sequence, future))
            await future
        return self.durable

    async def append_events(self, events: Sequence[Event]) -> int:
        step = self.killer.before()
        for event in events:
            self._add(RecordKind.EVENT, event)
        await asyncio.sleep(0)
        self.killer.after(step)
        return self.durable

    async def append_json(self, kind: RecordKind, payload: dict[str, Any]) -> int:
        step = self.killer.before()
        self._add(kind, payload)
        await asyncio.sleep(0)
        self.killer.after(step)
        return self.durable

    def append_frames(self, *frames: Frame) -> int:
        """What a door would do; not counted by the killer."""
        batch = Batch(Origin(NODE, 0, 1), self.durable + 1, frames)
        self._add(RecordKind.BATCH, batch)
        return self.durable

    def events(self, prefix: str = "alarm.") -> list[Event]:
        payloads = [record.payload for record in self.records]
        return [p for p in payloads if isinstance(p, Event) and p.type.startswith(prefix)]

    def forget_waiters(self) -> None:
        """The readers died with their loop's tasks."""
        self._waiters.clear()

    def _add(self, kind: RecordKind, payload: Any) -> None:
        self.records.append(LogRecord(self.durable + 1, self.now_ns(), kind, payload))
        waiting, self._waiters = self._waiters, []
        for sequence, future in waiting:
            if future.done():
                continue
            if sequence < self.durable:
                future.set_result(self.durable)
            else:
                self._waiters.append((sequence, future))


class KillableState:
    """State whose `write` may be the last thing a process does, or not even that."""

    def __init__(self, path: Path, metadata: MetaData, killer: Killer) -> None:
        url = f"sqlite:///{path}"
        if not path.exists():
            engine = create_engine(url)
            metadata.create_all(engine)
            readers.metadata.create_all(engine)
            engine.dispose()
        self._state = State.open(url)
        self._killer = killer
        self.read = self._state.read
        self.close = self._state.close

    async def write(self, work: Callable[..., T]) -> T:
        step = self._killer.before()
        result = await self._state.write(work)
        self._killer.after(step)
        return result
