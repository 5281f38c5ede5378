"""Values at moments, gaps, and what had come in by when: against plain Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from brute import GOOD
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Row
from samples import BAD as BAD_SAMPLE
from samples import NOON_NS, stored
from strategies import BASE_NS, POINTS
from test_aggregate import ALL_POINTS, Played, S, tame_frames

from penstock.historian.at import BAD, UNSURE, values_at
from penstock.historian.gaps import gaps_of
from penstock.historian.receipts import Receipts
from penstock.model import Frame
from penstock.model.time import MINUTE_NS
from penstock.testing import frame
from penstock.testing.disk import FakeDisk

steps = st.lists(st.one_of(tame_frames(), st.sampled_from(["flush", "compact"])), max_size=10)
moments = st.lists(
    st.integers(-80, 240).map(lambda n: BASE_NS + n * S // 4), min_size=1, max_size=12
)


@given(script=steps, times=moments, at=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_values_at_moments(script: list[Frame | str], times: list[int], at: int) -> None:
    played = Played(script)
    snapshot = played.pin().at_sequence(at)
    array = np.array(times, np.int64)

    for interpolation in ("previous", "stepped", "sloped"):
        for strict in (False, True):
            found = values_at(
                snapshot,
                ALL_POINTS,
                array,
                interpolation,  # type: ignore[arg-type]
                treats_uncertain_as_bad=strict,
            )
            for point in ALL_POINTS:
                rows = played.visible(point, at)
                for number, moment in enumerate(times):
                    expected = value_at(rows, moment, interpolation, GOOD if strict else 64)
                    mine = found[point]
                    is_there = bool(mine.is_there[number])
                    value = mine.value[number] if is_there else None
                    quality = int(mine.quality[number])
                    assert expected[1] == quality or expected[0] is None
                    assert expected[0] == value or np.isclose(expected[0], value)  # type: ignore[arg-type]


def value_at(
    rows: list[Row], moment: int, interpolation: str, used_from: int
) -> tuple[object, int]:
    before = [row for row in rows if row.time_ns <= moment]
    if interpolation == "previous":
        newest = before[-1] if before else None
        usable = newest is not None and newest.quality >= 64
        return (newest.value if usable else None), (newest.quality if newest else BAD)  # type: ignore[union-attr]
    used = [row for row in rows if row.quality >= used_from]
    earlier = [row for row in used if row.time_ns <= moment]
    later = [row for row in used if row.time_ns > moment]
    if not earlier:
        return None, BAD
    row = earlier[-1]
    if row.time_ns == moment:
        return row.value, row.quality
    is_sloped = interpolation == "sloped" and not isinstance(row.value, str)
    passed = before[-1] is not row
    if not later:
        return row.value, UNSURE
    following = later[0]
    is_sure = row.quality >= GOOD and not passed
    value: object = row.value
    if is_sloped:
        nearest = next(other for other in rows if other.time_ns > moment)
        is_sure = is_sure and following.quality >= GOOD and nearest is following
        share = (moment - row.time_ns) / (following.time_ns - row.time_ns)
        low, high = float(row.value), float(following.value)
        value = low + (high - low) * share
    return value, (GOOD if is_sure else UNSURE)


@given(script=steps, begin=st.integers(-20, 40), length=st.integers(1, 60), at=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_gaps_are_runs_of_one_cause(
    script: list[Frame | str], begin: int, length: int, at: int
) -> None:
    played = Played(script)
    snapshot = played.pin().at_sequence(at)
    from_ns, to_ns = BASE_NS + begin * S, BASE_NS + (begin + length) * S

    for point in POINTS["float"] + POINTS["text"]:
        rows = played.visible(point, at)
        expected = []
        for number, row in enumerate(rows):
            is_first = not number or rows[number - 1].quality != row.quality
            if row.quality < 64 and is_first:
                ends = [r.time_ns for r in rows[number:] if r.quality != row.quality]
                end = ends[0] if ends else None
                if row.time_ns < to_ns and (end is None or end > max(from_ns, row.time_ns)):
                    expected.append((max(row.time_ns, from_ns), end))

        found = gaps_of(snapshot, point, from_ns, to_ns, 100)

        behind = bool(rows) and rows[-1].time_ns >= to_ns
        cut = [(b, to_ns if (e is None and behind) or (e or 0) > to_ns else e) for b, e in expected]
        assert cut == [(gap.begin_ns, gap.end_ns) for gap in found]
        assert all(gap.is_open == (gap.end_ns is None) for gap in found)


def test_a_gap_as_it_was_known_does_not_end_with_a_sample_that_came_later() -> None:
    """A late good sample in the same chunk as one that was known makes the gap shorter today."""
    store = stored([(0, None, BAD_SAMPLE)], part=1)
    for second in (20, 10):
        store.append(frame(1, NOON_NS + second * S, [1.0]))
    store.flush()
    snapshot = store.pin([1])

    found = {
        at: gaps_of(snapshot.at_sequence(at), 1, NOON_NS, NOON_NS + 60 * S, 10) for at in (1, 2, 3)
    }

    ends = {at: [gap.end_ns for gap in gaps] for at, gaps in found.items()}
    assert {1: [None], 2: [NOON_NS + 20 * S], 3: [NOON_NS + 10 * S]} == ends


def test_receipts_say_what_had_come_in_to_the_minute() -> None:
    """One mark a minute; kept over a restart; what the log gives again is not doubled."""
    disk, folder = FakeDisk(), Path("/segments")
    disk.make_folder(folder)
    receipts = Receipts(disk, folder)
    for sequence in range(1, 601):
        receipts.note(sequence * S, sequence)
        if sequence in (200, 400):
            receipts.save()

    for store in (receipts, Receipts(disk, folder)):
        assert 0 == store.sequence_at(0)
        assert 1 == store.sequence_at(S)
        assert 61 == store.sequence_at(119 * S)
        assert 121 == store.sequence_at(121 * S)
    assert receipts.sequence_at(600 * S) is None
    again = Receipts(disk, folder)
    again.cut(150)
    again.note(170 * S, 170)
    assert 121 == again.sequence_at(169 * S)
    again.note(170 * S + MINUTE_NS, 171)
    assert 121 == again.sequence_at(229 * S)
    again.note(240 * S, 172)
    assert 171 == again.sequence_at(239 * S)


def test_a_clock_that_was_set_back_never_unreceives() -> None:
    disk, folder = FakeDisk(), Path("/segments")
    disk.make_folder(folder)
    receipts = Receipts(disk, folder)
    receipts.note(1_000 * S, 1)
    receipts.note(10 * S, 2)
    receipts.note(1_100 * S, 3)

    assert [0, 1, 1] == [receipts.sequence_at(n * S) for n in (999, 1_000, 1_099)]


def test_a_torn_mark_is_cut_off() -> None:
    disk, folder = FakeDisk(), Path("/segments")
    disk.make_folder(folder)
    receipts = Receipts(disk, folder)
    receipts.note(S, 1)
    receipts.save()
    file = disk.append_to(folder / "receipts")
    file.append([b"torn"])
    file.close()

    again = Receipts(disk, folder)
    again.note(100 * S, 2)
    again.save()

    third = Receipts(disk, folder)
    assert 1 == third.sequence_at(50 * S)
    third.note(200 * S, 3)
    assert 2 == third.sequence_at(150 * S)
