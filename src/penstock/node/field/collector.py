"""Gathers what the lines read into Batches: one Batch per few milliseconds, not one per request.

A record costs about 150 bytes and a share of an fsync, so that readings which
come together travel together.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np

from penstock.model import TextColumn, ValueKind
from penstock.model.frame import concatenate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.link.uplink import Uplink
    from penstock.model import Block, Frame

LINGER_S = 0.004
ROWS_MAX = 32_768
# Half of what a Batch may have; the rest is for its columns of numbers.
BYTES_MAX = 4 * 1024 * 1024
# Headers of a Block, so that Blocks without samples are bounded too.
BLOCK_BYTES = 128


class Collector:
    """Frames of all lines on their way into the next Batch."""

    def __init__(self, uplink: Uplink, linger_s: float = LINGER_S) -> None:
        self._uplink = uplink
        self._linger_s = linger_s
        self._frames: dict[ValueKind, list[Frame]] = {kind: [] for kind in ValueKind}
        self._blocks: list[Block] = []
        self._rows = 0
        self._bytes = 0  # of texts and blocks
        self._timer: asyncio.TimerHandle | None = None

    def add(self, frames: Sequence[Frame], blocks: Sequence[Block] = ()) -> None:
        """Take columns; they leave with the next Batch."""
        for part in (part for frame in frames for part in _parts(frame)):
            self._make_room(len(part), _text_bytes(part))
            self._frames[part.kind].append(part)
        for block in blocks:
            self._make_room(0, block.samples.nbytes + BLOCK_BYTES)
            self._blocks.append(block)
        if self._timer is None and (self._rows or self._blocks):
            self._timer = asyncio.get_running_loop().call_later(self._linger_s, self.flush)

    def _make_room(self, rows: int, size: int) -> None:
        if self._rows + rows > ROWS_MAX or self._bytes + size > BYTES_MAX:
            self.flush()
        self._rows += rows
        self._bytes += size

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
        self._rows = self._bytes = 0
        self._uplink.put(frames, blocks)


def _text_bytes(frame: Frame) -> int:
    return len(frame.value.data) if isinstance(frame.value, TextColumn) else 0


def _parts(frame: Frame) -> Iterator[Frame]:
    """The frame in parts that each fit into a Batch: a device may send any number of texts."""
    if not len(frame):
        return
    if not isinstance(frame.value, TextColumn) or _text_bytes(frame) <= BYTES_MAX:
        yield frame
        return
    ends, begin = frame.value.offset.astype(np.int64), 0
    while begin < len(frame):
        end = int(np.searchsorted(ends, ends[begin] + BYTES_MAX, "right")) - 1
        end = max(end, begin + 1)
        yield frame.take(np.arange(begin, end))
        begin = end
