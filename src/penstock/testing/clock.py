"""A clock that moves only when the test says so."""

from __future__ import annotations

import asyncio
import heapq

START_NS = 1_790_000_000_000_000_000


class FakeClock:
    """UTC and monotonic time that advance together; `jump` moves UTC alone."""

    def __init__(self, now_ns: int = START_NS) -> None:
        self._now_ns = now_ns
        self._monotonic_ns = 1_000_000_000
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def now_ns(self) -> int:
        """UTC."""
        return self._now_ns

    def monotonic_ns(self) -> int:
        """Monotonic time."""
        return self._monotonic_ns

    def jump(self, by_ns: int) -> None:
        """Step UTC as NTP or a person would; monotonic time stays."""
        self._now_ns += by_ns

    def advance(self, by_ns: int) -> None:
        """Let time pass and wake who waited for it."""
        assert by_ns >= 0
        self._now_ns += by_ns
        self._monotonic_ns += by_ns
        while self._waiters and self._waiters[0][0] <= self._monotonic_ns:
            future = heapq.heappop(self._waiters)[2]
            if not future.done():
                future.set_result(None)

    async def wait_until(self, monotonic_ns: int) -> None:
        """Wait for `advance`; a moment that has passed returns after one turn of the loop."""
        if monotonic_ns <= self._monotonic_ns:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._waiters, (monotonic_ns, self._count, future))
        await future
