"""Gathers what the lines read into Batches: one Batch per few milliseconds, not one per request.

A record costs about 150 bytes and a share of an fsync, so that readings which
come together travel together.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from penstock.model import ValueKind
from penstock.model.frame import concatenate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.link.uplink import Uplink
    from penstock.model import Block, Frame

LINGER_S = 0.004
ROWS_MAX = 32_768


class Collector:
    """Frames of all lines on their way into the next Batch."""

    def __init__(self, uplink: Uplink, linger_s: float = LINGER_S) -> None:
        self._uplink = uplink
        self._linger_s = linger_s
        self._frames: dict[ValueKind, list[Frame]] = {kind: [] for kind in ValueKind}
        self._blocks: list[Block] = []
        self._rows = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, frames: Sequence[Frame], blocks: Sequence[Block] = ()) -> None:
        """Take columns; they leave with the next Batch."""
        for frame in frames:
            if len(frame):
                if self._rows + len(frame) > ROWS_MAX:
                    self.flush()
                self._frames[frame.kind].append(frame)
                self._rows += len(frame)
        self._blocks += blocks
        if self._timer is None and (self._rows or self._blocks):
            self._timer = asyncio.get_running_loop().call_later(self._linger_s, self.flush)

    def flush(self) -> None:
        """Make the Batch now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._rows and not self._blocks:
            return
        frames = [concatenate(self._frames[kind]) for kind in ValueKind if self._frames[kind]]
        blocks, self._blocks = self._blocks, []
        self._frames = {kind: [] for kind in ValueKind}
        self._rows = 0
        self._uplink.put(frames, blocks)
