"""Batch: what one sender delivers at once; atomic, numbered by the process that made it.

A relay never renumbers, splits or merges a Batch, so that a resend after a
crash is recognised by (origin, incarnation, sequence) at any number of hops.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from penstock.model.frame import Frame, ValueKind

if TYPE_CHECKING:
    from uuid import UUID

    import numpy.typing as npt

    from penstock.model.block import Block

BATCH_ROWS_MAX = 131_072
BATCH_BYTES_MAX = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Origin:
    """The process that makes Batches: node and process slot; incarnation is new at every start."""

    node: UUID
    slot: int
    incarnation: int


@dataclass(frozen=True, slots=True)
class Receipts:
    """What the senders behind a door will be told once the Batch is durable.

    `source` u32[n], `packet` u16[n], `rows` u32[n], `hash` u64[n]; `keys` are
    idempotency keys, u8[k, 16].
    """

    source: npt.NDArray[np.uint32]
    packet: npt.NDArray[np.uint16]
    rows: npt.NDArray[np.uint32]
    hash: npt.NDArray[np.uint64]
    keys: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 16), np.uint8))

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True, slots=True)
class Batch:
    """Up to three Frames (one a value kind), any Blocks, and receipts."""

    origin: Origin
    sequence: int
    frames: tuple[Frame, ...] = ()
    blocks: tuple[Block, ...] = ()
    receipts: Receipts | None = None

    def __post_init__(self) -> None:
        kinds = [frame.kind for frame in self.frames]
        assert kinds == sorted(set(kinds)), "at most one frame a value kind, in order"
        assert self.rows <= BATCH_ROWS_MAX

    @property
    def rows(self) -> int:
        """Samples in the frames; a Block counts for none."""
        return sum(len(frame) for frame in self.frames)

    def frame(self, kind: ValueKind) -> Frame | None:
        """The frame of one value kind, if there is one."""
        return next((frame for frame in self.frames if frame.kind == kind), None)
