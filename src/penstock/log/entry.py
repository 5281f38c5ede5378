"""Entry: a record on its way into the log, and the queue in which a group gathers."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.codec.batch import encode_batch
from penstock.codec.record import RecordKind

if TYPE_CHECKING:
    import asyncio

    from penstock.codec.layout import Buffer
    from penstock.log.record import LogRecord, Payload
    from penstock.model import Batch, Origin, Refused

_HEADER_BYTES = 96


@dataclass(slots=True, eq=False)
class Entry:
    """Payload as object (for the cache of readers) and as buffers (for the disk)."""

    kind: RecordKind
    payload: Payload
    buffers: list[Buffer]
    origin: Origin
    origin_sequence: int = 0
    rows: int = 0
    receive_ns: int | None = None
    future: asyncio.Future[int] | None = None
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = _HEADER_BYTES + sum(map(len, self.buffers))

    @property
    def is_small(self) -> bool:
        """Everything but batches may use the ballast of a full disk."""
        return self.kind != RecordKind.BATCH


@dataclass(slots=True)
class Outcome:
    """What one group became: records in their order, who was written, who was turned down."""

    records: list[LogRecord] = field(default_factory=list)
    written: list[tuple[Entry, int]] = field(default_factory=list)
    refused: list[tuple[Entry, Refused]] = field(default_factory=list)
    folded: list[Origin] = field(default_factory=list)


def batch_entry(batch: Batch, receive_ns: int | None) -> Entry:
    """Entry of a batch; its columns are written where they lie."""
    return Entry(
        RecordKind.BATCH,
        batch,
        encode_batch(batch),
        batch.origin,
        batch.sequence,
        batch.rows,
        receive_ns,
    )


class CommitQueue:
    """Gathers entries while the previous group is synced; bounded by the credit pools.

    Small records overtake batches that are not written yet: an alarm does not wait for
    32 MiB of samples on a slow disk. Each of the two keeps its own order.
    """

    def __init__(self, linger_s: float, rows_max: int, bytes_max: int) -> None:
        self._linger_s = linger_s
        self._rows_max = rows_max
        self._bytes_max = bytes_max
        self._small: list[Entry] = []
        self._batches: list[Entry] = []
        self._rows = 0
        self._changed = threading.Condition(threading.Lock())
        self._is_idle = False
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._small) + len(self._batches)

    def put(self, entry: Entry) -> None:
        """Add; wakes the writer only if that changes what it does."""
        with self._changed:
            (self._small if entry.is_small else self._batches).append(entry)
            self._rows += entry.rows
            if self._is_idle or self._rows >= self._rows_max:
                self._changed.notify()

    def take(self) -> list[Entry]:
        """Wait for a group; empty when the queue is closed and drained."""
        with self._changed:
            while not len(self) and not self._is_closed:
                self._is_idle = True
                self._changed.wait()
            self._is_idle = False
            if self._linger_s:
                self._changed.wait_for(self._is_ripe, self._linger_s)
            return self._pop()

    def take_nowait(self) -> list[Entry]:
        """What is there now; empty if nothing is."""
        with self._changed:
            return self._pop()

    def close(self) -> None:
        """Let the writer take what is left, then end."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _is_ripe(self) -> bool:
        return self._is_closed or self._rows >= self._rows_max

    def _pop(self) -> list[Entry]:
        small, self._small = self._small, []
        size, count = sum(entry.size for entry in small), 0
        for entry in self._batches:
            size += entry.size
            if size > self._bytes_max and (count or small):
                break
            count += 1
        batches, self._batches = self._batches[:count], self._batches[count:]
        self._rows -= sum(entry.rows for entry in batches)
        return [*small, *batches]
