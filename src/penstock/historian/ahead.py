"""Ahead: sources whose clock is wrong say that a sample is of tomorrow.

The sample keeps its time, for that is what the source said, and its quality says that the
time is doubtful. It is the newest only as of its receipt: else one such sample would
stand before all that follow until its day has come.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from penstock.model import Block, Frame, Quality
from penstock.model.time import MINUTE_NS, TIME_NS_MAX

if TYPE_CHECKING:
    import numpy.typing as npt

AHEAD_NS_MAX = MINUTE_NS
"""How far a source's clock may be ahead of ours before its time is doubted."""


def latest_ns(receive_ns: int) -> int:
    """The latest time that is believed of a sample that was received then."""
    return min(receive_ns + AHEAD_NS_MAX, TIME_NS_MAX)


def doubted(frame: Frame, receive_ns: int) -> Frame:
    """The frame, its good rows from ahead made uncertain."""
    is_ahead = frame.time_ns > latest_ns(receive_ns)
    if not is_ahead.any():
        return frame
    is_doubtful = is_ahead & (frame.quality >= Quality.GOOD)
    quality = np.where(is_doubtful, np.uint8(Quality.UNCERTAIN_SOURCE_TIME), frame.quality)
    return replace(frame, quality=quality)


def doubted_block(block: Block, receive_ns: int) -> Block:
    """The same for a Block, by the time of its first sample."""
    if block.t0_ns <= latest_ns(receive_ns) or block.quality < Quality.GOOD:
        return block
    return replace(block, quality=int(Quality.UNCERTAIN_SOURCE_TIME))


def ranked(time_ns: npt.NDArray[np.int64], receive_ns: int) -> npt.NDArray[np.int64]:
    """Times by which the newest is found: those from ahead count as of their receipt."""
    return np.where(time_ns > latest_ns(receive_ns), np.int64(receive_ns), time_ns)
