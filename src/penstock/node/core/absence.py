"""When the field process itself is away: its points must not look as if all were well.

A restart takes a second and says nothing; an absence that lasts becomes one bad
row per point, written by core, exactly like a device's loss.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import structlog

from penstock.model import Batch, Block, Flag, Frame, Quality, TimeOrigin, ValueKind
from penstock.model.frame import FRAME_KINDS
from penstock.model.system_path import is_system_path
from penstock.state import patiently

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from penstock.log import Log
    from penstock.model import Origin, Point
    from penstock.registry import Snapshot
    from penstock.world import Clock

log = structlog.get_logger()

ABSENT_AFTER_NS = 5_000_000_000
_FLAGS = int(TimeOrigin.RECEIPT) | int(Flag.NO_VALUE)


class AbsenceWatch:
    """Marks all fed points bad when no field process has been there for a while."""

    def __init__(
        self,
        data_log: Log,
        snapshot: Callable[[], Snapshot],
        origin: Origin,
        clock: Clock,
        sequences: Iterator[int],
        before: Callable[[], Awaitable[None]],
    ) -> None:
        """`sequences` numbers all batches of this origin; `before` is awaited before each mark."""
        self._log = data_log
        self._snapshot = snapshot
        self._origin = origin
        self._clock = clock
        self._sequences = sequences
        self._before = before
        self._waiting: asyncio.Task[None] | None = None

    def on_change(self, is_connected: bool) -> None:
        """The link came or went."""
        self.close()
        if not is_connected:
            until_ns = self._clock.monotonic_ns() + ABSENT_AFTER_NS
            self._waiting = asyncio.get_running_loop().create_task(self._mark_at(until_ns))

    def close(self) -> None:
        """The node stops: an absence is expected."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    async def _mark_at(self, until_ns: int) -> None:
        await self._clock.wait_until(until_ns)
        await self._before()
        await self._mark()

    async def _mark(self) -> None:
        points = [point for point in self._snapshot().points if point.connector is not None]
        if not points:
            return
        log.warning("field_absent", points=len(points))
        now_ns = self._clock.now_ns()
        frames, blocks = absent_frames(points, now_ns), absent_blocks(points, now_ns)
        batch = Batch(self._origin, next(self._sequences), frames, blocks)
        await patiently(lambda: self._log.append_batch(batch), self._clock, "absence")


def absent_frames(points: list[Point], time_ns: int) -> tuple[Frame, ...]:
    """One row a point: bad for what a device feeds, 0 for "answers" of the device itself."""
    frames = []
    for kind in FRAME_KINDS:
        of_kind = [point for point in points if point.kind == kind]
        if of_kind:
            frames.append(_frame(kind, of_kind, time_ns))
    return tuple(frames)


def absent_blocks(points: list[Point], time_ns: int) -> tuple[Block, ...]:
    """The same for the waveforms among the points."""
    return tuple(
        Block.without_samples(point.handle, time_ns, Quality.BAD_NO_COMMUNICATION, _FLAGS)
        for point in points
        if point.kind is ValueKind.WAVEFORM
    )


def _frame(kind: ValueKind, points: list[Point], time_ns: int) -> Frame:
    is_own = np.array([is_system_path(point.path) for point in points])
    return Frame.without_values(
        np.array([point.handle for point in points], np.uint32),
        kind,
        time_ns,
        np.where(is_own, Quality.GOOD, Quality.BAD_NO_COMMUNICATION),
        np.where(is_own, int(TimeOrigin.RECEIPT), _FLAGS),
    )
