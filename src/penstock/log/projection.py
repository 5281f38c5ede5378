"""Projection: a follower whose position commits in one transaction with its effects.

Records without an effect need no commit of their own: a position that lags only
costs time at the next start, while a commit costs an fsync. `is_due` says when
one is worth it all the same, so that the log may forget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DatabaseError, DataError, IntegrityError

from penstock.log.follower import RECORDS_MAX, Follower
from penstock.model.time import SECOND_NS
from penstock.state import ReaderPosition, ReaderStore, patiently

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from penstock.log.follower import ReadableLog, Take
    from penstock.state import State
    from penstock.world import Clock

T = TypeVar("T")
POSITION_PERIOD_NS = 5 * SECOND_NS


class Projection(Follower):
    """Call `load` before it runs; `take` then calls `commit` with its effects."""

    def __init__(
        self,
        log: ReadableLog,
        state: State,
        clock: Clock,
        name: str,
        take: Take,
        *,
        records_max: int = RECORDS_MAX,
    ) -> None:
        super().__init__(log, name, take, records_max=records_max)
        self._state = state
        self._clock = clock
        self._readers = ReaderStore()
        self._committed_ns = 0

    def load(self) -> str:
        """Go back to what is committed; the snapshot that lies there."""
        with self._state.read() as connection:
            stored = self._readers.position(connection, self.name)
        self.resume(stored.incarnation, stored.sequence)
        return stored.snapshot

    def is_transient(self, error: object) -> bool:
        """Neither is a database that is locked, full or broken; what it will not take is."""
        is_database = isinstance(error, DatabaseError)
        return super().is_transient(error) or (
            is_database and not isinstance(error, IntegrityError | DataError)
        )

    @property
    def is_due(self) -> bool:
        """A commit for the position alone is worth its fsync."""
        return self._clock.monotonic_ns() - self._committed_ns >= POSITION_PERIOD_NS

    async def commit(self, sequence: int, effects: Callable[[Connection], T]) -> T:
        """Result of `effects`, which must be able to begin again: a full disk is waited out."""
        return await patiently(lambda: self.store(sequence, effects), self._clock, self.name)

    async def store(
        self, sequence: int, effects: Callable[[Connection], T], snapshot: str = ""
    ) -> T:
        """Like commit, at once or Refused."""
        position = ReaderPosition(self._log.incarnation, sequence, snapshot)

        def work(connection: Connection) -> T:
            result = effects(connection)
            self._readers.set_position(connection, self.name, position)
            return result

        begin_ns = self._clock.monotonic_ns()
        result = await self._state.write(work)
        self._committed_ns = begin_ns
        self.advance(sequence)
        return result
