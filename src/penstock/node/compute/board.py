"""Board: which jobs run, which wait, and how each ends.

One pool of threads per class, so that a long import does not hold a question up.
After the last job memory goes back to the system: an idle compute costs what it
cost at its start.
"""

from __future__ import annotations

import asyncio
import errno
import gc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import structlog

from penstock.model import Refused
from penstock.node.compute.jobs import CLASS_OF, HANDLERS, THREADS, WAITING_MAX

if TYPE_CHECKING:
    from penstock.model.event import Json
    from penstock.node.compute.jobs import Handler, Job

    Document = dict[str, Json]

log = structlog.get_logger()

STOP_S = 1.5


class Board:
    """All jobs of one compute process."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._ends: dict[str, asyncio.Future[Document]] = {}
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self.counters = {"done": 0, "refused": 0, "crashed": 0}

    async def run(self, job: Job, fields: Document) -> Document:
        """Do the job in a thread of its class; whoever stops waiting cancels it."""
        handler = HANDLERS.get(job.op)
        if handler is None:
            raise Refused("bad_request", f"compute does not know {job.op!r}")
        if job.id in self._jobs:
            raise Refused("conflict", f"job {job.id} is at work")
        name = CLASS_OF.get(job.op, "question")
        if self._count(name) >= THREADS[name] + WAITING_MAX:
            raise Refused("busy")
        future = asyncio.get_running_loop().run_in_executor(
            self._pool(name), self._work, handler, job, fields
        )
        self._jobs[job.id] = job
        self._ends[job.id] = future
        future.add_done_callback(lambda _: self._on_end(job))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            job.cancel()
            raise

    def cancel(self, id_: str) -> None:
        """End a job, as soon as it looks."""
        if id_ in self._jobs:
            self._jobs[id_].cancel()

    async def stop(self) -> None:
        """End all jobs; those that do not hear it are left behind."""
        for job in self._jobs.values():
            job.cancel()
        if self._ends:
            await asyncio.wait([*self._ends.values()], timeout=STOP_S)
        for id_, job in self._jobs.items():
            log.warning("job_left_behind", job=id_, op=job.op)
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)

    @property
    def is_busy(self) -> bool:
        """Whether a job waits or is at work."""
        return bool(self._jobs)

    def document(self) -> dict[str, Json]:
        """Jobs by id, for the heartbeat."""
        return {id_: job.document() for id_, job in self._jobs.items()}

    def _count(self, name: str) -> int:
        return sum(CLASS_OF.get(job.op, "question") == name for job in self._jobs.values())

    def _pool(self, name: str) -> ThreadPoolExecutor:
        if name not in self._pools:
            self._pools[name] = ThreadPoolExecutor(THREADS[name], f"compute-{name}")
        return self._pools[name]

    def _work(self, handler: Handler, job: Job, fields: Document) -> Document:
        """In the thread."""
        job.check_cancelled()
        job.state = "running"
        job.since_ns = job.clock.now_ns()
        try:
            return handler(job, fields)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise Refused("disk_full", str(error)) from error
            raise

    def _on_end(self, job: Job) -> None:
        future = self._ends.pop(job.id)
        del self._jobs[job.id]
        error = None if future.cancelled() else future.exception()
        if error is None:
            self.counters["done"] += 1
        elif isinstance(error, Refused):
            self.counters["refused"] += 1
        else:
            self.counters["crashed"] += 1
            log.error("job_crashed", job=job.id, op=job.op, exc_info=error)
        if not self._jobs:
            _give_back()


def _give_back() -> None:
    """Return freed memory to the system; glibc keeps it otherwise, once for each thread."""
    import ctypes  # noqa: PLC0415 - an idle compute has no use for it

    gc.collect()
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # musl, macOS
        return
    trim(0)
