"""Chunks by the thousand decode to what they decode to one by one, and refuse the same."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.codec.layout import Damaged
from penstock.historian.bulk import Filled
from penstock.historian.chunk import decode_chunk
from penstock.historian.columns import Columns
from penstock.historian.encode import Chunks, DecimalHints, encode_chunks
from penstock.historian.period import period_of
from penstock.historian.segment import TABLE_DTYPES, ChunkTable
from penstock.model import ValueKind

T0 = 1_790_000_000_000_000_000
S = 1_000_000_000
Make = Callable[[np.random.Generator, int], npt.NDArray[Any]]
FLOATS: dict[str, Make] = {
    "decimals": lambda random, rows: np.round(random.normal(20, 3, rows), 1),
    "counts": lambda random, rows: random.integers(0, 4095, rows) * (100 / 4095),
    "mantissa": lambda random, rows: random.normal(0, 1e9, rows),
    "odd": lambda random, rows: random.choice([np.nan, np.inf, -np.inf, -0.0, 5e-324], rows),
    "large": lambda random, rows: np.round(random.normal(0, 1e10, rows), 2),
}
TIMES: dict[str, Make] = {
    "even": lambda _, rows: np.arange(rows) * S,
    "milliseconds": lambda random, rows: np.cumsum(random.integers(1, 3_000, rows)) * 10**6,
    "scanned": lambda random, rows: (
        np.cumsum(random.integers(1, 4, rows)) * S + random.integers(-30_000, 30_000, rows)
    ),
    "any": lambda random, rows: np.sort(random.integers(0, 10**13, rows)),
}


def rows_of(seed: int, rows: int, times: str, value: npt.NDArray[Any]) -> Columns:
    random = np.random.default_rng(seed)
    quality = np.where(random.random(rows) < 0.05 * (seed % 3), 4, 192).astype(np.uint8)
    sequence = np.cumsum(random.integers(0, 2, rows)).astype(np.uint64) + np.uint64(10**12)
    if seed % 4 == 0:
        random.shuffle(sequence)
    return Columns(
        (TIMES[times](random, rows) + T0).astype(np.int64),
        value,
        quality,
        random.choice([0, 1, 8], rows).astype(np.uint8) if seed % 2 else np.zeros(rows, np.uint8),
        sequence,
    )


def encoded(pieces: list[Columns], *, is_final: bool) -> tuple[bytes, ChunkTable]:
    """All chunks in one string, and as much of a table as a reader needs."""
    data = []
    for piece in pieces:
        index = Chunks(np.zeros(len(piece), np.uint32), np.array([0]), np.array([len(piece)]))
        data += encode_chunks(piece, index, DecimalHints(), is_final=is_final)
    sizes = np.array([len(item) for item in data])
    columns = {name: np.zeros(len(data), dtype) for name, dtype in TABLE_DTYPES.items()}
    columns |= {
        "first_ns": np.array([piece.time_ns[0] for piece in pieces], np.int64),
        "first_sequence": np.array([piece.sequence.min() for piece in pieces], np.uint64),
        "offset": (np.cumsum(sizes) - sizes).astype(np.uint64),
        "rows": np.array([len(piece) for piece in pieces], np.uint32),
        "bytes": sizes.astype(np.uint32),
        "crc": np.array([zlib.crc32(item) for item in data], np.uint32),
    }
    return b"".join(data), ChunkTable(**columns)


def filled(kind: ValueKind, data: bytes, table: ChunkTable) -> tuple[Columns, list[int]]:
    rows = table.rows.astype(np.int64)
    columns = Filled(kind, int(rows.sum()))
    columns.fill(data, table, table.offset.astype(np.int64), np.cumsum(rows) - rows)
    first = np.repeat(table.first_ns, rows), np.repeat(table.first_sequence, rows)
    return columns.columns(*first), columns.damaged


def assert_same(expected: Columns, found: Columns) -> None:
    for name in ("time_ns", "quality", "flags", "sequence"):
        np.testing.assert_array_equal(getattr(expected, name), getattr(found, name))
    np.testing.assert_array_equal(
        np.asarray(expected.value).view(np.uint64), np.asarray(found.value).view(np.uint64)
    )


@pytest.mark.parametrize("is_final", [False, True])
@pytest.mark.parametrize("value", [*FLOATS, "integers"])
@pytest.mark.parametrize("times", list(TIMES))
def test_every_form_comes_back_to_the_bit(times: str, value: str, is_final: bool) -> None:
    random = np.random.default_rng(7)
    lengths = [1, 2, 23, 24, 25, 300, 3_600]
    pieces = []
    for seed, rows in enumerate(lengths):
        numbers = (
            FLOATS[value](random, rows)
            if value in FLOATS
            else random.integers(-(2**63), 2**63 - 1, rows)
        )
        pieces.append(rows_of(seed, rows, times, numbers))
    kind = ValueKind.INT if value == "integers" else ValueKind.FLOAT

    data, table = encoded(pieces, is_final=is_final)
    found, damaged = filled(kind, data, table)

    assert [] == damaged
    begin = 0
    for chunk, piece in enumerate(pieces):
        assert_same(piece, found.slice(begin, begin + len(piece)))
        at, size = int(table.offset[chunk]), int(table.bytes[chunk])
        first, sequence = int(table.first_ns[chunk]), int(table.first_sequence[chunk])
        alone = decode_chunk(data[at : at + size], kind, len(piece), first, sequence)
        assert_same(piece, alone)
        begin += len(piece)


@given(place=st.integers(0, 10_000), byte=st.integers(0, 255), seed=st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_bytes_that_make_no_sense_are_refused_by_both(place: int, byte: int, seed: int) -> None:
    """A right checksum over wrong bytes: a fault of a writer, damage all the same."""
    random = np.random.default_rng(seed)
    piece = rows_of(seed, 200, "scanned", np.round(random.normal(20, 3, 200), 1))
    data, table = encoded([piece], is_final=True)
    changed = bytearray(data)
    changed[place % len(data)] = byte
    table.crc[0] = zlib.crc32(changed)
    first, sequence = int(table.first_ns[0]), int(table.first_sequence[0])

    found, damaged = filled(ValueKind.FLOAT, bytes(changed), table)

    try:
        alone = decode_chunk(bytes(changed), ValueKind.FLOAT, 200, first, sequence)
    except Damaged:
        assert [0] == damaged
    else:
        assert [] == damaged
        assert_same(alone, found)


def test_a_section_never_reads_into_the_next_chunk() -> None:
    random = np.random.default_rng(3)
    pieces = [rows_of(2, 50, "any", random.normal(0, 1, 50)) for _ in range(2)]
    data, table = encoded(pieces, is_final=True)
    size = int(table.bytes[0])
    sections = np.frombuffer(data, "<u4", 10)
    changed = bytearray(data)
    changed[36:40] = int(sections[9] + 64).to_bytes(4, "little")
    table.crc[0] = zlib.crc32(changed[:size])

    _, damaged = filled(ValueKind.FLOAT, bytes(changed), table)

    assert [0] == damaged


def test_a_scanner_has_a_period_and_a_drifting_clock_has_none() -> None:
    random = np.random.default_rng(1)
    scans = np.cumsum(random.integers(1, 4, 2_000))
    late = random.normal(0, 30_000, 2_000).astype(np.int64)

    assert S == period_of(scans * S + late)
    assert 250 == period_of(scans * 250 + random.integers(-2, 3, 2_000))
    assert 0 == period_of(np.cumsum(random.normal(S, 3e5, 2_000).astype(np.int64)))
    assert 0 == period_of(np.sort(random.integers(0, 10**12, 2_000)))
    assert 0 == period_of((scans * S + late)[:100])
