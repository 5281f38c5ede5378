"""Golden bytes: what was written once is written the same and read the same for ever.

And damaged bytes are Damaged, never another exception: a record that a reader cannot
take must cost that record, not the reader.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from cases import (
    ACKNOWLEDGE,
    BATCHES,
    COMMAND,
    ENTRIES,
    EVENT,
    GAP,
    GOLDEN,
    HEARTBEAT,
    HELLO,
    INTERVALS,
    NODE_KEY,
    ORIGIN,
    OWN,
    QUERY,
    T0,
    encoded,
)

from penstock.codec import link
from penstock.codec.batch import decode_batch
from penstock.codec.dictionary import decode_checkpoint, decode_dictionary
from penstock.codec.event import decode_event
from penstock.codec.layout import Damaged
from penstock.codec.log_file import (
    LogFileHeader,
    Watermark,
    decode_file_header,
    decode_watermark,
)
from penstock.codec.record import RecordHeader, RecordKind, decode_header, payload_of
from penstock.commands.envelope import verify
from penstock.model import Batch, TextColumn


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.bin").read_bytes()


def plain(batch: Batch) -> object:
    """A batch as lists, NaN by its bytes."""
    frames = [
        (
            frame.point.tolist(),
            frame.time_ns.tolist(),
            frame.value.to_list()
            if isinstance(frame.value, TextColumn)
            else (frame.value.dtype.str, frame.value.tobytes()),
            frame.quality.tolist(),
            frame.flags.tolist(),
        )
        for frame in batch.frames
    ]
    blocks = [replace(block, samples=block.samples[:0]) for block in batch.blocks]
    samples = [(block.samples.dtype.str, block.samples.tolist()) for block in batch.blocks]
    receipts = batch.receipts and [
        column.tolist()
        for column in (
            batch.receipts.source,
            batch.receipts.packet,
            batch.receipts.rows,
            batch.receipts.hash,
            batch.receipts.keys,
        )
    ]
    heads = [(b.point, b.t0_ns, b.dt_ns, b.quality, b.flags) for b in blocks]
    return batch.origin, batch.sequence, frames, heads, samples, receipts


def read_record(data: bytes) -> tuple[RecordHeader, bytes]:
    header = decode_header(data)
    return header, bytes(payload_of(header, data))


def read_link(data: bytes) -> tuple[link.LinkHeader, bytes]:
    header = link.decode_frame_header(data)
    payload = data[link.HEADER_BYTES :]
    link.check_payload(header, payload)
    return header, payload


@pytest.mark.parametrize("name", sorted(encoded()))
def test_encoding_gives_the_golden_bytes(name: str) -> None:
    assert golden(name) == encoded()[name]


@pytest.mark.parametrize("name", sorted(BATCHES))
def test_a_golden_batch_decodes(name: str) -> None:
    expected = BATCHES[name]

    assert plain(expected) == plain(decode_batch(golden(name), ORIGIN, expected.sequence))


def test_a_golden_batch_has_the_values_of_its_page() -> None:
    """Typed again, so that case and codec cannot be wrong together."""
    batch = decode_batch(golden("batch-all"), ORIGIN, 2**63)
    floats, ints, texts = batch.frames

    assert [1, 2, 1] == floats.point.tolist()
    assert [T0, T0 + 5, T0 + 10] == floats.time_ns.tolist()
    assert "21.5, nan, -0.0" == ", ".join(str(value) for value in floats.value.tolist())  # type: ignore[union-attr]
    assert [192, 2, 69] == floats.quality.tolist()
    assert [0, 17, 6] == floats.flags.tolist()
    assert [4611686018427387905, -9223372036854775808] == ints.value.tolist()  # type: ignore[union-attr]
    assert ["RUN", "", "Störung"] == texts.value.to_list()  # type: ignore[union-attr]
    assert [19531.25, 1e6, 125000.0] == [block.dt_ns for block in batch.blocks]
    assert [0.5, -1.25, 3.0] == batch.blocks[2].samples.tolist()
    assert batch.receipts is not None
    assert [18446744073709551615, 5] == batch.receipts.hash.tolist()
    assert list(range(16, 32)) == batch.receipts.keys[1].tolist()


def test_golden_records_decode() -> None:
    header, payload = read_record(golden("record-batch"))
    assert (RecordKind.BATCH, 4711, T0 + 99, 77) == (
        header.kind,
        header.sequence,
        header.receive_ns,
        header.origin_sequence,
    )
    assert ORIGIN == header.origin
    assert golden("batch-frames") == payload

    header, payload = read_record(golden("record-event"))
    assert (RecordKind.EVENT, OWN, 0) == (header.kind, header.origin, header.origin_sequence)
    assert decode_event(payload) == EVENT

    header, payload = read_record(golden("record-gap"))
    assert RecordKind.GAP == header.kind
    assert link.decode_json(payload) == GAP


def test_golden_heads_and_tables_decode() -> None:
    assert LogFileHeader(9, 4711, T0) == decode_file_header(golden("log-file-header"))
    assert Watermark(42, 9, 4711, 65_536) == decode_watermark(golden("watermark"))
    assert decode_dictionary(golden("dictionary")) == ENTRIES
    assert decode_checkpoint(golden("checkpoint")) == INTERVALS


def test_golden_link_frames_decode() -> None:
    header, payload = read_link(golden("link-batch"))
    assert (link.LinkType.BATCH, link.Lane.BACKLOG, 12) == (header.type, header.lane, header.number)
    assert plain(BATCHES["batch-frames"]) == plain(link.decode_batch_payload(payload))
    assert link.decode_acknowledge(read_link(golden("link-acknowledge"))[1]) == ACKNOWLEDGE
    assert 2**40 == link.decode_credit(read_link(golden("link-credit"))[1])
    assert decode_dictionary(read_link(golden("link-dictionary"))[1]) == ENTRIES
    for name, document in (("hello", HELLO), ("heartbeat", HEARTBEAT), ("query", QUERY)):
        assert link.decode_json(read_link(golden(f"link-{name}"))[1]) == document


def test_golden_command_is_signed_and_says_what_may_be_written() -> None:
    """Sixty-four bytes of signature first; a flipped bit anywhere is no command."""
    payload = read_link(golden("link-command"))[1]
    key = NODE_KEY.public_key().public_bytes_raw()

    assert COMMAND == verify(payload, key, T0, ()).envelope
    for place in range(0, len(payload), 7):
        flipped = bytearray(payload)
        flipped[place] ^= 1
        assert verify(bytes(flipped), key, T0, ()).envelope is None


def test_golden_live_frames_hold_what_their_page_says() -> None:
    data = golden("live-values-float")
    assert (1, 1, 2, 1, 17, 6, T0 + 2_500_000_000) == struct.unpack_from("<BBBBIQq", data)
    assert (3, 0) == struct.unpack_from("<II", data, 24)
    assert b"\0\0\0\0\0\0\0\x80" == data[48:56]
    assert (2500, 2499, 2499) == struct.unpack_from("<III", data, 56)
    assert (0, 3, 6) == struct.unpack_from("<III", data, 68)
    assert bytes([192, 2, 69, 0, 17, 6]) == data[80:86]
    data = golden("live-values-int")
    assert (1, 1, 1, 2) == struct.unpack_from("<BBBB", data)
    assert (2**62 + 1, -(2**63)) == struct.unpack_from("<qq", data, 32)
    data = golden("live-values-text")
    assert (7, 1, 1, 3) == struct.unpack_from("<BBBB", data)
    assert (3, 11) == struct.unpack_from("<II", data, 24)
    assert (0, 3, 3, 11) == struct.unpack_from("<IIII", data, 56)
    assert "RUNStörung".encode() == data[78:89]


def test_golden_trends_hold_what_their_page_says() -> None:
    data = golden("trend-envelope")
    assert (b"PTRD", 1, 1, 0, 2, 3, T0, 10, 4711) == struct.unpack_from("<4sHBBIIqqQ", data)
    assert (1, 0, 0, 12, 1, 0, 0.75, 0.0) == struct.unpack_from("<BBHIIIdd", data, 40)
    assert (1.0, 2.0) == (
        np.frombuffer(data, "<f8", 3, 72)[0],
        np.frombuffer(data, "<f8", 3, 72)[2],
    )
    assert bytes([192, 255, 64]) == data[120:123]
    assert (T0 + 10, T0 + 20) == struct.unpack_from("<qq", data, 128)
    data = golden("trend-raw")
    assert (b"PTRD", 1, 2, 0, 2, 0, T0, 0, 4711) == struct.unpack_from("<4sHBBIIqqQ", data)
    assert (0.0, 1.5, 7.25) == struct.unpack_from("<ddd", data, 72)
    assert 1 == data[128 + 1]


# --- damage

READERS: dict[str, Callable[[bytes], object]] = {
    **{name: lambda data: plain(decode_batch(data, ORIGIN, 1)) for name in BATCHES},
    **{f"record-{name}": read_record for name in ("batch", "event", "gap")},
    "log-file-header": decode_file_header,
    "watermark": decode_watermark,
    "dictionary": decode_dictionary,
    "checkpoint": decode_checkpoint,
    **{name: read_link for name in encoded() if name.startswith("link-")},
}
CHECKED = [name for name in READERS if name.startswith(("record", "log", "water", "link"))]


@pytest.mark.parametrize("name", sorted(READERS))
def test_every_cut_is_damage(name: str) -> None:
    """Only the padding at the very end of a bare payload may be missing."""
    data, expected = golden(name), READERS[name](golden(name))
    for size in range(len(data)):
        try:
            found = READERS[name](data[:size])
        except Damaged:
            continue
        assert size >= len(data) - 7
        assert found == expected


@pytest.mark.parametrize("name", sorted(CHECKED))
def test_every_flipped_bit_under_a_checksum_is_damage_or_padding(name: str) -> None:
    data, expected = golden(name), READERS[name](golden(name))
    harmless = 0
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            found = READERS[name](bytes(flipped))
        except Damaged:
            continue
        assert found == expected
        harmless += 1
    assert harmless < 64


@pytest.mark.parametrize("name", sorted(set(READERS) - set(CHECKED)))
def test_random_damage_without_a_checksum_is_never_another_exception(name: str) -> None:
    """Records and link frames carry the checksum; a bug of a sender does not."""
    chance = random.Random(name)
    for _ in range(3000):
        data = bytearray(golden(name))
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.choice((0, 1, 127, 128, 255))
        try:
            READERS[name](bytes(data))
        except Damaged:
            continue


def test_random_bytes_are_not_an_event_and_nothing_worse() -> None:
    chance = random.Random(7)
    data = read_record(golden("record-event"))[1]
    for _ in range(3000):
        damaged = bytearray(data)
        damaged[chance.randrange(len(data))] = chance.randrange(256)
        try:
            decode_event(bytes(damaged))
        except Damaged:
            continue
