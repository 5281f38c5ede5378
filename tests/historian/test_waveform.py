"""What a chart sees of a waveform, against the samples themselves."""

from __future__ import annotations

import numpy as np
import pytest
from block_kit import FOLDER, KHZ_25_6, T0, S, Store, burst, vibration
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.codec.trend import NO_SAMPLE, PenState
from penstock.historian import Snapshot, waveform
from penstock.historian.aggregate import Options, aggregate
from penstock.historian.at import values_at
from penstock.historian.block_chunk import expand, times_of
from penstock.historian.envelope import Grid, envelope, grid_of, raw_pen
from penstock.historian.gaps import gaps_of
from penstock.historian.intervals import whole
from penstock.historian.query import raw, rows_between
from penstock.historian.waveform import first_at
from penstock.model import Block, Quality, Refused

BURST = 2_560  # 100 ms at 25.6 kHz


def stream(blocks: int, gap_ns: int = 0) -> list[Block]:
    """Blocks of 100 ms, one behind the other or with gaps."""
    step = round(BURST * KHZ_25_6) + gap_ns
    return [burst(vibration(BURST, n, n * BURST), T0 + n * step) for n in range(blocks)]


def brute_force(blocks: list[Block], grid: Grid) -> tuple[list[float], list[float], list[int]]:
    lowest, highest = [np.nan] * grid.columns, [np.nan] * grid.columns
    quality = [NO_SAMPLE] * grid.columns
    for block in blocks:
        rows = expand(block, 1)
        columns = zip(rows.time_ns, rows.value, rows.quality, strict=True)  # type: ignore[arg-type]
        for time_ns, value, grade in columns:
            column = (int(time_ns) - grid.t0_ns) // grid.dt_ns
            if 0 <= column < grid.columns:
                lowest[column] = np.fmin(lowest[column], value)
                highest[column] = np.fmax(highest[column], value)
                quality[column] = min(quality[column], int(grade))
    return lowest, highest, quality


def kept(blocks: list[Block], *, is_flushed: bool) -> Snapshot:
    store = Store()
    for block in blocks:
        store.take(block)
    if is_flushed:
        store.flush()
    return store.pin()


@pytest.mark.parametrize("is_flushed", [False, True])
@pytest.mark.parametrize("px", [10, 33, 400, 2_000])
@pytest.mark.parametrize("gap_ns", [0, 30_000_000])
def test_the_envelope_is_that_of_all_samples(px: int, gap_ns: int, is_flushed: bool) -> None:
    """From many Blocks a pixel down to many pixels a Block; the span cuts Blocks at both ends."""
    blocks = stream(12, gap_ns)
    grid = grid_of(T0 + 150_000_000, T0 + 1_230_000_000, px)

    pen = envelope(kept(blocks, is_flushed=is_flushed), 1, grid)

    lowest, highest, quality = brute_force(blocks, grid)
    np.testing.assert_array_equal(lowest, pen.minimum)
    np.testing.assert_array_equal(highest, pen.maximum)
    assert quality == pen.quality.tolist()
    assert (4, PenState.OK) == (pen.kind, pen.state)
    assert np.isnan(pen.before)


def test_an_envelope_of_many_blocks_a_pixel_reads_no_sample() -> None:
    """Blocks that lie within a column answer from the table, so that a year costs no samples."""
    store = Store()
    store.take(*[burst([n, -n, 5], T0 + n * S) for n in range(1, 60)])
    store.flush()
    [name] = [n for n in store.disk.list(FOLDER) if n.endswith(".seg")]
    for place in range(64, 64 + 59 * 24):
        store.disk.flip_bit(FOLDER / name, place)

    pen = envelope(store.pin(), 1, Grid(T0 - T0 % (60 * S), 60 * S, 2))

    assert (-59.0, 59.0) == (np.nanmin(pen.minimum), np.nanmax(pen.maximum))
    assert 59 * 3 == pen.rows
    assert 0 == store.historian.statistics()["damaged_chunks"]


def test_what_is_too_much_to_read_counts_in_each_column_of_its_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blocks = stream(3)
    snapshot, grid = kept(blocks, is_flushed=True), grid_of(T0, T0 + 300_000_000, 30)
    exact = envelope(snapshot, 1, grid)
    monkeypatch.setattr(waveform, "SAMPLES_READ_MAX", BURST)

    bounded = envelope(snapshot, 1, grid)

    assert (bounded.minimum <= exact.minimum).all()
    assert (bounded.maximum >= exact.maximum).all()
    assert exact.minimum[:10].tolist() == bounded.minimum[:10].tolist()
    assert np.nanmax(exact.maximum) == np.nanmax(bounded.maximum)


def test_no_line_is_drawn_between_bursts() -> None:
    """A gap as wide as half a second; the jitter of a clock is none."""
    blocks = [
        burst(vibration(BURST), T0),
        burst(vibration(BURST), T0 + 100_010_000),  # 10 us late
        burst(vibration(BURST), T0 + 700_000_000),
    ]
    snapshot = kept(blocks, is_flushed=True)
    begin, end = T0 - 100_000_000, T0 + 1_000_000_000
    covered = [b.last_ns + round(1.5 * KHZ_25_6) for b in blocks]

    pen = envelope(snapshot, 1, Grid(begin, 10_000_000, 110))
    exact = raw_pen(snapshot, 1, begin, end)

    expected = [(begin, T0), (covered[1], T0 + 700_000_000), (covered[2], end)]
    assert expected == list(pen.gaps) == list(exact.gaps)
    assert 3 * BURST == len(exact.value)
    assert np.isnan(exact.before)


def test_a_bad_block_and_a_lost_device_are_gaps_with_their_quality() -> None:
    bad = burst(vibration(BURST), T0 + S, quality=int(Quality.BAD_SENSOR_FAILURE))
    lost = Block.without_samples(1, T0 + 2 * S, int(Quality.BAD_NO_COMMUNICATION), 0)
    snapshot = kept([burst(vibration(BURST), T0), bad, lost], is_flushed=True)
    grid = Grid(T0, S // 2, 6)

    pen = envelope(snapshot, 1, grid)

    assert [192, 255, 4, 255, 2, 255] == pen.quality.tolist()
    assert [False, True, True, True, True, True] == np.isnan(pen.minimum).tolist()
    assert T0 + 3 * S == pen.gaps[-1][1]


def test_a_nan_is_bad_where_it_lies() -> None:
    values = np.arange(100, dtype=np.float32)
    values[40:60] = np.nan
    snapshot = kept([burst(values, dt_ns=S, dtype="<f4")], is_flushed=True)

    pen = envelope(snapshot, 1, Grid(T0, 10 * S, 10))

    bad = int(Quality.BAD_NOT_AVAILABLE)
    assert [192] * 4 + [bad] * 2 + [192] * 4 == pen.quality.tolist()
    assert [4, 5] == np.flatnonzero(np.isnan(pen.minimum)).tolist()
    assert 90.0 == pen.minimum[9]


def test_a_point_without_blocks_in_the_span_says_whether_there_were_any_before() -> None:
    snapshot = kept(stream(1), is_flushed=True)

    after = envelope(snapshot, 1, Grid(T0 + 10 * S, S, 5))
    before = envelope(snapshot, 1, Grid(T0 - 10 * S, S, 5))

    assert (PenState.OK, [(T0 + 10 * S, T0 + 15 * S)]) == (after.state, list(after.gaps))
    assert (PenState.NO_SAMPLES, []) == (before.state, list(before.gaps))


@given(
    dt_ns=st.one_of(st.floats(0.3, 10), st.floats(1e3, 1e5), st.sampled_from([1.0, 19_531.25])),
    edges=st.lists(st.integers(-1_000, 10**7), min_size=1, max_size=20),
    count=st.integers(1, 500),
)
@settings(max_examples=200, deadline=None)
def test_the_first_sample_behind_an_edge_is_found_without_all_times(
    dt_ns: float, edges: list[int], count: int
) -> None:
    block = burst(np.zeros(count), dt_ns=dt_ns)
    moments = T0 + np.array(edges, np.int64)

    found = first_at(block, moments)

    assert np.searchsorted(times_of(block), moments).tolist() == found.tolist()


# --- samples of Blocks, in order


@pytest.mark.parametrize("is_flushed", [False, True])
def test_blocks_that_overlap_give_their_samples_in_order_and_equal_ones_once(
    is_flushed: bool,
) -> None:
    """Windows of a spectrum analyser share half of their samples; a chain of them has no end."""
    wave = vibration(1_000)
    blocks = [burst(wave[n : n + 200], T0 + n * S, dt_ns=S) for n in range(0, 900, 100)]
    snapshot = kept(blocks, is_flushed=is_flushed)

    parts = list(rows_between(snapshot, 1, T0, T0 + 1_000 * S))

    times = np.concatenate([part.time_ns for part in parts])
    assert (T0 + np.arange(1_000) * S).tolist() == times.tolist()
    assert wave.tolist() == np.concatenate([part.value for part in parts]).tolist()  # type: ignore[arg-type]
    assert max(len(part) for part in parts) < 1_000
    page, cursor = raw(snapshot, 1, T0 + 150 * S, T0 + 1_000 * S, limit=10)
    assert wave[150:160].tolist() == page.value.tolist()  # type: ignore[union-attr]
    assert f"{T0 + 159 * S}.1" == str(cursor)


@pytest.mark.parametrize("is_flushed", [False, True])
def test_a_correction_replaces_blocks_of_its_begin_and_no_sample_of_another(
    is_flushed: bool,
) -> None:
    other = burst([1, 2, 3], T0, dt_ns=S)
    old, new = burst([8, 9], T0 + S, dt_ns=S), burst([20, 30], T0 + S, dt_ns=S, flags=32)

    rows, _ = raw(kept([other, old, new], is_flushed=is_flushed), 1, T0, T0 + 9 * S, limit=9)

    assert [1.0, 2.0, 20.0, 3.0, 30.0] == list(rows.value)  # type: ignore[arg-type]


@pytest.mark.parametrize("is_flushed", [False, True])
def test_the_newest_and_the_oldest_sample_of_a_moment(is_flushed: bool) -> None:
    snapshot = kept(
        [burst([1, 2, 3], T0, dt_ns=S), burst([7, 8], T0 + 9 * S)], is_flushed=is_flushed
    )

    assert [2.0] == list(snapshot.newest_before(1, T0 + 2 * S).value)  # type: ignore[arg-type]
    assert [3.0] == list(snapshot.newest_before(1, T0 + 9 * S).value)  # type: ignore[arg-type]
    assert [8.0] == list(snapshot.newest_before(1, T0 + 99 * S).value)  # type: ignore[arg-type]
    assert 0 == len(snapshot.newest_before(1, T0))
    assert [2.0] == list(snapshot.oldest_from(1, T0 + 1).value)  # type: ignore[arg-type]
    assert [7.0] == list(snapshot.oldest_from(1, T0 + 3 * S).value)  # type: ignore[arg-type]
    assert 0 == len(snapshot.oldest_from(1, T0 + 99 * S))


def test_questions_for_single_samples_are_refused() -> None:
    """A mean of bursts that are an hour apart would look like a mean of the hour."""
    snapshot = kept(stream(1), is_flushed=True)
    hour, options = whole(T0, T0 + 60 * S), Options()
    questions = [
        lambda: aggregate(snapshot, [1], hour, ["mean"], options),
        lambda: gaps_of(snapshot, 1, T0, T0 + S, 10),
        lambda: values_at(snapshot, [1], np.array([T0]), "previous", treats_uncertain_as_bad=False),
    ]

    for question in questions:
        with pytest.raises(Refused) as refused:
            question()
        assert "is_waveform" == refused.value.code
