"""The core process: the product's own log, historian, projection and downlinks, without a thread.

Only three things are replaced: the thread that writes the log is a lane, the stream
under a link is a list of frames, and the database is in memory and is never torn
(what SQLite does about power cuts is tried with the real one elsewhere).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from sim_loop import VirtualLoop
from sim_oracle import Oracle, Row
from sqlalchemy import Column, MetaData, Table, Text, create_engine, insert, select
from sqlalchemy.pool import StaticPool

from penstock.codec.dictionary import DictionaryEntry
from penstock.codec.layout import Buffer
from penstock.codec.link import Lane, LinkType, decode_acknowledge
from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.historian.compaction import compact_once, is_due
from penstock.historian.encode import DecimalHints
from penstock.historian.query import Snapshot
from penstock.link.downlink import Downlink
from penstock.log import Log, LogRecord, LogSettings
from penstock.log.projection import Projection
from penstock.model import Event, Origin, Refused, ValueKind
from penstock.state.readers import metadata as readers_metadata
from penstock.testing import FakeClock
from penstock.testing.disk import FakeDisk

NODE = UUID("01890000-0000-7000-8000-000000000001")
OWN = Origin(NODE, 0, 1)
LOG_FOLDER = Path("/data/log/0")
SEGMENTS = Path("/data/segments")
POINTS = {
    handle: (
        UUID(int=handle),
        ValueKind.FLOAT if handle < 6 else ValueKind.INT if handle < 9 else ValueKind.TEXT,
    )
    for handle in range(1, 12)
}
HANDLES = {id_: handle for handle, (id_, _) in POINTS.items()}
LOG_LANE, DATABASE_LANE, COMPUTE_LANE = "log-writer", "database", "compute"
SECOND_NS = 1_000_000_000
APPLY_RETRY_S = 2.0

_metadata = MetaData()
effects = Table("effects", _metadata, Column("id", Text), Column("sequence", Text))


class SimLog(Log):
    """The log with its writing thread as a lane; what it makes durable is witnessed."""

    oracle: Oracle

    def _start_thread(self) -> None:
        self._taken = 0

    def take_group(self) -> None:
        """The thread takes what has gathered; the write follows whenever the lane runs."""
        if group := self._queue.take_nowait():
            loop = self._loop
            assert isinstance(loop, VirtualLoop)
            future: asyncio.Future[Any] = loop.create_future()
            future.add_done_callback(lambda done: self._resolve(done.result()))
            loop.lane(LOG_LANE).works.append((future, lambda: self._writer.commit(group)))


class Database:
    """Outlives every process; a work that was under way may be committed or not."""

    def __init__(self) -> None:
        self.engine = create_engine(
            "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
        )
        readers_metadata.create_all(self.engine)
        _metadata.create_all(self.engine)

    def stored(self) -> tuple[list[str], int]:
        """Ids of the effects in their order, and the position that was committed with them."""
        with self.engine.connect() as connection:
            ids = [row[0] for row in connection.execute(select(effects.c.id))]
            rows = connection.exec_driver_sql("SELECT sequence FROM readers").fetchall()
            return ids, int(rows[0][0]) if rows else 0


class SimState:
    """`State` as a lane of the loop of its process."""

    def __init__(self, database: Database, loop: VirtualLoop) -> None:
        self._database = database
        self._loop = loop

    @contextlib.contextmanager
    def read(self) -> Iterator[Any]:
        with self._database.engine.connect() as connection, connection.begin():
            yield connection

    async def write(self, work: Callable[[Any], Any]) -> Any:
        def run() -> Any:
            with self._database.engine.begin() as connection:
                return work(connection)

        return await self._loop.run_in_executor(DATABASE_LANE, run)


class SimSession:
    """One end of a stream: what is sent waits in `frames` until the scheduler delivers it."""

    def __init__(self, on_send: Callable[[LinkType, bytes], None] | None = None) -> None:
        self.frames: deque[tuple[LinkType, bytes]] = deque()
        self._on_send = on_send

    def send(self, type_: LinkType, payload: Sequence[Buffer], _lane: Lane = Lane.LIVE) -> None:
        data = b"".join(bytes(buffer) for buffer in payload)
        if self._on_send is not None:
            self._on_send(type_, data)
        self.frames.append((type_, data))


@dataclass
class Limits:
    """Settings of one schedule."""

    log: LogSettings
    historian: HistorianSettings
    later_ns: int
    """Compaction thinks that it is so much later: rows of this moment are old enough then."""


@dataclass
class Core:
    """One life of the process, from its start to its end."""

    disk: FakeDisk
    clock: FakeClock
    oracle: Oracle
    database: Database
    limits: Limits
    loop: VirtualLoop = field(init=False)
    log: SimLog | None = None
    worker: HistorianWorker | None = None
    projection: Projection | None = None
    stopping: asyncio.Task[None] | None = None
    swaps: int = 0
    pinned: list[tuple[Snapshot, int, list[Row]]] = field(default_factory=list)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    doors: list[tuple[Callable[[], None], asyncio.Future[Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.loop = VirtualLoop(self.clock)
        self.spawn(self._start())

    @property
    def is_up(self) -> bool:
        """Doors are open."""
        return self.projection is not None

    def spawn(self, coroutine: Any) -> asyncio.Task[Any]:
        """A task that must not end with an error."""
        task = self.loop.create_task(coroutine)
        self.tasks.append(task)
        return task

    async def _start(self) -> None:
        """In the order of the product: log, historian, projections, doors."""
        log = await SimLog.open(
            LOG_FOLDER, disk=self.disk, clock=self.clock, origin=OWN, settings=self.limits.log
        )
        assert isinstance(log, SimLog)
        self.log = log
        historian = Historian.open(self.disk, SEGMENTS, self.limits.historian)
        self.worker = HistorianWorker(historian, log, self.clock)
        projection = Projection(
            log,
            SimState(self.database, self.loop),  # type: ignore[arg-type]
            self.clock,
            "effects",
            self._project,
            records_max=50,
        )
        projection.load()
        self.projection = projection
        self.spawn(self.worker.run())
        self.spawn(projection.run())
        self.spawn(log.upkeep.run(log.upkeep.in_thread))
        self.spawn(self._compact(historian))
        self.spawn(self._make_known(log))

    async def _compact(self, historian: Historian) -> None:
        """What compute and core do about segments, with a lane in place of the link."""
        hints, settings = DecimalHints(), self.limits.historian
        while True:
            await self.clock.wait_until(self.clock.monotonic_ns() + SECOND_NS)
            manifest, now_ns = historian.manifest, self.clock.now_ns() + self.limits.later_ns
            if not is_due(manifest, settings, now_ns):
                continue
            work = partial(
                compact_once,
                self.disk,
                SEGMENTS,
                manifest,
                settings,
                hints,
                lambda _: None,
                lambda: False,
                now_ns=now_ns,
            )
            with contextlib.suppress(OSError, Refused):
                proposal = await self.loop.run_in_executor(COMPUTE_LANE, work)
                if proposal is not None:
                    await asyncio.to_thread(historian.swap, proposal)
                    self.swaps += 1

    async def _make_known(self, log: Log) -> None:
        """The dictionary comes before the first batch that uses it."""
        known = {entry.handle for entry in log.dictionary}
        assert self.oracle.promised_points <= known, "dictionary entries are lost"
        missing = [
            DictionaryEntry(handle, id_, kind, f"Works/p{handle}")
            for handle, (id_, kind) in POINTS.items()
            if handle not in known
        ]
        if not missing:
            return
        while True:  # as apply does it: a full disk is asked again
            try:
                await log.append_dictionary(missing)
            except Refused:
                await asyncio.sleep(APPLY_RETRY_S)
                continue
            self.oracle.promised_points |= {entry.handle for entry in missing}
            return

    async def _project(self, records: Sequence[LogRecord]) -> None:
        found = [record for record in records if isinstance(record.payload, Event)]
        projection = self.projection
        assert projection is not None
        if not found and not projection.is_due:
            return
        rows = [
            {"id": record.payload.id, "sequence": str(record.sequence)}  # type: ignore[union-attr]
            for record in found
        ]

        def work(connection: Any) -> None:
            if rows:
                connection.execute(insert(effects), rows)

        await projection.commit(records[-1].sequence, work)

    # --- the writing thread

    def take_group(self) -> None:
        """The thread takes what has gathered, if it is not busy."""
        assert self.log is not None
        if not self.loop.lane(LOG_LANE).works:
            with self.loop.running():
                self.log.take_group()

    # --- the end

    def begin_stop(self) -> None:
        """SIGTERM."""
        self.stopping = self.loop.create_task(self._stop())

    @property
    def has_stopped(self) -> bool:
        """Everything that was begun is done."""
        return self.stopping is not None and self.stopping.done()

    async def _stop(self) -> None:
        assert self.worker is not None
        assert self.log is not None
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()
        await self.worker.close()
        while self.log._queue or self.loop.lane(LOG_LANE).works:
            self.take_group()
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        await self.log.close()

    # --- doors

    def downlink(self) -> tuple[Downlink, SimSession]:
        """The receiving end of a new link; its acknowledgements are promises."""
        assert self.log is not None
        session = SimSession(self._note_acknowledged)
        link = Downlink(session, self.log, HANDLES.get)  # type: ignore[arg-type]
        return link, session

    def _note_acknowledged(self, type_: LinkType, payload: bytes) -> None:
        if type_ == LinkType.ACKNOWLEDGE:
            item = decode_acknowledge(payload)
            keys = {(item.origin, number) for number in range(item.first, item.last + 1)}
            self.oracle.promised |= keys

    def ask(self, coroutine: Any, on_done: Callable[[], None]) -> None:
        """A request from outside: `on_done` when it was answered with success."""
        self.doors.append((on_done, self.loop.create_task(coroutine)))

    def collect(self) -> None:
        """Answers that went out, records that became durable, tasks that died."""
        for on_done, future in self.doors:
            if future.done() and future.exception() is None:
                on_done()
        self.doors = [door for door in self.doors if not door[1].done()]
        for error in self.loop.crashes:
            raise error
        for task in self.tasks:
            if task.done() and (error := task.exception()) is not None:
                raise error
        if self.log is not None:
            self.witness()

    def witness(self) -> None:
        """What any reader may see now."""
        log, oracle = self.log, self.oracle
        assert log is not None
        assert log.durable >= oracle.newest, f"durable {log.durable} after {oracle.newest}"
        while oracle.newest < log.durable:
            records = log.read(oracle.newest, records_max=64)
            if not records:
                break
            for record in records:
                oracle.see(record)

    def kill(self) -> None:
        """Nothing of it ever runs again."""
        self.loop.drop()
        self.clock._waiters.clear()
        self.tasks.clear()
        self.doors.clear()
        self.pinned.clear()
