"""When the node itself was off: the time in which nobody measured must not look measured.

Marked at the start and not at the stop, because a power cut writes nothing. A field process
that outlives a crash of core has gone on measuring and hands over what it kept: then there
was no outage, and nothing is marked.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import structlog

from penstock.model import Batch, Block, Flag, Frame, Quality, TimeOrigin, ValueKind
from penstock.model.frame import FRAME_KINDS
from penstock.state import patiently

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from penstock.historian import HistorianWorker
    from penstock.historian.last import LastRows
    from penstock.log import Log
    from penstock.model import Origin, Point
    from penstock.registry import Snapshot
    from penstock.world import Clock

log = structlog.get_logger()

# A full disk can keep the history from taking in the log; the field is not kept waiting by it.
REPLAY_S_MAX = 10.0
POINTS_AT_ONCE = 16_384
_FLAGS = int(TimeOrigin.RECEIPT) | int(Flag.NO_VALUE)


class OutageMark:
    """One bad row for each fed point that was not bad when the node went off; once a start."""

    def __init__(
        self,
        data_log: Log,
        historian: HistorianWorker,
        snapshot: Callable[[], Snapshot],
        origin: Origin,
        clock: Clock,
        sequences: Iterator[int],
    ) -> None:
        """Made before anything is appended: what the log holds now is of earlier processes."""
        self._log = data_log
        self._historian = historian
        self._snapshot = snapshot
        self._origin = origin
        self._clock = clock
        self._sequences = sequences
        self._end = data_log.durable
        self._turn = asyncio.Lock()
        self._is_settled = False
        self._writing: asyncio.Task[None] | None = None

    async def on_greeting(self, field: Origin) -> None:
        """A field process is there; its batches are taken when this returns."""
        if self._log.received.knows(field):
            self._is_settled = True
        await self.settle()

    async def settle(self) -> None:
        """Hand the rows to the log, unless that was done: whatever comes later is behind them."""
        async with self._turn:
            if self._is_settled:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPLAY_S_MAX):
                    await self._historian.wait_read(self._end)
            self._is_settled = True
            if batches := self._batches():
                self._writing = asyncio.get_running_loop().create_task(self._write(batches))
                await asyncio.sleep(0)  # they are in the log's queue now, in front of others

    def close(self) -> None:
        """The node stops; what a full disk has refused until now is marked by the next start."""
        if self._writing is not None:
            self._writing.cancel()

    def _batches(self) -> list[Batch]:
        fed = [point for point in self._snapshot().points if point.connector is not None]
        rows = self._historian.historian.last.rows([point.handle for point in fed])
        now_ns = self._clock.now_ns()
        since_ns = outage_begin(rows, min(self._log.heard_ns, now_ns), self._end)
        which = np.flatnonzero(is_to_mark(rows, self._end)).tolist()
        if which:
            seconds = (now_ns - self._log.heard_ns) // 1_000_000_000
            log.info("outage_marked", points=len(which), seconds=seconds)
        parts = [which[at : at + POINTS_AT_ONCE] for at in range(0, len(which), POINTS_AT_ONCE)]
        return [self._batch([fed[place] for place in part], since_ns[part]) for part in parts]

    def _batch(self, points: Sequence[Point], since_ns: npt.NDArray[np.int64]) -> Batch:
        frames, blocks = outage_frames(points, since_ns), outage_blocks(points, since_ns)
        return Batch(self._origin, next(self._sequences), frames, blocks)

    async def _write(self, batches: Sequence[Batch]) -> None:
        async def append() -> None:
            await asyncio.gather(*[self._log.append_batch_nowait(batch) for batch in batches])

        await patiently(append, self._clock, "outage")


def is_to_mark(rows: LastRows, end: int) -> npt.NDArray[np.bool_]:
    """Points whose newest sample looks as if it still held.

    One that came behind log sequence `end` tells nothing of what was in force before.
    """
    marked: npt.NDArray[np.bool_] = rows.quality >= Quality.UNCERTAIN
    marked |= rows.sequence > np.uint64(end)
    marked &= rows.kind != 0
    return marked


def outage_begin(rows: LastRows, heard_ns: int, end: int) -> npt.NDArray[np.int64]:
    """When nobody watched any more: the last sign of life, and behind what was measured then."""
    is_older = (rows.time_ns < heard_ns) | (rows.sequence > np.uint64(end))
    return np.where(is_older, np.int64(heard_ns), rows.time_ns + 1)


def outage_frames(points: Sequence[Point], since_ns: npt.NDArray[np.int64]) -> tuple[Frame, ...]:
    """One bad row a point at its time; also "answers" of a device is not known."""
    frames = []
    for kind in FRAME_KINDS:
        places = [place for place, point in enumerate(points) if point.kind is kind]
        if places:
            handles = np.array([points[place].handle for place in places], np.uint32)
            bad = Frame.without_values(handles, kind, 0, Quality.BAD_NO_COMMUNICATION, _FLAGS)
            frames.append(replace(bad, time_ns=since_ns[places]))
    return tuple(frames)


def outage_blocks(points: Sequence[Point], since_ns: npt.NDArray[np.int64]) -> tuple[Block, ...]:
    """The same for the waveforms among the points."""
    return tuple(
        Block.without_samples(point.handle, time_ns, Quality.BAD_NO_COMMUNICATION, _FLAGS)
        for point, time_ns in zip(points, since_ns.tolist(), strict=True)
        if point.kind is ValueKind.WAVEFORM
    )
