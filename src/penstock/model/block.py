"""Block: one burst of a waveform, kept whole because a spectrum needs every sample of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from penstock.model.frame import Flag

if TYPE_CHECKING:
    import numpy.typing as npt

BLOCK_BYTES_MAX = 4 * 1024 * 1024
TIME_NS_LIMIT = 2**63

Samples: TypeAlias = "npt.NDArray[np.int16] | npt.NDArray[np.int32] | npt.NDArray[np.float32]"
SAMPLE_TYPES = (np.dtype("<i2"), np.dtype("<i4"), np.dtype("<f4"))


@dataclass(frozen=True, slots=True)
class Block:
    """`samples` of one point, the first at `t0_ns`, one every `dt_ns` nanoseconds.

    `dt_ns` is a float64, because 51.2 kHz is 19,531.25 ns; the time of sample i
    is t0_ns + round(i * dt_ns). A Block without samples says that there is no
    waveform from its t0 on, and why (its quality).
    """

    point: int
    t0_ns: int
    dt_ns: float
    samples: Samples
    quality: int = 192
    flags: int = 0

    def __post_init__(self) -> None:
        assert self.samples.dtype in SAMPLE_TYPES
        assert self.samples.nbytes <= BLOCK_BYTES_MAX
        assert is_span(self.t0_ns, self.dt_ns, len(self.samples))

    @classmethod
    def without_samples(cls, point: int, t0_ns: int, quality: int, flags: int) -> Block:
        """The Block that says why there is no waveform from `t0_ns` on."""
        return cls(point, t0_ns, 1.0, np.zeros(0, np.int16), quality, flags | Flag.NO_VALUE)

    @property
    def last_ns(self) -> int:
        """Time of the last sample; t0 if there is none."""
        return last_ns_of(self.t0_ns, self.dt_ns, len(self.samples))

    @property
    def sample_type(self) -> int:
        """Place of the samples' type in SAMPLE_TYPES; its number in every format."""
        return SAMPLE_TYPES.index(self.samples.dtype.newbyteorder("<"))

    def with_point(self, point: int) -> Block:
        """The same burst under another handle (translation by a dictionary)."""
        return Block(point, self.t0_ns, self.dt_ns, self.samples, self.quality, self.flags)


def last_ns_of(t0_ns: int, dt_ns: float, count: int) -> int:
    """Time of the last of `count` samples."""
    return t0_ns + round(max(count - 1, 0) * dt_ns)


def is_span(t0_ns: int, dt_ns: float, count: int) -> bool:
    """Is `dt_ns` a time step with which every sample has a time in int64?"""
    if not 0 < dt_ns < TIME_NS_LIMIT:
        return False
    return t0_ns >= -TIME_NS_LIMIT and last_ns_of(t0_ns, dt_ns, count) < TIME_NS_LIMIT
