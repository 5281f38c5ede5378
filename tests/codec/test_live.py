"""Live frames read back by the layout that the documentation gives, not by our own code."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.codec.live import AGE_MS_MAX, LiveType, age_in_ms, encode_live, encode_values
from penstock.model import Frame
from penstock.testing import frame

NOW = 1_790_000_000_000_000_000


def header(message: bytes) -> tuple[int, ...]:
    return struct.unpack_from("<BBBBIQq", message)


def encoded(of: Frame, *, is_snapshot: bool = False) -> bytes:
    index = np.arange(len(of), dtype=np.uint32) * 2
    return encode_values(of, index, sequence=9, server_time_ns=NOW, sid=4, is_snapshot=is_snapshot)


def test_the_header_says_type_version_subscription_sequence_and_time() -> None:
    message = encode_live(LiveType.EVENT, b"{}", sequence=2**40, server_time_ns=NOW)

    assert (6, 1, 0, 0, 0, 2**40, NOW) == header(message)
    assert b"{}" == message[24:]


@pytest.mark.parametrize("is_snapshot", [True, False])
def test_numbers_lie_in_columns(is_snapshot: bool) -> None:
    of = frame([7, 8, 9], [NOW, NOW - 1_500_000, NOW - 10**9], [1.5, -0.0, 2.0], [192, 2, 64], 16)
    message = encoded(of, is_snapshot=is_snapshot)

    rows, _ = struct.unpack_from("<II", message, 24)
    body = message[32:]

    assert (1, 1, 2 if is_snapshot else 1, 1, 4, 9, NOW) == header(message)
    assert 3 == rows
    assert [1.5, -0.0, 2.0] == np.frombuffer(body, "<f8", 3).tolist()
    assert [0, 1, 1000] == np.frombuffer(body, "<u4", 3, 24).tolist()
    assert [0, 2, 4] == np.frombuffer(body, "<u4", 3, 36).tolist()
    assert [192, 2, 64] == np.frombuffer(body, "u1", 3, 48).tolist()
    assert [16, 16, 16] == np.frombuffer(body, "u1", 3, 51).tolist()


def test_large_integers_are_not_rounded() -> None:
    message = encoded(frame(1, NOW, [2**53 + 1, -(2**63)]))

    assert 2 == header(message)[3]
    assert [2**53 + 1, -(2**63)] == np.frombuffer(message, "<i8", 2, 32).tolist()


def test_texts_have_a_type_of_their_own() -> None:
    message = encoded(frame(1, NOW, ["RUN", "", "Störung"]))
    rows, size = struct.unpack_from("<II", message, 24)
    offsets = np.frombuffer(message, "<u4", rows + 1, 32 + 8 * rows).tolist()
    data_at = 32 + 8 * rows + 4 * (rows + 1) + 2 * rows

    assert (LiveType.TEXT_VALUES, 3) == (header(message)[0], header(message)[3])
    assert (3, 11, [0, 3, 3, 11]) == (rows, size, offsets)
    assert "RUNStörung" == message[data_at : data_at + size].decode()


@given(st.lists(st.integers(-(2**62), 2**62), max_size=5))
def test_an_age_is_never_negative_and_saturates(times: list[int]) -> None:
    expected = [min(max((NOW - time) // 1_000_000, 0), AGE_MS_MAX) for time in times]

    assert expected == age_in_ms(np.array(times, np.int64), NOW).tolist()
