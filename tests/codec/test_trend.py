"""Trend answers read back by the layout that the documentation gives, not by our own code."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.codec.trend import EnvelopePen, PenState, RawPen, encode_envelope, encode_raw
from penstock.model import ValueKind

T0 = 1_790_000_000_000_000_000
NAN = float("nan")


def pen(columns: int, gaps: list[tuple[int, int]]) -> EnvelopePen:
    low = np.arange(columns, dtype=np.float64)
    quality = np.full(columns, 192, np.uint8)
    return EnvelopePen(ValueKind.FLOAT, low, low + 1, quality, columns, gaps, 0.5)


@given(st.integers(0, 20), st.lists(st.tuples(st.integers(0, 9), st.integers(10, 20)), max_size=3))
def test_an_envelope_is_regular(columns: int, gaps: list[tuple[int, int]]) -> None:
    answer = encode_envelope([pen(columns, gaps)] * 2, T0, 10, columns, 4711)
    size = 32 + 16 * columns + (columns + 7) // 8 * 8 + 16 * len(gaps)

    assert (b"PTRD", 1, 1, 0, 2, columns, T0, 10, 4711) == struct.unpack_from("<4sHBBIIqqQ", answer)
    assert 40 + 2 * (size + 4) >= len(answer) >= 40 + 2 * size
    at = len(answer) - 16 * len(gaps)
    assert [number for gap in gaps for number in gap] == np.frombuffer(
        answer, "<i8", -1, at
    ).tolist()


def test_raw_times_are_seconds_behind_the_origin() -> None:
    times = np.array([T0, T0 + 1_500_000_000], np.int64)
    answer = encode_raw(
        [RawPen(ValueKind.FLOAT, times, np.array([7.25, NAN]), np.array([192, 2], np.uint8))], T0, 5
    )
    kind, state, _, rows, gaps, _, before, _ = struct.unpack_from("<BBHIIIdd", answer, 40)

    assert (1, PenState.OK, 2, 0) == (kind, state, rows, gaps)
    assert np.isnan(before)
    assert [0.0, 1.5] == np.frombuffer(answer, "<f8", 2, len(answer) - 40).tolist()


def test_a_pen_of_another_width_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        encode_envelope([pen(3, [])], T0, 10, 4, 1)
