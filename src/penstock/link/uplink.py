"""The sending end: numbers batches, keeps them until they are acknowledged, sends them again.

The window is bounded by the receiver's credit and by our own limit, whichever is
smaller; who wants to send waits in `wait_room`, and that is the back-pressure.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.codec.layout import Buffer
from penstock.codec.link import (
    Lane,
    LinkType,
    RangeAcknowledge,
    encode_batch_payload,
)
from penstock.model import Batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.link.session import Session
    from penstock.model import Block, Frame, Origin

WINDOW_BYTES_MAX = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Pending:
    origin: Origin
    sequence: int
    payload: list[Buffer]
    size: int
    lane: Lane


class Uplink:
    """Batches on their way to one receiver: of its own origin, and such that bear a number.

    A numbered batch comes from something that outlives the process (an import): whoever
    sends it again sends the same number, and the receiver takes it once.
    """

    def __init__(self, origin: Origin, window_bytes_max: int = WINDOW_BYTES_MAX) -> None:
        self.origin = origin
        self._window_bytes_max = window_bytes_max
        self._sequence = 0
        self._pending: deque[_Pending] = deque()
        self._pending_bytes = 0
        self._sent_bytes = 0
        self._credit = 0
        self._unsent: deque[_Pending] = deque()
        self._session: Session | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._empty = asyncio.Event()
        self._empty.set()
        self.counters = {"batches": 0, "rows": 0, "resent": 0, "acknowledged": 0}

    def put(self, frames: Sequence[Frame], blocks: Sequence[Block] = ()) -> int:
        """Number a batch and send it as soon as there is a session with credit; its sequence."""
        self._sequence += 1
        batch = Batch(self.origin, self._sequence, tuple(frames), tuple(blocks))
        self.put_numbered(batch, Lane.LIVE)
        return self._sequence

    def put_numbered(self, batch: Batch, lane: Lane = Lane.BACKLOG) -> None:
        """Send a batch under its own origin and sequence; those of one origin in their order."""
        payload = encode_batch_payload(batch)
        size = sum(len(buffer) for buffer in payload)
        item = _Pending(batch.origin, batch.sequence, payload, size, lane)
        self._pending.append(item)
        self._unsent.append(item)
        self._pending_bytes += item.size
        self._empty.clear()
        if self._pending_bytes >= self._window_bytes_max:
            self._room.clear()
        self.counters["batches"] += 1
        self.counters["rows"] += batch.rows
        self._flush()

    @property
    def has_room(self) -> bool:
        """False while the window is full: a poll must wait."""
        return self._room.is_set()

    async def wait_room(self) -> None:
        """Wait until the window has room."""
        await self._room.wait()

    async def wait_acknowledged(self) -> None:
        """Wait until nothing is pending (drain at the end)."""
        await self._empty.wait()

    def attach(self, session: Session, credit: int) -> None:
        """A new session: everything that is not acknowledged goes again, in order."""
        self._session = session
        self._sent_bytes = 0
        self._credit = credit
        already = len(self._pending) - len(self._unsent)
        self.counters["resent"] += already
        self._unsent = deque(self._pending)
        self._flush()

    def detach(self) -> None:
        """The session is gone; batches are kept."""
        self._session = None

    def on_credit(self, total_bytes: int) -> None:
        """The receiver allows `total_bytes` since hello."""
        self._credit = max(self._credit, total_bytes)
        self._flush()

    def on_acknowledge(self, item: RangeAcknowledge) -> None:
        """The receiver holds these batches durably."""
        kept: deque[_Pending] = deque()
        while self._pending:
            pending = self._pending[0]
            is_own = pending.origin == item.origin
            if is_own and pending.sequence > item.last:
                break
            self._pending.popleft()
            if not is_own or pending.sequence < item.first:
                kept.append(pending)
                continue
            self._pending_bytes -= pending.size
            self.counters["acknowledged"] += 1
        self._pending.extendleft(reversed(kept))
        while self._unsent and _is_covered(self._unsent[0], item):
            self._unsent.popleft()
        if self._pending_bytes < self._window_bytes_max:
            self._room.set()
        if not self._pending:
            self._empty.set()

    def statistics(self) -> dict[str, int]:
        """Counters and the window."""
        return {
            **self.counters,
            "pending_batches": len(self._pending),
            "pending_bytes": self._pending_bytes,
            "window_bytes_max": self._window_bytes_max,
        }

    def _flush(self) -> None:
        session = self._session
        while session is not None and self._unsent:
            item = self._unsent[0]
            if self._sent_bytes + item.size > self._credit:
                return
            session.send(LinkType.BATCH, item.payload, item.lane)
            self._sent_bytes += item.size
            self._unsent.popleft()


def _is_covered(pending: _Pending, item: RangeAcknowledge) -> bool:
    return pending.origin == item.origin and item.first <= pending.sequence <= item.last
