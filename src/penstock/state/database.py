"""State: the door to the database. One writer thread commits in groups, readers read anywhere.

A commit costs one fsync whoever asked for it, so that works which wait together
are committed together; each has a savepoint, and one that fails takes nobody
along. A work runs in the writer thread: it must not touch the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from sqlalchemy.exc import OperationalError

from penstock.model import Refused
from penstock.state.engine import is_memory, open_readers, open_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

DEFAULT_TENANT = "default"
QUEUE_WORKS_MAX = 1_024
GROUP_WORKS_MAX = 128

T = TypeVar("T")


class _Caught:
    """Carries whatever a work raises to its caller, who waits in another thread.

    The writer serves everybody, so a bug in one request's work must end that
    request and not the thread; the caller raises it where it belongs.
    """

    error: BaseException | None = None

    def __enter__(self) -> _Caught:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: object
    ) -> bool:
        self.error = error if error is None else _explained(error)
        return True


@dataclass(frozen=True, slots=True)
class _Job(Generic[T]):
    work: Callable[[Connection], T]
    answer: Future[T]

    def run(self, connection: Connection) -> Callable[[], None] | None:
        """Do the work in a savepoint; what remains to be said once the group is committed."""
        if not self.answer.set_running_or_notify_cancel():
            return None
        results: list[T] = []
        with _Caught() as caught, connection.begin_nested():
            results.append(self.work(connection))
        if caught.error is not None:
            return partial(self.answer.set_exception, caught.error)
        return partial(self.answer.set_result, results[0])


class State:
    """One database; `close` waits for the works that were accepted."""

    def __init__(self, readers: Engine, writer: Engine) -> None:
        self._readers = readers
        self._writer = writer
        self._queue: queue.Queue[_Job[object] | None] = queue.Queue(QUEUE_WORKS_MAX)
        self._counts = {"works": 0, "failed": 0, "commits": 0, "refused": 0, "group_max": 0}
        self._is_closed = False
        self._thread = threading.Thread(target=self._write_loop, name="state-writer", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, url: str) -> State:
        """Open `sqlite:////path/state.db` or `postgresql+psycopg://…`; the schema must be there."""
        assert not is_memory(url), "readers and writer would see two databases"
        writer = open_writer(url)
        return cls(open_readers(url), writer)

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot for a short read, from any thread; never held across an await."""
        with self._readers.connect() as connection, connection.begin():
            yield connection

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the writer thread; its result after the commit has reached the disk.

        A full queue refuses with "busy", counted. A cancelled caller's work is
        dropped if it has not begun, otherwise it is committed all the same.
        """
        return await asyncio.wrap_future(self._submit(work))

    def write_blocking(self, work: Callable[[Connection], T]) -> T:
        """`write` for the command line and for threads; never call it on the event loop."""
        return self._submit(work).result()

    def statistics(self) -> dict[str, int]:
        """Works, commits, failures, refusals, largest group; waiting works and their limit."""
        waiting = self._queue.qsize()
        return {**self._counts, "queue_works": waiting, "queue_works_max": QUEUE_WORKS_MAX}

    def close(self) -> None:
        """Finish what was accepted, then close all connections."""
        if not self._is_closed:
            self._is_closed = True
            self._queue.put(None)
            self._thread.join()
            self._writer.dispose()
            self._readers.dispose()

    def _submit(self, work: Callable[[Connection], T]) -> Future[T]:
        assert not self._is_closed, "the state is closed"
        answer: Future[T] = Future()
        try:
            self._queue.put_nowait(_Job(work, answer))  # type: ignore[arg-type]
        except queue.Full:
            self._counts["refused"] += 1
            raise Refused("busy", retry_after_s=1) from None
        return answer

    def _write_loop(self) -> None:
        is_open = True
        while is_open:
            group = self._next_group()
            is_open = group[-1] is not None
            jobs = [job for job in group if job is not None]
            if jobs:
                self._commit(jobs)

    def _next_group(self) -> list[_Job[object] | None]:
        group = [self._queue.get()]
        with contextlib.suppress(queue.Empty):
            while group[-1] is not None and len(group) < GROUP_WORKS_MAX:
                group.append(self._queue.get_nowait())
        return group

    def _commit(self, jobs: list[_Job[object]]) -> None:
        answers: list[Callable[[], None]] = []
        with _Caught() as caught, self._writer.begin() as connection:
            for job in jobs:
                answer = job.run(connection)
                if answer is not None:
                    answers.append(answer)
        if caught.error is not None:
            self._counts["failed"] += len(jobs)
            _fail_all(jobs, caught.error)
            return
        for answer in answers:
            answer()
        self._count(jobs)

    def _count(self, jobs: list[_Job[object]]) -> None:
        failed = sum(_has_failed(job.answer) for job in jobs)
        self._counts["works"] += len(jobs)
        self._counts["failed"] += failed
        self._counts["commits"] += 1
        self._counts["group_max"] = max(self._counts["group_max"], len(jobs))


def _has_failed(answer: Future[object]) -> bool:
    return not answer.cancelled() and answer.exception() is not None


def _fail_all(jobs: list[_Job[object]], error: BaseException) -> None:
    """The commit failed: nothing of the group is stored, and everybody is told so."""
    for job in jobs:
        if not job.answer.done() and (
            job.answer.running() or job.answer.set_running_or_notify_cancel()
        ):
            job.answer.set_exception(error)


def _explained(error: BaseException) -> BaseException:
    """SQLite says a full disk in English only; it becomes the refusal that names the remedy."""
    if isinstance(error, OperationalError) and "disk is full" in str(error.orig):
        refusal = Refused("disk_full")
        refusal.__cause__ = error
        return refusal
    return error
