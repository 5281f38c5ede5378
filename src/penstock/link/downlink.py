"""The receiving end: translates handles, appends to the log, acknowledges what is durable.

A batch that came before is acknowledged again and not stored again. Credit
follows durability: the sender may be WINDOW ahead of what the log has synced.
While the log is full, batches wait here in their order, because a rule that sees
a sender's newer samples first takes the older ones for late and judges none of them.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from typing import TYPE_CHECKING, Protocol

import numpy as np

from penstock.codec.dictionary import decode_dictionary
from penstock.codec.link import (
    LinkType,
    RangeAcknowledge,
    decode_batch_payload,
    encode_acknowledge,
    encode_credit,
)
from penstock.model import Batch, NotConnected, Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    import numpy.typing as npt

    from penstock.link.session import Session
    from penstock.model import Frame

CREDIT_WINDOW_BYTES = 16 * 1024 * 1024
UNKNOWN = 0xFFFF_FFFF
RETRY_S = 0.5


class LogDoor(Protocol):
    """What a downlink needs of the log."""

    def append_batch_nowait(self, batch: Batch) -> asyncio.Future[int]:
        """Resolves with the sequence when the batch is durable."""
        ...


class Downlink:
    """Batches from one sender into the log."""

    def __init__(
        self, session: Session, log: LogDoor, handle_of: Callable[[UUID], int | None]
    ) -> None:
        self._session = session
        self._log = log
        self._handle_of = handle_of
        self._translation: npt.NDArray[np.uint32] = np.zeros(0, np.uint32)
        self._durable_bytes = 0
        self._held: list[tuple[int, int, Batch]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._is_probing = False
        self.counters = {"batches": 0, "rows": 0, "unknown_rows": 0, "refused": 0}

    def open(self) -> int:
        """The credit to name in hello."""
        return CREDIT_WINDOW_BYTES

    def on_dictionary(self, payload: bytes) -> None:
        """The sender's handles; later entries add to earlier ones."""
        entries = decode_dictionary(payload)
        if not entries:
            return
        size = max(len(self._translation), max(entry.handle for entry in entries) + 1)
        translation = np.full(size, UNKNOWN, np.uint32)
        translation[: len(self._translation)] = self._translation
        for entry in entries:
            handle = self._handle_of(entry.id)
            translation[entry.handle] = UNKNOWN if handle is None else handle
        self._translation = translation

    def on_batch(self, payload: bytes) -> None:
        """Append a batch; its acknowledgement follows when it is durable.

        A log that refuses is asked again; meanwhile nothing is acknowledged, the
        sender's credit runs out, and other frames of the link go on.
        """
        batch = self._translated(decode_batch_payload(payload))
        self.counters["batches"] += 1
        self.counters["rows"] += batch.rows
        if self._held or self._is_probing:
            self._hold(batch, len(payload))
        else:
            self._append(batch, len(payload))

    def close(self) -> None:
        """The session is gone; what the log has refused comes again over the next one."""
        self._held.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _append(self, batch: Batch, size: int) -> None:
        try:
            future = self._log.append_batch_nowait(batch)
        except Refused:
            self.counters["refused"] += 1
            self._hold(batch, size)
            return
        future.add_done_callback(lambda done: self._on_done(done, batch, size))

    def _on_done(self, done: asyncio.Future[int], batch: Batch, size: int) -> None:
        if done.cancelled():
            return
        if done.exception() is not None:
            self.counters["refused"] += 1
            self._hold(batch, size)
            return
        acknowledge = RangeAcknowledge(batch.origin, batch.sequence, batch.sequence)
        self._session.send(LinkType.ACKNOWLEDGE, [encode_acknowledge(acknowledge)])
        self._durable_bytes += size
        credit = self._durable_bytes + CREDIT_WINDOW_BYTES
        self._session.send(LinkType.CREDIT, [encode_credit(credit)])

    # --- while the log is full

    def _hold(self, batch: Batch, size: int) -> None:
        """Keep a batch for later, in the sender's order; credit bounds how many there are."""
        insort(self._held, (batch.sequence, size, batch), key=lambda item: item[0])
        if self._timer is None and not self._is_probing:
            self._timer = asyncio.get_running_loop().call_later(RETRY_S, self._probe)

    def _probe(self) -> None:
        """Offer the oldest alone: if it is refused, all the others would be too."""
        self._timer = None
        if not self._held:
            return
        _, size, batch = self._held.pop(0)
        try:
            future = self._log.append_batch_nowait(batch)
        except Refused:
            self.counters["refused"] += 1
            self._hold(batch, size)
            return
        self._is_probing = True
        future.add_done_callback(lambda done: self._on_probed(done, batch, size))

    def _on_probed(self, done: asyncio.Future[int], batch: Batch, size: int) -> None:
        """The rest follows in order, before anything that arrives from now on."""
        self._is_probing = False
        self._on_done(done, batch, size)
        if done.cancelled() or done.exception() is not None:
            return
        held, self._held = self._held, []
        for _, later_size, later in held:
            self._append(later, later_size)

    def _translated(self, batch: Batch) -> Batch:
        frames = tuple(
            frame for old in batch.frames if len(frame := self._translate(old)) or not len(old)
        )
        handles = [self._one(block.point) for block in batch.blocks]
        blocks = tuple(
            block.with_point(handle)
            for handle, block in zip(handles, batch.blocks, strict=True)
            if handle != UNKNOWN
        )
        return Batch(batch.origin, batch.sequence, frames, blocks, batch.receipts)

    def _translate(self, frame: Frame) -> Frame:
        if len(frame) and int(frame.point.max()) >= len(self._translation):
            raise NotConnected("a batch uses a handle that no dictionary has named")
        translated = frame.with_points(self._translation[frame.point])
        is_unknown = translated.point == UNKNOWN
        if not is_unknown.any():
            return translated
        self.counters["unknown_rows"] += int(is_unknown.sum())
        return translated.take(np.flatnonzero(~is_unknown))

    def _one(self, handle: int) -> int:
        return int(self._translation[handle]) if handle < len(self._translation) else UNKNOWN
