"""Block: one burst of a waveform, kept whole because a spectrum needs every sample of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

BLOCK_BYTES_MAX = 4 * 1024 * 1024

Samples: TypeAlias = "npt.NDArray[np.int16] | npt.NDArray[np.int32] | npt.NDArray[np.float32]"
SAMPLE_TYPES = (np.dtype("<i2"), np.dtype("<i4"), np.dtype("<f4"))


@dataclass(frozen=True, slots=True)
class Block:
    """`samples` of one point, the first at `t0_ns`, one every `dt_ns` nanoseconds.

    `dt_ns` is a float64, because 51.2 kHz is 19,531.25 ns; the time of sample i
    is t0_ns + round(i * dt_ns).
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
        assert self.dt_ns > 0
