"""Blocks from head to segment and back: to the bit, once each, corrected, across restarts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import structlog
from block_kit import FOLDER, KHZ_25_6, ORIGIN, T0, WIDE, S, Store, burst, listed, vibration
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.codec.layout import Damaged
from penstock.historian.block_chunk import decode_block, encode_block
from penstock.historian.block_query import blocks, newest_rms, one_block
from penstock.historian.piece import Cursor
from penstock.historian.query import raw
from penstock.historian.segment import ChunkFlag, ChunkTable, decode_table, table_offset_of
from penstock.model import Batch, Block, Flag, Quality, Refused, ValueKind
from penstock.model.time import TIME_NS_MAX
from penstock.testing import frame

GOLDEN = Path(__file__).parents[1] / "golden"
CORRECTION, TRANSIENT = int(Flag.CORRECTION), int(Flag.TRANSIENT)
ODD = np.array(
    [0x7FC00000, 0x7F800001, 0xFFC12345, 0x80000000, 0, 0x7F800000, 0xFF800000, 1, 0x3F800000],
    np.uint32,
).view(np.float32)
"""Three NaN of different bits, -0.0, 0, both infinities, the smallest number, 1."""


def same(expected: Block, found: Block) -> bool:
    """Equal to the bit."""
    numbers = (expected.point, expected.t0_ns, expected.dt_ns, expected.quality, expected.flags)
    return (
        numbers == (found.point, found.t0_ns, found.dt_ns, found.quality, found.flags)
        and expected.samples.dtype == found.samples.dtype
        and expected.samples.tobytes() == found.samples.tobytes()
    )


def only_table(store: Store) -> ChunkTable:
    [name] = [name for name in store.disk.list(FOLDER) if name.endswith(".seg")]
    data = store.disk.read(FOLDER / name)
    offset = table_offset_of(data[-64:])
    return decode_table(data[offset:], offset)


# --- bytes


def golden_blocks() -> tuple[Block, ...]:
    """Each sample type, a bad one, one without samples, a repetition, a correction."""
    return (
        burst([1, -2, 32_767, -32_768], point=7, dt_ns=19_531.25),
        burst([2**31 - 1, -(2**31), 0], point=8, dtype="<i4", quality=64),
        burst(ODD, point=9, dtype="<f4"),
        burst([5, 6], T0 + S, point=7, quality=int(Quality.BAD_SENSOR_FAILURE)),
        Block.without_samples(7, T0 + 2 * S, int(Quality.BAD_NO_COMMUNICATION), 2),
        burst([1, -2, 32_767, -32_768], point=7, dt_ns=19_531.25),
        burst([3, 4], point=7, flags=CORRECTION),
    )


def test_the_writer_writes_the_golden_bytes() -> None:
    store = Store()
    store.take(*golden_blocks())
    store.flush()
    [name] = [name for name in store.disk.list(FOLDER) if name.endswith(".seg")]

    assert (GOLDEN / "segment-blocks.bin").read_bytes() == store.disk.read(FOLDER / name)


def test_the_reader_reads_the_golden_bytes() -> None:
    data = (GOLDEN / "segment-blocks.bin").read_bytes()
    table = decode_table(data[table_offset_of(data[-64:]) :], table_offset_of(data[-64:]))
    chunk = np.flatnonzero(table.point == 9)[0]
    begin = int(table.offset[chunk])

    block = decode_block(
        data[begin : begin + int(table.bytes[chunk])], 9, int(table.rows[chunk]), T0
    )

    assert same(burst(ODD, point=9, dtype="<f4"), block)


def test_a_packed_chunk_of_an_earlier_release_is_read() -> None:
    data = (GOLDEN / "segment-blocks-packed.bin").read_bytes()
    table = decode_table(data[table_offset_of(data[-64:]) :], table_offset_of(data[-64:]))
    begin, size = int(table.offset[0]), int(table.bytes[0])

    block = decode_block(data[begin : begin + size], 1, int(table.rows[0]), int(table.first_ns[0]))

    assert 1 == table.encoding[0]
    assert same(burst(vibration(512)), block)


samples = st.one_of(
    st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1, max_size=60).map(
        lambda numbers: np.array(numbers, "<i2")
    ),
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=60).map(
        lambda numbers: np.array(numbers, "<i4")
    ),
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=60).map(
        lambda bits: np.array(bits, "<u4").view("<f4")
    ),
)


@given(samples=samples, dt_ns=st.floats(1e-3, 1e12), t0=st.integers(-(2**62), 2**62))
@settings(max_examples=150, deadline=None)
def test_any_bits_come_back(samples: npt.NDArray[np.float32], dt_ns: float, t0: int) -> None:
    block = Block(3, t0, dt_ns, samples, 64, 6)

    data, _ = encode_block(block)

    assert 0 == len(data) % 8
    assert same(block, decode_block(data, 3, len(samples), t0))


def test_samples_are_packed_only_where_that_is_smaller() -> None:
    noise = np.random.default_rng(1).integers(-(2**15), 2**15, 4_096)

    small, is_packed = encode_block(burst(vibration(4_096)))
    raw_bytes, is_noise_packed = encode_block(burst(noise))

    assert (True, False) == (is_packed, is_noise_packed)
    assert len(small) < 0.75 * 2 * 4_096
    assert 16 + 2 * 4_096 == len(raw_bytes)


def test_a_second_of_vibration_stays_near_its_entropy() -> None:
    """Noise of 300 counts has 10.3 bits; the tones cost nothing that could be saved."""
    size = sum(len(encode_block(burst(vibration(25_600, seed)))[0]) for seed in (1, 2, 3))

    assert size / (3 * 25_600) < 1.45


@pytest.mark.parametrize(
    "change", [{8: 3}, {9: 2}, {12: 1}, {0: 0, 7: 0xFF}, dict.fromkeys(range(8), 0)], ids=str
)
def test_a_header_that_makes_no_sense_is_damage(change: dict[int, int]) -> None:
    data = bytearray(encode_block(burst([1, 2, 3, 4]))[0])
    for place, byte in change.items():
        data[place] = byte

    with pytest.raises(Damaged):
        decode_block(bytes(data), 1, 4, T0)


# --- head, flush, restart


def test_a_block_is_the_same_in_the_head_in_a_segment_and_after_a_restart() -> None:
    store = Store()
    given_ = [burst(vibration(5_000)), burst(ODD, T0 + S, dtype="<f4"), burst([7], T0 + 2 * S)]
    store.take(*given_)
    for step in (lambda: None, lambda: store.historian.seal(1), store.restart, store.flush):
        step()
        for block in given_:
            assert same(block, one_block(store.pin(), 1, block.t0_ns))
    store.restart()

    assert [(0, 1), (S, 1), (2 * S, 1)] == listed(store.pin())
    assert same(given_[0], one_block(store.pin(), 1, T0))


def test_the_head_keeps_no_other_bytes_of_the_batch_alive() -> None:
    store = Store()
    payload = np.zeros(100_000, "<i2")
    store.take(burst(payload[:10]))

    held = store.pin().heads[-1].blocks.items[0].block.samples

    assert not np.shares_memory(payload, held)
    assert held.base is None


def test_the_head_is_full_of_blocks_when_their_bytes_reach_the_setting() -> None:
    store = Store(head_block_bytes_max=4 * 1024 * 1024)
    megabyte = np.zeros(512 * 1024, "<i2")
    for number in range(3):
        store.take(burst(megabyte, T0 + number * 60 * S))
    assert not store.historian.is_full

    store.take(burst(megabyte, T0 + 180 * S))

    assert store.historian.is_full
    assert store.historian.is_due


def test_many_blocks_without_samples_fill_the_head_too() -> None:
    store = Store(head_block_bytes_max=4 * 1024 * 1024)
    store.take(*[Block.without_samples(1, T0 + n, 2, 0) for n in range(4_096)])

    assert store.historian.is_full


def test_the_table_answers_for_the_samples() -> None:
    values = vibration(2_000)
    store = Store()
    store.take(burst(values), burst([1, 2, 3], T0 + S, quality=int(Quality.BAD)))
    store.flush()

    table = only_table(store)

    assert [4, 4] == table.kind.tolist()
    assert [2_000, 3] == table.rows.tolist()
    assert [2_000, 0] == table.count.tolist()
    assert [values.min(), 0.0] == table.minimum.view(np.float64).tolist()
    assert [values.max(), 0.0] == table.maximum.view(np.float64).tolist()
    assert values.mean() == pytest.approx(table.mean[0])
    assert values.var() * 2_000 == pytest.approx(table.m2[0])
    assert T0 + round(1_999 * KHZ_25_6) == table.last_ns[0]
    assert 2_000 * KHZ_25_6 == pytest.approx(table.valued_ns[0], abs=1)
    assert values.sum() * KHZ_25_6 / S == pytest.approx(table.integral[0])
    assert [0, int(ChunkFlag.NO_VALUES)] == table.flags.tolist()
    heads, _ = blocks(store.pin(), 1, *WIDE, limit=10)
    assert np.sqrt((values**2).mean()) == pytest.approx(heads.rms[0])
    assert np.isnan(heads.rms[1])
    assert [KHZ_25_6] * 2 == heads.dt_ns.tolist()


def test_memory_and_segment_give_the_same_heads() -> None:
    """Columns bit for bit, but for the place where a Block lies."""
    store = Store()
    store.take(*golden_blocks())
    before, _ = blocks(store.pin(7, 8, 9), 9, *WIDE, limit=10)
    store.flush()
    after, _ = blocks(store.pin(7, 8, 9), 9, *WIDE, limit=10)

    for name in ("t0_ns", "last_ns", "dt_ns", "samples", "count", "minimum", "maximum", "rms"):
        assert getattr(before, name).tobytes() == getattr(after, name).tobytes()
    for name in ("mean", "m2", "sequence", "sample_type", "quality", "worst", "flags"):
        assert getattr(before, name).tobytes() == getattr(after, name).tobytes()


# --- which Blocks count


@pytest.mark.parametrize("flushes", [(), (1,), (2,), (1, 2)], ids=str)
def test_a_block_that_comes_twice_is_one(flushes: tuple[int, ...]) -> None:
    store = Store()
    for number in (1, 2):
        store.take(burst(vibration(200)))
        if number in flushes:
            store.flush()

    assert [(0, 1)] == listed(store.pin())


@pytest.mark.parametrize("is_flushed", [False, True])
@pytest.mark.parametrize(
    "other",
    [
        burst([1, 2, 4]),
        burst([1, 3, 2]),  # equal numbers in the table, other samples
        burst([1, 2, 3], dtype="<i4"),
        burst([1, 2, 3], dt_ns=KHZ_25_6 * 2),
        burst([1, 2, 3], quality=64),
    ],
    ids=["value", "order", "type", "dt", "quality"],
)
def test_different_blocks_of_one_moment_are_both_kept(other: Block, is_flushed: bool) -> None:
    store = Store()
    first = burst([1, 2, 3])
    store.take(first)
    if is_flushed:
        store.flush()
    store.take(other)
    if is_flushed:
        store.flush()

    assert [(0, 1), (0, 2)] == listed(store.pin())
    assert same(other, one_block(store.pin(), 1, T0))
    assert same(first, one_block(store.pin(), 1, T0, sequence=1))


@pytest.mark.parametrize("flushes", [(), (1,), (2,), (1, 2)], ids=str)
def test_a_correction_replaces_and_as_of_keeps_the_old(flushes: tuple[int, ...]) -> None:
    store = Store()
    old, new = burst([1, 2, 3, 4]), burst([5, 6], flags=CORRECTION)
    for number, block in enumerate((old, new), 1):
        store.take(block)
        if number in flushes:
            store.flush()

    assert [(0, 2)] == listed(store.pin())
    assert same(new, one_block(store.pin(), 1, T0))
    past = store.pin().at_sequence(1)
    assert [(0, 1)] == listed(past)
    assert same(old, one_block(past, 1, T0))
    rows, _ = raw(past, 1, *WIDE, limit=10)
    assert [1.0, 2.0, 3.0, 4.0] == list(rows.value)


def test_a_correction_that_is_shorter_hides_the_end_of_the_old_one_too() -> None:
    """A span behind the new Block's end must not bring the old one back."""
    store = Store()
    store.take(burst(range(1_000), dt_ns=S))
    store.take(burst([5], dt_ns=S, flags=CORRECTION))
    store.flush()

    heads, _ = blocks(store.pin(), 1, T0 + 500 * S, T0 + 600 * S, limit=10)

    assert 0 == len(heads)
    assert 1 == len(blocks(store.pin(), 1, T0 - S, T0 + S, limit=10)[0])
    assert 0 == len(blocks(store.pin(), 1, T0 - 2 * S, T0 - S, limit=10)[0])


def test_a_correction_within_one_record_replaces_only_what_came_before_it() -> None:
    store = Store()
    store.take(burst([1]), burst([np.inf], dtype="<f4", flags=CORRECTION), burst([3]))
    before = listed(store.pin())
    store.flush()

    assert [(0, 1), (0, 1)] == before == listed(store.pin())
    assert same(burst([3]), one_block(store.pin(), 1, T0))


def test_pages_of_any_size_give_each_block_once() -> None:
    store = Store()
    for number in range(7):
        store.take(burst([number], T0 + number // 3 * S))
        if number == 3:
            store.flush()
    expected = listed(store.pin())

    for limit in range(1, 9):
        found: list[tuple[int, int]] = []
        cursor: Cursor | None = None
        while True:
            page, cursor = blocks(store.pin(), 1, *WIDE, limit, cursor)
            found += zip((page.t0_ns - T0).tolist(), page.sequence.tolist(), strict=True)
            if cursor is None:
                break
        assert expected == found


def test_text_and_numbers_in_the_same_record_are_not_touched() -> None:
    store = Store()
    floats, ints = frame(2, T0, [1.5]), frame(3, T0, [2**53 + 1])
    texts = frame(4, T0, ["RUN"])
    batch = Batch(ORIGIN, 1, (floats, ints, texts), (burst([1, 2]),))
    store.historian.append(batch, 1, TIME_NS_MAX)
    store.flush()

    snapshot = store.pin(1, 2, 3, 4)

    assert [(0, 1)] == listed(snapshot)
    assert [1.5] == list(raw(snapshot, 2, *WIDE, limit=9)[0].value)  # type: ignore[arg-type]
    assert [2**53 + 1] == list(raw(snapshot, 3, *WIDE, limit=9)[0].value)  # type: ignore[arg-type]
    assert ["RUN"] == raw(snapshot, 4, *WIDE, limit=9)[0].value.to_list()  # type: ignore[union-attr]
    assert 0 == len(blocks(snapshot, 2, *WIDE, limit=9)[0])


# --- newest value, transient


def test_the_newest_value_is_the_rms_of_the_newest_block() -> None:
    store = Store()
    store.take(burst([3, -4], T0 + S), burst([100, 100]))
    store.flush()
    store.restart()

    rows = store.historian.last.rows([1])

    assert ValueKind.WAVEFORM == rows.kind[0]
    assert T0 + S == rows.time_ns[0]
    assert np.sqrt(12.5) == pytest.approx(rows.value(0))
    [(live, index)] = store.historian.last.frames(np.array([1], np.uint32))
    assert (ValueKind.FLOAT, [0]) == (live.kind, index.tolist())


def test_the_newest_value_of_the_past_is_an_rms_too() -> None:
    store = Store()
    given_ = [burst([3, -4]), burst([6, 6], T0 + S), burst(range(30), T0 - S), burst([9], T0 + S)]
    expected = []
    for number, block in enumerate(given_):
        store.take(block)
        expected.append(store.historian.last.rows([1]).value(0))
        if number % 2:
            store.flush()

    found = [newest_rms(store.pin().at_sequence(n), 1) for n in (1, 2, 3, 4)]

    assert expected == [float(rows.value[0]) for rows in found]  # type: ignore[index, arg-type]
    assert [T0, T0 + S, T0 + S, T0 + S] == [int(rows.time_ns[0]) for rows in found]
    assert 0 == len(newest_rms(store.pin().at_sequence(0), 1))


def test_a_block_without_samples_makes_the_point_bad() -> None:
    store = Store()
    store.take(burst([1]), Block.without_samples(1, T0 + S, int(Quality.GOOD), 0))

    rows = store.historian.last.rows([1])

    assert Quality.BAD_NOT_AVAILABLE == rows.quality[0]
    assert int(Flag.NO_VALUE) == rows.flags[0]
    found, _ = raw(store.pin(), 1, *WIDE, limit=9)
    assert [192, int(Quality.BAD_NOT_AVAILABLE)] == found.quality.tolist()


def test_a_transient_block_is_live_and_never_history() -> None:
    store = Store()
    store.take(burst([1, 1]))
    store.take(burst([2, 2], T0 + S, flags=TRANSIENT))
    store.flush()
    store.restart()

    assert 2.0 == store.historian.last.rows([1]).value(0)
    assert [(0, 1)] == listed(store.pin())


def test_a_transient_sample_is_live_and_never_history() -> None:
    store = Store()
    flags = [0, TRANSIENT, 0, TRANSIENT]
    samples_ = frame(2, [T0, T0 + S, T0 + 2 * S, T0 + 3 * S], [1.0, 2.0, 3.0, 4.0], 192, flags)
    store.historian.append(Batch(ORIGIN, 1, (samples_,)), 1, TIME_NS_MAX)
    before, _ = raw(store.pin(2), 2, *WIDE, limit=9)
    store.flush()
    after, _ = raw(store.pin(2), 2, *WIDE, limit=9)

    assert [1.0, 3.0] == list(before.value) == list(after.value)
    assert 4.0 == store.historian.last.rows([2]).value(0)
    assert [3.0] == list(store.pin(2).newest_before(2, T0 + 9 * S).value)


def test_a_head_of_transient_samples_only_writes_no_segment() -> None:
    store = Store()
    only = frame(2, T0, [1.0], 192, TRANSIENT)
    store.historian.append(Batch(ORIGIN, 1, (only,)), 1, TIME_NS_MAX)
    store.flush()

    assert 0 == store.historian.statistics()["segments"]
    assert (1, 1) == store.historian.position


# --- damage


@pytest.mark.parametrize("bit", range(0, 8, 3))
def test_a_flipped_bit_is_named_and_gives_no_wrong_samples(bit: int) -> None:
    store = Store()
    good = burst([9, 8, 7], T0 + 10 * S)
    store.take(burst(vibration(300)), good)
    store.flush()
    [name] = [name for name in store.disk.list(FOLDER) if name.endswith(".seg")]
    table = only_table(store)
    begin, size = int(table.offset[0]), int(table.bytes[0])

    with structlog.testing.capture_logs() as logs:
        for place in range(begin, begin + size, 7):
            store.disk.flip_bit(FOLDER / name, place, bit)
            store.restart()
            with pytest.raises(Refused, match="cannot be read") as refused:
                one_block(store.pin(), 1, T0)
            assert "data_damaged" == refused.value.code
            rows, _ = raw(store.pin(), 1, *WIDE, limit=10)
            assert [9.0, 8.0, 7.0] == list(rows.value)[2:]
            assert [int(Quality.BAD_DATA_LOST)] * 2 == rows.quality.tolist()[:2]
            assert 1 == store.historian.statistics()["damaged_chunks"]
            store.disk.flip_bit(FOLDER / name, place, bit)

    assert {f"{name}@{begin}"} == {str(line["place"]) for line in logs if "place" in line}
    assert same(good, one_block(store.pin(), 1, T0 + 10 * S))
