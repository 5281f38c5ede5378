"""Trend answer: docs/reference/formats/trend.md. What a chart needs and nothing to join."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from penstock.codec.layout import column_bytes, padding

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

MAGIC = b"PTRD"
VERSION = 1
MEDIA_TYPE = "application/vnd.penstock.trend"
_HEADER = struct.Struct("<4sHBBIIqqQ")
_PEN = struct.Struct("<BBHIIIdd")
NO_SAMPLE = 255


class PenState(IntEnum):
    """Why a pen may be empty."""

    OK = 0
    NOT_FOUND = 1
    NO_SAMPLES = 2


@dataclass(frozen=True, slots=True)
class EnvelopePen:
    """`minimum` and `maximum` f64[n] (NaN = none), `quality` u8[n] (255 = no sample)."""

    kind: int
    minimum: npt.NDArray[np.float64]
    maximum: npt.NDArray[np.float64]
    quality: npt.NDArray[np.uint8]
    rows: int
    gaps: Sequence[tuple[int, int]] = ()
    before: float = float("nan")
    state: PenState = PenState.OK


@dataclass(frozen=True, slots=True)
class RawPen:
    """`time_ns` i64[n], `value` f64[n] (NaN where bad), `quality` u8[n]."""

    kind: int
    time_ns: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    quality: npt.NDArray[np.uint8]
    gaps: Sequence[tuple[int, int]] = field(default_factory=tuple)
    before: float = float("nan")
    state: PenState = PenState.OK


def encode_envelope(
    pens: Sequence[EnvelopePen], t0_ns: int, dt_ns: int, columns: int, sequence: int
) -> bytes:
    """Regular answer: `columns` buckets of `dt_ns` from `t0_ns`."""
    parts = [_HEADER.pack(MAGIC, VERSION, 1, 0, len(pens), columns, t0_ns, dt_ns, sequence)]
    for pen in pens:
        assert len(pen.minimum) == len(pen.maximum) == len(pen.quality) == columns
        parts.append(_pen_header(pen, pen.rows))
        parts += [bytes(column_bytes(pen.minimum)), bytes(column_bytes(pen.maximum))]
        parts.append(_quality_and_gaps(pen))
    return b"".join(parts)


def encode_raw(pens: Sequence[RawPen], t0_ns: int, sequence: int) -> bytes:
    """Irregular answer: every sample, its time as float64 seconds after `t0_ns`."""
    parts = [_HEADER.pack(MAGIC, VERSION, 2, 0, len(pens), 0, t0_ns, 0, sequence)]
    for pen in pens:
        parts.append(_pen_header(pen, len(pen.time_ns)))
        seconds = (pen.time_ns - t0_ns) / 1e9
        parts += [bytes(column_bytes(seconds)), bytes(column_bytes(pen.value))]
        parts.append(_quality_and_gaps(pen))
    return b"".join(parts)


def _pen_header(pen: EnvelopePen | RawPen, rows: int) -> bytes:
    return _PEN.pack(pen.kind, pen.state, 0, rows, len(pen.gaps), 0, pen.before, 0.0)


def _quality_and_gaps(pen: EnvelopePen | RawPen) -> bytes:
    quality = bytes(column_bytes(pen.quality))
    gaps = np.array(pen.gaps, "<i8").reshape(-1)
    return quality + padding(len(quality)) + bytes(column_bytes(gaps))
