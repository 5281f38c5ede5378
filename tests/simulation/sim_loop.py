"""An event loop without clock, threads and sockets: it does one turn when it is told to.

Works for a thread are kept in lanes until the scheduler runs them, and their results
until it hands them over, so that anything may happen before, between and after.
A process that is killed is a loop that gets no turn any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import inspect
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from penstock.testing import FakeClock, PowerCut

TURNS_MAX = 10_000


class Killed(Exception):
    """kill -9 in the middle of a system call; what was written is still in the kernel."""


@dataclass
class Lane:
    """One thread: its works in their order; `results` wait for their turn on the loop."""

    works: deque[tuple[asyncio.Future[Any], Callable[[], Any]]] = field(default_factory=deque)
    results: deque[Callable[[], None]] = field(default_factory=deque)

    def run(self) -> None:
        """The oldest work, to its end. A power cut or a kill ends everything."""
        future, work = self.works.popleft()
        try:
            result = work()
        except (PowerCut, Killed):
            raise
        except Exception as error:  # noqa: BLE001 - whoever waits for the thread gets it
            self.results.append(lambda raised=error: _settle(future, raised=raised))  # type: ignore[misc]
        else:
            self.results.append(lambda: _settle(future, result))


def _settle(
    future: asyncio.Future[Any], result: Any = None, *, raised: Exception | None = None
) -> None:
    if future.done():
        return
    if raised is None:
        future.set_result(result)
    else:
        future.set_exception(raised)


class VirtualLoop(asyncio.BaseEventLoop):
    """`turn` runs what is ready; time is the fake clock's."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._fake_clock = clock
        self.lanes: dict[object, Lane] = {}
        self.crashes: list[BaseException] = []
        self.set_exception_handler(self._note_crash)

    def time(self) -> float:
        return self._fake_clock.monotonic_ns() / 1e9

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self.create_future()
        self.lane(executor).works.append((future, lambda: func(*args)))
        return future

    def lane(self, name: object) -> Lane:
        """The lane of one executor or thread."""
        return self.lanes.setdefault(name, Lane())

    def busy_lanes(self) -> list[Lane]:
        """Lanes in which something waits."""
        return [lane for lane in self.lanes.values() if lane.works or lane.results]

    @property
    def is_idle(self) -> bool:
        """Nothing can happen before the clock moves or a lane does."""
        return not self._ready  # type: ignore[attr-defined]

    def turn(self) -> None:
        """Everything that is ready now, and no more."""
        self._wake_timers()
        ready = self._ready  # type: ignore[attr-defined]
        with self.running():
            for _ in range(len(ready)):
                handle = ready.popleft()
                if not handle._cancelled:
                    handle._run()

    def settle(self) -> None:
        """Turns until nothing is ready."""
        for _ in range(TURNS_MAX):
            self.turn()
            if self.is_idle:
                return
        raise AssertionError(f"the loop is still busy after {TURNS_MAX} turns")

    @contextlib.contextmanager
    def running(self) -> Any:
        """Code in the block sees this loop as the running one."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(before)

    def drop(self) -> None:
        """kill -9: nothing of it runs again; what its frames would say at their end is not said."""
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine: Any = task.get_coro()
            if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
                coroutine.close()
        self._ready.clear()  # type: ignore[attr-defined]
        self._scheduled.clear()  # type: ignore[attr-defined]
        self.lanes.clear()

    def __del__(self) -> None:  # type: ignore[override]
        """Nothing of the machine is held."""

    def _wake_timers(self) -> None:
        timers = self._scheduled  # type: ignore[attr-defined]
        while timers and (timers[0]._cancelled or timers[0]._when <= self.time()):
            handle = heapq.heappop(timers)
            handle._scheduled = False
            if not handle._cancelled:
                self._ready.append(handle)  # type: ignore[attr-defined]

    def _note_crash(self, _loop: object, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.crashes.append(error or AssertionError(context["message"]))

    def _write_to_self(self) -> None:
        """Nobody sleeps."""
