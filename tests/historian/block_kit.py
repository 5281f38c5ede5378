"""Blocks and a historian that takes them, in one line."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import numpy as np
import numpy.typing as npt

from penstock.historian import Historian, HistorianSettings, Snapshot
from penstock.historian.block_query import blocks
from penstock.model import Batch, Block, Origin
from penstock.model.time import TIME_NS_MAX
from penstock.testing.disk import FakeDisk

FOLDER = Path("/segments")
ORIGIN = Origin(UUID(int=7), 0, 1)
T0 = 1_790_000_000_000_000_000
S = 1_000_000_000
KHZ_25_6 = S / 25_600
WIDE = (T0 - 10**15, T0 + 10**15)


def burst(
    samples: npt.ArrayLike,
    t0_ns: int = T0,
    *,
    point: int = 1,
    dt_ns: float = KHZ_25_6,
    dtype: str = "<i2",
    quality: int = 192,
    flags: int = 0,
) -> Block:
    return Block(point, t0_ns, dt_ns, np.asarray(samples, dtype), quality, flags)


def vibration(samples: int, seed: int = 1, begin: int = 0) -> npt.NDArray[np.float64]:
    """Two tones of a machine and noise, in counts of a 16 bit converter."""
    time_s = (begin + np.arange(samples)) / 25_600
    tones = 3_000 * np.sin(2 * np.pi * 49.7 * time_s) + 800 * np.sin(2 * np.pi * 1_234 * time_s)
    return np.rint(tones + np.random.default_rng(seed).normal(0, 300, samples))


class Store:
    """A historian on a disk in memory that was given Blocks, a log record each call."""

    def __init__(self, **settings: int) -> None:
        self.disk = FakeDisk()
        self.settings = HistorianSettings(**settings)
        self.log: list[tuple[Block, ...]] = []
        self.historian = Historian.open(self.disk, FOLDER, self.settings)

    def take(self, *given: Block) -> int:
        self.log.append(given)
        self._append(len(self.log), given)
        return len(self.log)

    def flush(self) -> None:
        self.historian.seal(incarnation=1)
        self.historian.adopt(self.historian.write())

    def restart(self) -> None:
        """What the manifest has not is replayed from the log."""
        self.historian = Historian.open(self.disk, FOLDER, self.settings)
        _, position = self.historian.position
        for sequence in range(position + 1, len(self.log) + 1):
            self._append(sequence, self.log[sequence - 1])

    def pin(self, *points: int) -> Snapshot:
        return self.historian.pin(points or [1])

    def _append(self, sequence: int, given: tuple[Block, ...]) -> None:
        self.historian.append(
            Batch(ORIGIN, sequence, (), given), sequence, TIME_NS_MAX - 10**15 + sequence * S
        )


def listed(snapshot: Snapshot, point: int = 1) -> list[tuple[int, int]]:
    """(t0 after T0, sequence) of all visible Blocks."""
    heads, cursor = blocks(snapshot, point, *WIDE, limit=10_000)
    assert cursor is None
    return list(zip((heads.t0_ns - T0).tolist(), heads.sequence.tolist(), strict=True))
