"""A compressed log file gives back the plain bytes, all of them, or says which are missing.

`python tests/codec/test_log_archive.py` writes the golden file if it is missing.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pytest
from cases import BATCHES, GAP, GOLDEN, ORIGIN, OWN, T0, join, rows

from penstock.codec.batch import encode_batch
from penstock.codec.layout import Damaged, crc
from penstock.codec.link import encode_json
from penstock.codec.log_archive import (
    ARCHIVE_HEADER_BYTES,
    BLOCK_HEADER_BYTES,
    Block,
    decode_archive_header,
    decode_block,
    decode_index,
    encode_archive,
    encode_block,
    search_blocks,
)
from penstock.codec.log_block import Span, compress, decode_body, encode_body
from penstock.codec.log_file import LogFileHeader, encode_file_header
from penstock.codec.record import RecordKind, decode_header, encode_record
from penstock.model import Batch

FIRST, NAME = 4711, GOLDEN / "log-compressed.bin"
HEADER = encode_file_header(LogFileHeader(9, FIRST, T0))


def record(number: int, kind: RecordKind, payload: list[bytes]) -> bytes:
    return join(
        encode_record(
            kind,
            payload,
            sequence=FIRST + number,
            receive_ns=T0 + 1_000_003 * number,
            origin=ORIGIN if kind == RecordKind.BATCH else OWN,
            origin_sequence=number if kind == RecordKind.BATCH else 0,
        )
    )


def records_of(batches: list[Batch]) -> list[bytes]:
    return [
        record(number, RecordKind.BATCH, [bytes(part) for part in encode_batch(batch)])
        for number, batch in enumerate(batches)
    ]


def spans(parts: list[bytes]) -> list[Span]:
    found, at = [], 0
    for part in parts:
        header = decode_header(part)
        found.append(Span(at, header.kind, header.payload_bytes))
        at += len(part)
    return found


def round_trip(parts: list[bytes]) -> int:
    """Bytes of the body, which gives back the records."""
    plain = b"".join(parts)
    body = encode_body(plain, spans(parts))
    assert plain == decode_body(body, len(plain))
    return len(body)


def typical(chance: random.Random, number: int, rows_: int = 60) -> Batch:
    """One row of each point, a second apart, two decimals."""
    values = np.round([20 + chance.gauss(0, 0.2) + point for point in range(rows_)], 2)
    times = [number * 1_000_000_000] * rows_
    return Batch(
        ORIGIN, number, (rows(list(range(rows_)), times, values, [192] * rows_, [0] * rows_),)
    )


GOLDEN_RECORDS = [
    *records_of(list(BATCHES.values())),
    record(4, RecordKind.GAP, [encode_json(GAP)]),
]


def golden_archive() -> bytes:
    plain = b"".join(GOLDEN_RECORDS)
    parts = [
        (False, HEADER, compress(HEADER)),
        (True, plain, encode_body(plain, spans(GOLDEN_RECORDS))),
    ]
    blocks, stored, at = [], [], 0
    for is_records, data, body in parts:
        blocks.append(Block(is_records, at, FIRST, len(data), len(body), crc(body)))
        stored += encode_block(blocks[-1], body)
        at += len(data)
    return join([*encode_archive((9, FIRST, FIRST + 4), blocks), *stored])


def places_of(data: bytes) -> list[tuple[int, Block]]:
    header = decode_archive_header(data)
    end = ARCHIVE_HEADER_BYTES + header.blocks * BLOCK_HEADER_BYTES
    return decode_index(header, data[ARCHIVE_HEADER_BYTES:end])


def test_the_golden_file_gives_the_plain_bytes() -> None:
    data = NAME.read_bytes()
    header = decode_archive_header(data)

    assert (9, FIRST, FIRST + 4, 2) == (
        header.incarnation,
        header.first,
        header.last,
        header.blocks,
    )
    plain = [decode_block(block, data[at:]) for at, block in places_of(data)]
    assert HEADER + b"".join(GOLDEN_RECORDS) == b"".join(plain)
    assert header.plain_bytes == sum(map(len, plain))


def test_what_is_written_today_says_the_same_as_the_golden_file() -> None:
    old, new = NAME.read_bytes(), golden_archive()

    assert old[:24] == new[:24]
    assert [block.plain_offset for _, block in places_of(old)] == [
        block.plain_offset for _, block in places_of(new)
    ]


def test_typical_batches_take_less_than_three_bytes_a_sample() -> None:
    chance = random.Random(1)
    batches = [typical(chance, number) for number in range(160)]

    assert round_trip(records_of(batches)) < 3 * 160 * 60


def test_every_bit_of_a_value_comes_back() -> None:
    """NaN with its payload, both zeros, infinities, the ends of int64."""
    bits = [0x7FF8000000000001, 0xFFF0000000000000, 0x8000000000000000, 1, 0x7FF0000000000001]
    floats = np.array(bits, np.uint64).view(np.float64)
    ints = np.array([2**63 - 1, -(2**63), 0, -1, 2**53 + 1], np.int64)
    plain = [5, 0, 5, 2**32 - 1, 0]
    times = [-T0, 2**62, 0, 5, -5]
    frames = [
        rows(plain, times, column, [0, 255, 192, 64, 1], [255] * 5) for column in (floats, ints)
    ]

    round_trip(records_of([Batch(ORIGIN, 1, tuple(frames)), *BATCHES.values()] * 3))


def test_a_payload_that_is_no_batch_of_ours_is_kept_as_it_is() -> None:
    """A padding that is not zero, a kind of section to come, a cut payload."""
    good = join(encode_batch(BATCHES["batch-all"]))
    odd = [good[:-8], good.replace(b"\0\0\0\0", b"\0\0\0\1"), b"PBAT" + bytes(60), b"", b"x" * 13]

    round_trip([record(number, RecordKind.BATCH, [data]) for number, data in enumerate(odd)])


@pytest.mark.parametrize("seed", range(20))
def test_random_batches_come_back(seed: int) -> None:
    chance = random.Random(seed)
    np_chance = np.random.default_rng(seed)
    batches = []
    for number in range(chance.randint(1, 30)):
        count = chance.choice((0, 1, 2, 50, 700))
        column = np_chance.integers(0, 2**63, count).view(np.float64)
        point = np_chance.integers(0, 9, count).tolist()
        time_ns = np_chance.integers(-(2**60), 2**60, count).tolist()
        levels = np_chance.integers(0, 256, count).tolist()
        frame = rows(point, time_ns, column, levels, levels)
        batches.append(Batch(ORIGIN, number, (frame,), tuple(BATCHES["batch-all"].blocks)))

    round_trip(records_of(batches))


def test_a_flipped_bit_is_never_other_bytes() -> None:
    """Each is found by a checksum; what is whole can still be found without header and index."""
    data = NAME.read_bytes()
    plain = [HEADER, b"".join(GOLDEN_RECORDS)]
    for offset in range(len(data)):
        flipped = bytearray(data)
        flipped[offset] ^= 1 << offset % 8
        found = search_blocks(bytes(flipped))
        for at, block in found:
            if at >= 0:
                expected = plain[block.plain_offset > 0]
                assert expected == decode_block(block, bytes(flipped[at:]))
        assert {0, 64} == {block.plain_offset for _, block in found}
        assert sum(at < 0 for at, _ in found) <= 1


def test_bodies_of_other_bytes_are_damaged_and_nothing_else() -> None:
    plain = b"".join(GOLDEN_RECORDS)
    body = encode_body(plain, spans(GOLDEN_RECORDS))
    chance = random.Random(2)
    for _ in range(3_000):
        other = bytearray(body)
        for _ in range(chance.randint(1, 3)):
            other[chance.randrange(len(other))] = chance.randrange(256)
        del other[chance.choice((len(other), chance.randrange(len(other)))) :]
        try:
            decode_body(bytes(other), len(plain))
        except Damaged:
            continue


if __name__ == "__main__" and not NAME.exists():
    NAME.write_bytes(golden_archive())
