"""Jobs: what compute can do, and what a piece of work is given.

A handler runs in a thread of its class and is written as plain blocking code. To add
an operation, write `handler(job, fields)` in the capability and name it in HANDLERS;
its import stays inside, so that an idle compute holds none of it in memory.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.log.reserve import check_room
from penstock.model import NotConnected, Refused
from penstock.node.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Sequence
    from pathlib import Path
    from typing import TypeVar
    from uuid import UUID

    from penstock.model import Batch, Block, Frame, ValueKind
    from penstock.model.event import Json
    from penstock.world import Clock, Disk

    Document = dict[str, Json]
    T = TypeVar("T")

ASK_TIMEOUT_S = 30.0
PUT_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Doors:
    """What a job reaches of its process; the coroutines belong to the event loop."""

    loop: asyncio.AbstractEventLoop
    ask: Callable[[Document], Awaitable[Document]]
    put: Callable[[Sequence[Frame], Sequence[Block]], Coroutine[None, None, int]]
    put_numbered: Callable[[Batch], Coroutine[None, None, None]]
    wait_acknowledged: Callable[[], Coroutine[None, None, None]]
    name_point: Callable[[UUID, ValueKind, str], Coroutine[None, None, int]]


@dataclass(slots=True)
class Job:
    """One piece of work, used by the thread that does it.

    `data` is the data folder, `settings` what core said at its greeting.
    """

    id: str
    op: str
    data: Path
    disk: Disk
    clock: Clock
    node: UUID
    settings: Document
    doors: Doors
    since_ns: int = 0
    state: str = "waiting"
    progress: Document = field(default_factory=dict)
    pins: set[str] = field(default_factory=set)
    _cancelled: threading.Event = field(default_factory=threading.Event)

    # --- for the thread

    def ask(self, op: str, fields: Document, timeout_s: float = ASK_TIMEOUT_S) -> Document:
        """Ask core and wait; Refused as core refused it, "cancelled" when core is gone."""
        from penstock.node.question import taken  # noqa: PLC0415 - only who asks needs it

        question: Document = {"op": op, "fields": fields}
        return taken(self._wait(self._asked(question, timeout_s)))

    def report(self, **progress: Json) -> None:
        """Say how far it is (shown on the System page): for example done=3, total=10."""
        self.progress = {**self.progress, **progress}

    @property
    def is_cancelled(self) -> bool:
        """Nobody waits for the result any more."""
        return self._cancelled.is_set()

    def check_cancelled(self) -> None:
        """Refused("cancelled") once nobody waits any more; call it in every long loop."""
        if self.is_cancelled:
            raise Refused("cancelled")

    def check_going_on(self) -> None:
        """As `check_cancelled`, for whoever writes: Refused("disk_full") too."""
        self.check_cancelled()
        check_room(self.disk, self.data)

    def sleep(self, seconds: float) -> None:
        """Wait (to keep a bandwidth limit); ends at once and raises when cancelled."""
        self._cancelled.wait(seconds)
        self.check_cancelled()

    def point(self, id_: UUID, kind: ValueKind, path: str) -> int:
        """Handle under which this process sends a point's samples."""
        return self._wait(self.doors.name_point(id_, kind, path))

    def put(self, frames: Sequence[Frame], blocks: Sequence[Block] = ()) -> int:
        """Send a Batch to the log, as soon as there is room; its sequence of this origin."""
        self.check_cancelled()
        return self._wait(self.doors.put(frames, blocks))

    def put_numbered(self, batch: Batch) -> None:
        """Send a Batch under its own number, which stays when it is sent again."""
        self.check_cancelled()
        self._wait(self.doors.put_numbered(batch))

    def wait_acknowledged(self) -> None:
        """Wait until everything that was put is durable in the log."""
        self._wait(self.doors.wait_acknowledged())

    @property
    def spool(self) -> Spool:
        """Where big results go."""
        limit = self.settings.get("spool_bytes_max")
        assert isinstance(limit, int)
        return Spool(self.disk, self.data, limit)

    # --- for the event loop

    def cancel(self) -> None:
        """Tell the thread that nobody waits; it ends when it looks."""
        self._cancelled.set()

    def document(self) -> Document:
        """For the heartbeat."""
        return {
            "op": self.op,
            "state": self.state,
            "since_ns": str(self.since_ns),
            "progress": self.progress,
            "pins": [*sorted(self.pins)],
        }

    async def _asked(self, question: Document, timeout_s: float) -> Document:
        try:
            async with asyncio.timeout(timeout_s):
                return await self.doors.ask(question)
        except TimeoutError as error:
            raise Refused("too_slow") from error
        except NotConnected as error:
            raise Refused("cancelled", str(error)) from error

    def _wait(self, work: Coroutine[None, None, T]) -> T:
        """Run on the event loop, wait in the thread, and look for a cancellation meanwhile."""
        future = asyncio.run_coroutine_threadsafe(work, self.doors.loop)
        while True:
            try:
                return future.result(PUT_WAIT_S)
            except TimeoutError:
                if future.done():
                    raise
                if self.is_cancelled:
                    future.cancel()
                    raise Refused("cancelled") from None


Handler = Callable[["Job", "Document"], "Document"]


def ping(job: Job, fields: Document) -> Document:
    """Answer with what came, and who answers: whether compute works at all."""
    import os  # noqa: PLC0415 - as every handler does it

    job.report(done=1, total=1)
    return {"pid": os.getpid(), "nice": os.nice(0), "fields": fields}


def compress_log(job: Job, fields: Document) -> Document:
    """Write the compressed form of a sealed log file beside it; core adopts it."""
    from penstock.log.compress import compress_document  # noqa: PLC0415

    return compress_document(job.disk, job.data / "log" / "0", fields)


def compact(job: Job, fields: Document) -> Document:
    """Turn flushed segments into day files."""
    from penstock.node.compute import upkeep  # noqa: PLC0415

    return upkeep.compact(job, fields)


def verify(job: Job, fields: Document) -> Document:
    """Judge every byte of the history and the log."""
    from penstock.node.compute import upkeep  # noqa: PLC0415

    return upkeep.verify(job, fields)


def repair(job: Job, fields: Document) -> Document:
    """Build what is damaged again, where the log still has it."""
    from penstock.node.compute import upkeep  # noqa: PLC0415

    return upkeep.repair(job, fields)


def sql(job: Job, fields: Document) -> Document:
    """Answer one SELECT in a process of its own."""
    from penstock.historian.sql.handler import answer_sql  # noqa: PLC0415

    return answer_sql(job, fields)


def export(job: Job, fields: Document) -> Document:
    """Write samples as a file of CSV, Arrow or Parquet."""
    from penstock.historian.export.handler import write_export_file  # noqa: PLC0415

    return write_export_file(job, fields)


def import_look(job: Job, fields: Document) -> Document:
    """Say what a file is and what it leaves open."""
    from penstock.historian.imports.handler import look_at_file  # noqa: PLC0415

    return look_at_file(job, fields)


def import_check(job: Job, fields: Document) -> Document:
    """Turn a file into batches on disk."""
    from penstock.historian.imports.handler import check_file  # noqa: PLC0415

    return check_file(job, fields)


def import_send(job: Job, fields: Document) -> Document:
    """Send prepared batches to the log."""
    from penstock.historian.imports.handler import send_prepared  # noqa: PLC0415

    return send_prepared(job, fields)


def erase(job: Job, fields: Document) -> Document:
    """Write segments again without what has expired or was deleted."""
    from penstock.node.compute.erase import erase as work  # noqa: PLC0415

    return work(job, fields)


def size(job: Job, fields: Document) -> Document:
    """Add up what each point takes on disk."""
    from penstock.node.compute.size import size as work  # noqa: PLC0415

    return work(job, fields)


HANDLERS: dict[str, Handler] = {
    "ping": ping,
    "sql": sql,
    "export": export,
    "import_look": import_look,
    "import_check": import_check,
    "import_send": import_send,
    "compact": compact,
    "erase": erase,
    "size": size,
    "verify": verify,
    "repair": repair,
    "compress_log": compress_log,
}
"""By operation: what runs in a thread."""

CLASS_OF: dict[str, str] = {
    "compact": "upkeep",
    "erase": "upkeep",
    "verify": "upkeep",
    "repair": "upkeep",
    "compress_log": "upkeep",
    "import_look": "look",
    "import_check": "import",
    "import_send": "import",
    "export": "export",
}
"""By operation, the class whose threads it shares; "question" for all others."""

THREADS = {"upkeep": 1, "question": 2, "look": 1, "import": 1, "export": 1}
"""Jobs of a class that run at the same time; the others wait."""

WAITING_MAX = 16
"""Jobs of a class that may wait; more are refused ("busy")."""
