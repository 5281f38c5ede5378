"""The rows that the host itself writes: a loss, a return, and the count of good ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from penstock.model import Block, Flag, Frame, Quality, TimeOrigin, ValueKind
from penstock.model.frame import FRAME_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NO_VALUE = int(TimeOrigin.RECEIPT) | int(Flag.NO_VALUE)


def lost_frames(points: Sequence[int], kinds: Mapping[int, ValueKind], time_ns: int) -> list[Frame]:
    """One bad row without a value for each point, one frame a kind."""
    frames = []
    for kind in FRAME_KINDS:
        handles = [handle for handle in points if kinds[handle] == kind]
        if handles:
            point = np.array(handles, np.uint32)
            frames.append(
                Frame.without_values(point, kind, time_ns, Quality.BAD_NO_COMMUNICATION, _NO_VALUE)
            )
    return frames


def lost_blocks(points: Sequence[int], kinds: Mapping[int, ValueKind], time_ns: int) -> list[Block]:
    """The same for the waveforms among the points: a bad Block without samples each."""
    return [
        Block.without_samples(handle, time_ns, Quality.BAD_NO_COMMUNICATION, _NO_VALUE)
        for handle in points
        if kinds[handle] is ValueKind.WAVEFORM
    ]


def connected_frame(handle: int, time_ns: int, is_connected: bool) -> Frame:
    """The system point of a device."""
    return Frame(
        np.array([handle], np.uint32),
        np.array([time_ns], np.int64),
        np.array([int(is_connected)], np.int64),
        np.array([Quality.GOOD], np.uint8),
        np.array([TimeOrigin.RECEIPT], np.uint8),
    )


def count_good(frames: Sequence[Frame]) -> tuple[int, int]:
    """Rows, and those among them that are good."""
    rows = sum(len(frame) for frame in frames)
    good = sum(int(np.count_nonzero(frame.quality >= Quality.GOOD)) for frame in frames)
    return rows, good
