"""Byte credit: the one bounded buffer in front of the log.

Whoever is not granted credit does not read from its sender; there is no other queue
in which unsynced data could pile up.
"""

from __future__ import annotations

import asyncio
from collections import deque


class CreditPool:
    """Bytes that may wait for their sync; granted in the order in which they were asked for."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._free = bytes_max
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def free_bytes(self) -> int:
        """Bytes that would be granted now; 0 while somebody waits."""
        return 0 if self._waiters else self._free

    @property
    def waiting(self) -> int:
        """Number of callers that wait."""
        return len(self._waiters)

    def acquire_nowait(self, size: int) -> bool:
        """Take credit; False, and nothing taken, if there is not enough."""
        if self._waiters or self._need(size) > self._free:
            return False
        self._free -= self._need(size)
        return True

    async def acquire(self, size: int) -> None:
        """Take credit as soon as there is enough."""
        if self.acquire_nowait(size):
            return
        future = asyncio.get_running_loop().create_future()
        self._waiters.append((size, future))
        try:
            await future
        except asyncio.CancelledError:
            self._withdraw(size, future)
            raise

    async def wait_free(self) -> None:
        """Return when a quarter of the pool is free, for doors that stopped reading."""
        size = self._bytes_max // 4
        await self.acquire(size)
        self.release(size)

    def release(self, size: int) -> None:
        """Give credit back and grant those who wait."""
        self._free += self._need(size)
        assert self._free <= self._bytes_max
        self._grant()

    def _need(self, size: int) -> int:
        """Something larger than the pool is granted when the pool is whole."""
        return min(size, self._bytes_max)

    def _grant(self) -> None:
        while self._waiters and self._need(self._waiters[0][0]) <= self._free:
            size, future = self._waiters.popleft()
            if not future.done():
                self._free -= self._need(size)
                future.set_result(None)

    def _withdraw(self, size: int, future: asyncio.Future[None]) -> None:
        if future.done() and not future.cancelled():
            self.release(size)
            return
        self._waiters = deque(item for item in self._waiters if item[1] is not future)
        self._grant()
