"""Compaction under power cuts, full disks and damage: the old state or the new one, no mix."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import block_kit
import numpy as np
import pytest
import structlog
from block_kit import T0, S, Store, burst, listed, vibration
from compacted import ALL_POINTS, DAY_NS, FOLDER, LONG_AFTER, SPAN, Played, rows_of
from strategies import BASE_NS

from penstock.historian import Historian, HistorianSettings
from penstock.historian.block_query import blocks
from penstock.historian.compaction import compact_once
from penstock.historian.compaction_plan import is_day_file
from penstock.historian.encode import DecimalHints
from penstock.historian.query import raw
from penstock.model import Flag, Frame, Quality
from penstock.testing import frame
from penstock.testing.disk import PowerCut

DAY_BEGIN = BASE_NS // DAY_NS * DAY_NS
CALLS_MAX = 200


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Damage is meant to be here; its log lines are not looked at."""
    with structlog.testing.capture_logs():
        yield


def samples(point: int, begin_ns: int, rows: int, flags: int = 0, plus: float = 0.0) -> Frame:
    """One a second, many times of which another frame has, too."""
    times = [begin_ns + number * S for number in range(rows)]
    return frame(point, times, [number % 7 / 4 + plus for number in range(rows)], 192, flags)


def plant() -> Played:
    """Two days in three segments: repetitions, a correction, text, rows that stay behind."""
    texts = frame(5, [DAY_BEGIN + n * S for n in range(60)], ["RUN", "STOP"] * 30)
    played = Played()
    for step in (
        (samples(1, DAY_BEGIN - 30 * S, 60), texts),
        (samples(1, DAY_BEGIN, 60), samples(2, DAY_BEGIN - 30 * S, 40)),
        (samples(1, DAY_BEGIN + 10 * S, 5, int(Flag.CORRECTION), 100.0), samples(2, DAY_BEGIN, 9)),
    ):
        for one in step:
            played.play(one)
        played.flush()
    return played


def reopened(played: Played, seed: int) -> Played:
    """After the power came back; the log has nothing that is not in a manifest."""
    played.disk.power_cut(seed)
    played.historian = Historian.open(played.disk, FOLDER, played.settings)
    return played


def calls_of_a_compaction() -> int:
    played = plant()
    before = played.disk.calls
    assert played.compact()
    return played.disk.calls - before


def test_a_power_cut_at_any_call_leaves_the_old_state_or_the_new_one() -> None:
    """Of the compaction, of the commit and of the removal; then it succeeds."""
    expected = plant().answers()
    calls = calls_of_a_compaction()
    assert 20 < calls < CALLS_MAX
    seen = set()
    for call in range(1, calls + 1):
        played = plant()
        old = played.listed()
        played.disk.fail_at(call, PowerCut())
        with suppress(PowerCut):
            played.compact()
        reopened(played, seed=call)

        assert expected == played.answers(), f"call {call}"
        assert set(played.listed()) <= set(played.files())
        seen.add(played.listed() == old)
        played.compact_all()
        played.historian.forget_replaced()
        assert played.listed() == played.files()
        assert expected == played.answers()
        assert all(map(is_day_file, played.historian.manifest.segments))
    assert {True, False} == seen


def test_a_disk_that_refuses_at_any_call_changes_no_answer() -> None:
    expected = plant().answers()
    for call in range(1, calls_of_a_compaction() + 1):
        played = plant()
        played.disk.fail_at(call, OSError(errno.ENOSPC, "No space left on device"))
        with suppress(OSError):
            played.compact()
        assert expected == played.answers(), f"call {call}"

        played.compact_all()

        assert expected == played.answers()
        reopened(played, seed=call)
        assert expected == played.answers()
        played.historian.forget_replaced()
        assert played.listed() == played.files()


def test_a_cancelled_compaction_leaves_nothing() -> None:
    played = plant()
    files = played.files()

    proposal = compact_once(
        played.disk,
        FOLDER,
        played.historian.manifest,
        played.settings,
        played.hints,
        lambda _: None,
        lambda: True,
        now_ns=LONG_AFTER,
    )

    assert proposal is None
    assert files == played.files()


def test_what_a_dead_compaction_left_is_removed_before_the_next() -> None:
    """Not the file of a flush under way, and not one that somebody still reads."""
    played = plant()
    flush = played.historian.manifest.segments[0].name.replace("-0.seg", "-6.seg")
    played.compact()
    snapshot = played.pin()
    played.play(samples(1, DAY_BEGIN + 100 * S, 5_000))
    played.play(samples(2, DAY_BEGIN - 5_000 * S, 4_000))
    played.flush()
    played.play(samples(3, DAY_BEGIN, 1))
    played.flush()
    played.compact()
    played.historian.forget_replaced()
    held = set(played.files()) - set(played.listed())
    assert held
    played.disk.write_whole(FOLDER / "20200101-00000000000000000001-1.seg", [b"torn"])
    played.disk.write_whole(FOLDER / flush, [b"under way"])

    played.historian.remove_abandoned()

    assert {flush} | held | set(played.listed()) == set(played.files())
    del snapshot


# --- damage


def damaged(played: Played, point: int, segment: int = 0) -> int:
    """Flip a bit in the first chunk of a point; its place in the file."""
    info = played.historian.manifest.segments[segment]
    table = played.historian._store.table(info)
    assert table is not None
    chunk = table.of(point)[0]
    offset = int(table.offset[chunk])
    played.disk.flip_bit(FOLDER / info.name, offset + 50)
    return offset


def visible(played: Played) -> dict[int, object]:
    """A fresh historian's answers: nothing of the old one's caches."""
    fresh = Historian.open(played.disk, FOLDER, played.settings)
    snapshot = fresh.pin(ALL_POINTS)
    return {
        point: rows_of(raw(snapshot, point, *SPAN, 10_000)[0])
        for point in ALL_POINTS
        if snapshot.kind(point) is not None
    }


@pytest.mark.parametrize(("point", "segment"), [(1, 0), (1, 1), (1, 2), (2, 1), (2, 2), (5, 0)])
def test_a_damaged_chunk_stays_damaged_and_stops_nothing(point: int, segment: int) -> None:
    """Its bytes go along; what it had replaced does not come back; the others are compacted."""
    played = plant()
    damaged(played, point, segment)
    before = visible(played)
    lost = [row for row in before[point] if row[2] == Quality.BAD_DATA_LOST]  # type: ignore[attr-defined]
    assert lost

    played.compact_all()

    assert before == visible(played)
    assert all(map(is_day_file, played.historian.manifest.segments))
    for other, chunks in {1: 3, 2: 2, 5: 1}.items():
        assert other == point or chunks == sum(map(len, chunks_of(played, other)))


def chunks_of(played: Played, point: int) -> list[range]:
    tables = map(played.historian._store.table, played.historian.manifest.segments)
    return [table.of(point) for table in tables if table is not None]


@pytest.mark.parametrize("place", [0, 30, -1, -40])
def test_a_segment_whose_table_is_damaged_is_left_where_it_is(place: int) -> None:
    played = plant()
    info = played.historian.manifest.segments[1]
    played.disk.flip_bit(FOLDER / info.name, place % info.file_bytes)
    before = visible(played)

    played.compact_all()

    kept = [i for i in played.historian.manifest.segments if not is_day_file(i)]
    assert [info] == kept
    assert before == visible(played)


def test_bytes_that_the_disk_does_not_give_are_left_where_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bad sector under a chunk, not under the table: the other segments are compacted."""
    played = plant()
    info = played.historian.manifest.segments[1]
    read = played.disk.read

    def refuse(path: Path, offset: int = 0, size: int = -1) -> bytes:
        if path.name == info.name and 0 < offset < info.table_offset:
            raise OSError(errno.EIO, "Input/output error")
        return read(path, offset, size)

    expected = played.answers()
    monkeypatch.setattr(played.disk, "read", refuse)
    played.compact_all()
    monkeypatch.undo()

    assert [info] == [i for i in played.historian.manifest.segments if not is_day_file(i)]
    assert expected == played.answers()


def test_a_large_damaged_point_is_copied_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found out before any of its rows is written."""
    monkeypatch.setattr("penstock.historian.compaction_blocks.BLOCK_ROWS", 10)
    played = plant()
    damaged(played, 1, 1)
    before = visible(played)

    played.compact_all()

    assert before == visible(played)


# --- Blocks


def compact(store: Store) -> None:
    settings = HistorianSettings(compaction_segments_min=2)
    proposal = compact_once(
        store.disk,
        block_kit.FOLDER,
        store.historian.manifest,
        settings,
        DecimalHints(),
        lambda _: None,
        lambda: False,
        now_ns=T0 + 2 * DAY_NS,
    )
    assert proposal is not None
    store.historian.swap(proposal)


def test_blocks_are_copied_byte_for_byte() -> None:
    """Repeated, corrected and across midnight: heads, samples and what was known when stay."""
    midnight = (T0 // DAY_NS + 1) * DAY_NS
    store = Store()
    store.take(burst(vibration(500)), burst(vibration(300, 2), point=2, t0_ns=midnight - 1_000))
    store.flush()
    store.take(burst(vibration(500)))
    store.take(burst(vibration(400, 3), flags=int(Flag.CORRECTION)), burst([], T0 + S))
    store.flush()
    before = chunks(store)
    heads = {
        (point, known): listed(store.pin(1, 2).at_sequence(known), point)
        for point in (1, 2)
        for known in (1, 2, 3)
    }
    shown = blocks(store.pin(1), 1, T0, T0 + 2 * S, limit=10)[0]

    compact(store)

    [info] = store.historian.manifest.segments
    assert is_day_file(info)
    assert before == chunks(store)
    assert heads == {
        (point, known): listed(store.pin(1, 2).at_sequence(known), point) for point, known in heads
    }
    found = blocks(store.pin(1), 1, T0, T0 + 2 * S, limit=10)[0]
    np.testing.assert_array_equal(shown.t0_ns, found.t0_ns)
    store.restart()
    assert heads[1, 3] == listed(store.pin(1, 2), 1)


def chunks(store: Store) -> list[tuple[int, bytes]]:
    """(point, bytes) of all chunks of all segments."""
    found = []
    for info in store.historian.manifest.segments:
        table = store.historian._store.table(info)
        assert table is not None
        for chunk in range(len(table)):
            at, size = int(table.offset[chunk]), int(table.bytes[chunk])
            data = store.disk.read(block_kit.FOLDER / info.name, at, size)
            found.append((int(table.point[chunk]), data))
    return sorted(found)
