"""Blocks in a batch: what is no Block is damage, not a crash further on."""

from __future__ import annotations

import struct
from uuid import UUID

import numpy as np
import pytest

from penstock.codec.batch import decode_batch, encode_batch
from penstock.codec.layout import Damaged
from penstock.model import Batch, Block, Flag, Origin

ORIGIN = Origin(UUID(int=7), 0, 1)
DT_AT = 8 + 16 + 16
T0 = 2**63 - 10


def encoded(block: Block) -> bytearray:
    return bytearray().join(bytes(part) for part in encode_batch(Batch(ORIGIN, 1, (), (block,))))


@pytest.mark.parametrize("dt_ns", [0.0, -1.0, float("nan"), float("inf"), 2.0**63, 5.0])
def test_a_step_that_gives_no_times_is_damage(dt_ns: float) -> None:
    data = encoded(Block(1, T0, 1.0, np.array([1, 2, 3], "<i2")))
    struct.pack_into("<d", data, DT_AT, dt_ns)

    with pytest.raises(Damaged, match="block of sample type"):
        decode_batch(bytes(data), ORIGIN, 1)


def test_a_block_without_samples_says_why() -> None:
    block = Block.without_samples(5, T0, 2, 1)

    [found] = decode_batch(bytes(encoded(block)), ORIGIN, 1).blocks

    assert (5, T0, T0, 2, 1 | int(Flag.NO_VALUE), 0) == (
        found.point,
        found.t0_ns,
        found.last_ns,
        found.quality,
        found.flags,
        len(found.samples),
    )


def test_the_last_sample_lies_where_the_format_says() -> None:
    """Half a nanosecond is rounded to even, as the table of a segment has it."""
    assert 2 == Block(1, 0, 2.5, np.zeros(2, "<i2")).last_ns
    assert 19_531 == Block(1, 0, 19_531.25, np.zeros(2, "<i4")).last_ns
    assert 78_125 == Block(1, 0, 19_531.25, np.zeros(5, "<f4")).last_ns
