"""Chunk of kind 4: one Block as bytes, and its numbers: docs/reference/formats/segment.md.

A Block is never cut and never joined with another, so that a spectrum finds the burst
as it was measured. Samples are compared by their bits: NaN and -0.0 come back as they were.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penstock.codec.layout import Damaged, column_bytes, padding
from penstock.historian.columns import UNCERTAIN, Columns
from penstock.historian.packing import Shape, pack, unpack
from penstock.model import Block, Flag, Quality
from penstock.model.block import SAMPLE_TYPES, is_span

if TYPE_CHECKING:
    import numpy.typing as npt

    from penstock.model.block import Samples

_HEADER = struct.Struct("<dBBBBI")
_RAW, _PACKED = 0, 1
# Below this a pcodec header is as long as what it saves.
_PACKED_SAMPLES_MIN = 24


@dataclass(frozen=True, slots=True)
class BlockNumbers:
    """Over the samples that count: not NaN, in a Block that is not bad.

    `has_moments` is False where mean or m2 is not finite; both are 0 then.
    """

    count: int
    minimum: float = 0.0
    maximum: float = 0.0
    mean: float = 0.0
    m2: float = 0.0
    has_moments: bool = False

    @property
    def rms(self) -> float:
        """Root of the mean square; NaN where there is none, infinite with an infinite sample."""
        if not self.count:
            return math.nan
        if not self.has_moments:
            return math.inf
        return math.sqrt(self.mean**2 + self.m2 / self.count)


@dataclass(frozen=True, slots=True)
class HeldBlock:
    """A Block in memory: the head's own copy, with its log sequence and its numbers."""

    block: Block
    sequence: int
    numbers: BlockNumbers


def held(block: Block, sequence: int) -> HeldBlock:
    """A copy for the head; what a batch's buffer holds besides the Block is not kept alive.

    A Block without samples is always bad and says "no value"; one with samples never does.
    """
    quality, flags = block.quality, block.flags & ~int(Flag.NO_VALUE)
    if not len(block.samples):
        flags |= int(Flag.NO_VALUE)
        quality = quality if quality < UNCERTAIN else int(Quality.BAD_NOT_AVAILABLE)
    samples: Samples = np.array(block.samples, SAMPLE_TYPES[block.sample_type])  # type: ignore[assignment]
    samples.flags.writeable = False
    own = Block(block.point, block.t0_ns, block.dt_ns, samples, quality, flags)
    return HeldBlock(own, sequence, numbers_of(own))


def numbers_of(block: Block) -> BlockNumbers:
    """What the table of a segment says of the Block."""
    value = wide(block.samples)
    if block.samples.dtype.kind == "f":
        value = value[~np.isnan(value)]
    if block.quality < UNCERTAIN or not len(value):
        return BlockNumbers(0)
    minimum, maximum = float(value.min()), float(value.max())
    if not math.isfinite(minimum) or not math.isfinite(maximum):
        return BlockNumbers(len(value), minimum, maximum)
    mean = float(value.mean())
    value -= mean
    return BlockNumbers(len(value), minimum, maximum, mean, float(value @ value), True)


def encode_block(block: Block) -> tuple[bytes, bool]:
    """(the chunk's bytes, does reading it need pcodec)."""
    data, form = bytes(column_bytes(block.samples)), _RAW
    if len(block.samples) >= _PACKED_SAMPLES_MIN:
        packed = pack(block.samples, Shape.UNKNOWN)
        if len(packed) < len(data):
            data, form = packed, _PACKED
    head = _HEADER.pack(block.dt_ns, block.sample_type, form, block.quality, block.flags, len(data))
    return head + data + padding(len(data)), form == _PACKED


def decode_block(data: bytes, point: int, rows: int, t0_ns: int) -> Block:
    """The Block of a chunk whose checksum was right; the rest comes from the chunk table."""
    if len(data) < _HEADER.size:
        raise Damaged(f"chunk of {len(data)} bytes has no block header")
    dt_ns, sample_type, form, quality, flags, size = _HEADER.unpack_from(data)
    count = 0 if flags & Flag.NO_VALUE else rows
    if sample_type >= len(SAMPLE_TYPES) or not is_span(t0_ns, dt_ns, count):
        raise Damaged(f"block of sample type {sample_type}, t0 {t0_ns}, dt {dt_ns}")
    body = data[_HEADER.size : _HEADER.size + size]
    samples = _samples(body, form, SAMPLE_TYPES[sample_type], count)
    return Block(point, t0_ns, dt_ns, samples, quality, flags)


def _samples(body: bytes, form: int, dtype: np.dtype[np.generic], count: int) -> Samples:
    if form == _PACKED:
        unpacked: Samples = unpack(body, dtype.str, count)
        return unpacked
    if form != _RAW or len(body) != count * dtype.itemsize:
        raise Damaged(f"block of {count} samples has form {form} and {len(body)} bytes")
    raw: Samples = np.frombuffer(body, dtype)
    return raw


def expand(block: Block, sequence: int) -> Columns:
    """The samples as rows, for whatever reads samples of any point; float64 is exact here.

    A NaN is a bad row as everywhere. A correction replaced whole Blocks, so that its
    flag is not repeated at each row.
    """
    flags = block.flags & ~int(Flag.CORRECTION)
    if not len(block.samples):
        time_ns, value = np.array([block.t0_ns], np.int64), np.array([np.nan])
    else:
        time_ns, value = times_of(block), wide(block.samples)
    rows = len(value)
    quality, flag = np.full(rows, block.quality, np.uint8), np.full(rows, flags, np.uint8)
    is_void = np.isnan(value)
    if is_void.any():
        value = np.where(is_void, np.nan, value)
        flag[is_void] |= np.uint8(Flag.NO_VALUE)
        is_lie = is_void & (quality >= UNCERTAIN)
        quality[is_lie] = np.uint8(Quality.BAD_NOT_AVAILABLE)
    return Columns(time_ns, value, quality, flag, np.full(rows, sequence, np.uint64))


def wide(samples: Samples) -> npt.NDArray[np.float64]:
    """The samples as float64, in which each is exact; NaN of any bits is no error."""
    with np.errstate(invalid="ignore"):
        return samples.astype(np.float64)


def times_of(block: Block) -> npt.NDArray[np.int64]:
    """Time of each sample."""
    place = np.arange(len(block.samples))
    times: npt.NDArray[np.int64] = block.t0_ns + np.rint(place * block.dt_ns).astype(np.int64)
    return times
