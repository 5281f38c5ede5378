"""Erasing takes exactly the rows that it names: of every answer, and brings them back on undo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from block_kit import T0, Store, burst, listed
from compacted import (
    ALL_POINTS,
    DAY_NS,
    FOLDER,
    HOUR_NS,
    LONG_AFTER,
    SPAN,
    Played,
    Rows,
    rows_of,
    steps,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import BASE_NS

from penstock.historian import Historian
from penstock.historian.compaction_plan import Unreadable
from penstock.historian.envelope import envelope, grid_of
from penstock.historian.erase import Erased, Erasure, Part, erase_once
from penstock.historian.manifest import Proposal
from penstock.historian.query import raw
from penstock.model import Frame
from penstock.testing import frame

ASIDE = Path("/withdrawn")
DAY = BASE_NS // DAY_NS * DAY_NS
EVERYTHING = 2**63


def part(handles: list[int], from_ns: int, to_ns: int) -> Part:
    return Part(np.array(sorted(handles), np.uint32), from_ns, to_ns)


def erase(played: Played, *parts: Part, until: int = EVERYTHING, is_strict: bool = True) -> Erased:
    """Proposed and committed; what goes is in ASIDE."""
    played.disk.make_folder(ASIDE)
    aside = ASIDE if is_strict else None
    done = erase_once(
        played.disk,
        FOLDER,
        played.historian.manifest,
        Erasure(parts, until, is_strict),
        lambda: False,
        aside,
    )
    played.historian.swap(done.proposal)
    return done


def undo(played: Played, done: Erased) -> None:
    for info in done.withdrawn:
        data = played.disk.read(ASIDE / info.name)
        played.disk.write_whole(FOLDER / info.name, [data])
    version = played.historian.manifest.version
    played.historian.swap(Proposal(version, (), tuple(done.withdrawn)))


def flip(played: Played, name: str, offset: int) -> None:
    data = bytearray(played.disk.read(FOLDER / name))
    data[offset] ^= 1
    played.disk.write_whole(FOLDER / name, [bytes(data)])
    played.historian = Historian.open(played.disk, FOLDER, played.settings)


def shown(played: Played) -> dict[int, Rows]:
    return {n: rows_of(raw(played.pin(), n, *SPAN, 10_000)[0]) for n in ALL_POINTS}


def without(rows: dict[int, Rows], gone: Part) -> dict[int, Rows]:
    def is_in(handle: int, row: tuple[object, ...]) -> bool:
        return handle in gone.handles and gone.from_ns <= int(str(row[0])) < gone.to_ns

    return {n: [row for row in found if not is_in(n, row)] for n, found in rows.items()}


@given(
    script=steps,
    handles=st.sets(st.sampled_from(ALL_POINTS), min_size=1),
    begin=st.integers(-60, 40),
    hours=st.integers(1, 60),
)
@settings(max_examples=50, deadline=None)
def test_a_deletion_takes_its_rows_and_no_other_and_undo_brings_them_back(
    script: list[Frame | str], handles: set[int], begin: int, hours: int
) -> None:
    """Late, corrected, repeated rows; raw and day files; int64 and text."""
    played = Played(script)
    played.flush()
    before, answers = shown(played), played.answers()
    gone = part([*handles], BASE_NS + begin * HOUR_NS, BASE_NS + (begin + hours) * HOUR_NS)

    done = erase(played, gone)

    assert without(before, gone) == shown(played)
    for found in played.historian.manifest.segments:
        assert found.name in played.files()
    reopened = Historian.open(played.disk, FOLDER, played.settings)
    assert reopened.manifest.segments == played.historian.manifest.segments

    undo(played, done)

    assert before == shown(played)
    assert answers == played.answers()
    played.compact_all()
    assert before == shown(played)


@given(script=steps, begin=st.integers(-60, 40), hours=st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_pens_and_counts_agree_with_what_is_left(
    script: list[Frame | str], begin: int, hours: int
) -> None:
    """Chunk tables are written anew with the rows: a pen that reads only tables sees no ghost."""
    played = Played(script)
    played.flush()
    played.compact_all()
    gone = part(ALL_POINTS, BASE_NS + begin * HOUR_NS, BASE_NS + (begin + hours) * HOUR_NS)
    erase(played, gone)
    left = Played()
    for item in played.frames:
        is_kept = (item.time_ns < gone.from_ns) | (item.time_ns >= gone.to_ns)
        left.play(item.take(np.flatnonzero(is_kept)))

    grid = grid_of(SPAN[0], SPAN[1], 60)
    for point in ALL_POINTS[:2]:
        expected, found = envelope(left.pin(), point, grid), envelope(played.pin(), point, grid)
        np.testing.assert_array_equal(expected.minimum, found.minimum)
        np.testing.assert_array_equal(expected.maximum, found.maximum)
        assert expected.rows == found.rows


def two_days() -> Played:
    """A dense point 1 and a rare point 2, two whole days each, in day files."""
    played = Played()
    for day in (0, 1):
        times = [DAY + day * DAY_NS + n * 60 * 10**9 for n in range(1_440)]
        rng = np.random.default_rng(day)
        for half in (times[:720], times[720:]):
            played.play(frame(1, half, list(rng.normal(size=720))))
            played.play(frame(2, half[::60], [1.0] * 12))
            played.play("flush")
    played.compact(LONG_AFTER)
    return played


def test_a_day_of_which_everything_has_expired_goes_as_a_file() -> None:
    played = two_days()
    files = played.files()

    done = erase(played, part([1, 2], 0, DAY + DAY_NS), is_strict=False)
    played.historian.forget_replaced()

    assert (1, 0) == (len(done.proposal.remove), len(done.proposal.add))
    assert len(played.files()) == 1 < len(files)
    assert [1_440 + 24] == done.rows


def test_a_mixed_day_is_written_again_without_what_has_expired() -> None:
    played = two_days()
    size = sum(info.file_bytes for info in played.historian.manifest.segments)

    done = erase(played, part([1], 0, DAY + DAY_NS), is_strict=False)

    left = sum(info.file_bytes for info in played.historian.manifest.segments)
    assert [1_440] == done.rows
    assert done.freed_bytes[0] * 0.8 < size - left < done.freed_bytes[0] * 1.3
    assert 1_440 + 48 == sum(len(rows) for rows in shown(played).values())


def test_what_frees_little_waits() -> None:
    played = two_days()

    done = erase(played, part([2], 0, DAY + DAY_NS), is_strict=False)

    assert ((), [0]) == (done.proposal.remove, done.rows)


def test_rows_that_came_after_a_deletion_stay() -> None:
    """It names log records: what is sent anew is new."""
    played = two_days()
    until = len(played.frames)
    played.play(frame(1, [DAY + 5], [42.0]))
    played.flush()

    erase(played, part([1], DAY, DAY + DAY_NS), until=until)

    assert [DAY + 5] == [row[0] for row in shown(played)[1] if int(str(row[0])) < DAY + DAY_NS]


def test_a_deletion_does_not_leave_a_damaged_chunk() -> None:
    played = two_days()
    info = played.historian.manifest.segments[0]
    flip(played, info.name, 200)

    erase(played, part([1], DAY, DAY + DAY_NS // 2))

    from_ns, to_ns = DAY, DAY + DAY_NS // 2
    assert [] == rows_of(raw(played.pin(), 1, from_ns, to_ns, 10)[0])


def test_a_deletion_refuses_a_file_that_it_cannot_read() -> None:
    """Half a deletion would be a promise that is not kept."""
    played = two_days()
    info = played.historian.manifest.segments[-1]
    flip(played, info.name, info.table_offset + 9)
    files = played.files()

    with pytest.raises(Unreadable):
        erase(played, part([1, 2], 0, DAY + 2 * DAY_NS))
    assert files == played.files()
    assert [] == played.disk.list(ASIDE)


def test_blocks_go_by_their_begin() -> None:
    store = Store()
    for point, at in ((1, 1_000), (1, 2_000), (1, 3_000), (2, 2_000)):
        store.take(burst([1, 2, 3], T0 + at, point=point))
    store.flush()
    store.disk.make_folder(ASIDE)
    erasure = Erasure((part([1], T0 + 2_000, T0 + 3_000),), EVERYTHING, is_strict=True)

    done = erase_once(store.disk, FOLDER, store.historian.manifest, erasure, lambda: False, ASIDE)
    store.historian.swap(done.proposal)

    assert [1_000, 3_000] == [at for at, _ in listed(store.pin(1))]
    assert [2_000] == [at for at, _ in listed(store.pin(2), 2)]
    assert 1 == len(done.withdrawn)


def test_parts_travel_over_the_link() -> None:
    sent = part([3, 70_000], -5, 2**61)

    found = Part.from_document(sent.to_document())

    assert (sent.handles.tolist(), sent.from_ns, sent.to_ns) == (
        found.handles.tolist(),
        found.from_ns,
        found.to_ns,
    )
