"""Laws of the history that hold for any input: order, repetition and lateness change nothing.

The same rows reach the history in every way there is: through the head, a flush, a
compaction; what is compared is the answer, row by row, to the bit.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from uuid import UUID

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sim_check import answer
from sim_oracle import Row
from sim_plant import BY_KIND, Source

from penstock.historian import Historian, HistorianSettings
from penstock.historian.compaction import compact_once
from penstock.historian.encode import DecimalHints
from penstock.model import Batch, Flag, Frame, Origin
from penstock.model.time import TIME_NS_MAX
from penstock.testing.disk import FakeDisk

SEGMENTS = Path("/data/segments")
ORIGIN = Origin(UUID(int=7), 1, 1)
HANDLES = sorted(handle for handles in BY_KIND.values() for handle in handles)
DAY_NS = 86_400_000_000_000
LATER_NS = 1_790_000_000_000_000_000 + 30 * DAY_NS
SETTINGS = HistorianSettings(compaction_segments_min=2)
seeds = st.integers(0, 2**32)


def frames_of(seed: int, count: int = 12, *, corrections: bool = True) -> list[Frame]:
    source = Source(random.Random(seed))
    found = [frame for _ in range(count) for frame in source.frames()]
    if corrections:
        return found
    return [replaced(frame, frame.flags & np.uint8(~Flag.CORRECTION & 0xFF)) for frame in found]


def replaced(frame: Frame, flags: np.ndarray) -> Frame:  # type: ignore[type-arg]
    return Frame(frame.point, frame.time_ns, frame.value, frame.quality, flags)


class History:
    """A historian that is flushed and compacted wherever `chance` says so."""

    def __init__(self, chance: random.Random | None = None) -> None:
        self.historian = Historian.open(FakeDisk(), SEGMENTS, SETTINGS)
        self.historian.resume(0)
        self._chance = chance
        self.sequence = 0

    def take(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            self.sequence += 1
            self.historian.append(
                Batch(ORIGIN, self.sequence, (frame,)), self.sequence, TIME_NS_MAX
            )
            if self._chance is not None and self._chance.random() < 0.3:
                self.flush()
            if self._chance is not None and self._chance.random() < 0.15:
                self.compact()

    def flush(self) -> None:
        self.historian.seal(1)
        self.historian.adopt(self.historian.write())

    def compact(self) -> None:
        historian = self.historian
        proposal = compact_once(
            historian._disk,
            SEGMENTS,
            historian.manifest,
            SETTINGS,
            DecimalHints(),
            lambda _: None,
            lambda: False,
            now_ns=LATER_NS,
        )
        if proposal is not None:
            historian.swap(proposal)

    def answers(self, as_of: int | None = None) -> dict[int, list[Row]]:
        snapshot = self.historian.pin(HANDLES)
        seen = snapshot if as_of is None else snapshot.at_sequence(as_of)
        return {handle: answer(seen, handle) for handle in HANDLES}

    def last(self) -> list[object]:
        rows = self.historian.last.rows(np.array(HANDLES, np.uint32))
        return [
            (kind, time_ns, quality, rows.value(place))
            for place, (kind, time_ns, quality) in enumerate(
                zip(rows.kind.tolist(), rows.time_ns.tolist(), rows.quality.tolist(), strict=True)
            )
        ]


def samples(answers: dict[int, list[Row]]) -> dict[int, list[tuple[int, object, int]]]:
    """What was measured, without the sequence in which it came."""
    return {
        h: [(row.time_ns, row.bits, row.quality) for row in rows] for h, rows in answers.items()
    }


def by_moment(answers: dict[int, list[Row]]) -> dict[int, list[tuple[int, Counter[object]]]]:
    """Moments in order, each with how often it shows a value and its quality.

    Different values of one moment are kept in the order in which they came, so which of
    them is first may differ between two histories; how many there are may not. Every
    answer is in order of time, and within a moment of arrival.
    """
    found: dict[int, list[tuple[int, Counter[object]]]] = {}
    for handle, rows in answers.items():
        arrival = [(row.time_ns, row.sequence) for row in rows]
        assert sorted(arrival) == arrival
        found[handle] = [
            (time_ns, Counter((row.bits, row.quality) for row in moment))
            for time_ns, moment in groupby(rows, lambda row: row.time_ns)
        ]
    return found


@settings(max_examples=20, deadline=None)
@given(seeds, seeds)
def test_flushes_and_compactions_change_no_answer(seed: int, other: int) -> None:
    frames = frames_of(seed)
    head, disk = History(), History(random.Random(other))
    head.take(frames)
    disk.take(frames)

    assert head.answers() == disk.answers()
    assert repr(head.last()) == repr(disk.last())


@settings(max_examples=20, deadline=None)
@given(seeds, seeds)
def test_a_replay_of_any_part_changes_no_row(seed: int, other: int) -> None:
    """Whoever sends again what was sent, in whatever order, adds nothing and undoes nothing."""
    frames, chance = frames_of(seed, corrections=False), random.Random(other)
    history = History(chance)
    history.take(frames)
    before = history.answers()

    history.take(chance.sample(frames, len(frames)))
    history.take(frames)

    assert before == history.answers()


@settings(max_examples=15, deadline=None)
@given(seeds, seeds)
def test_a_replay_of_corrections_in_their_order_changes_no_value(seed: int, other: int) -> None:
    """The last correction of a moment is the last one again."""
    plain = frames_of(seed, corrections=False)
    frames = [replaced(frame, frame.flags | np.uint8(Flag.CORRECTION)) for frame in plain]
    history = History(random.Random(other))
    history.take(plain)
    history.take(frames)
    before = history.answers()

    history.take(plain)
    history.take(frames)

    assert samples(before) == samples(history.answers())


@settings(max_examples=20, deadline=None)
@given(seeds, seeds)
def test_shuffled_rows_are_sorted_rows(seed: int, other: int) -> None:
    """Without corrections the order of arrival decides nothing but the order within a moment."""
    frames, chance = frames_of(seed, corrections=False), random.Random(other)
    ordered, shuffled = History(), History(chance)
    ordered.take([frame.take(np.argsort(frame.time_ns, kind="stable")) for frame in frames])
    shuffled.take(
        [
            frame.take(np.array(chance.sample(range(len(frame)), len(frame)), np.intp))
            for frame in chance.sample(frames, len(frames))
        ]
    )

    assert by_moment(ordered.answers()) == by_moment(shuffled.answers())


@settings(max_examples=15, deadline=None)
@given(seeds, seeds)
def test_late_data_ends_as_if_it_had_been_in_time(seed: int, other: int) -> None:
    """A backlog behind live data, with flushes in between, or everything in its order."""
    frames, chance = frames_of(seed, corrections=False), random.Random(other)
    at = chance.randint(0, len(frames))
    in_time, late = History(chance), History(chance)
    in_time.take(frames)
    late.take(frames[at:])
    late.flush()
    late.take(frames[:at])

    assert by_moment(in_time.answers()) == by_moment(late.answers())


@settings(max_examples=20, deadline=None)
@given(seeds, seeds)
def test_as_of_a_moment_nothing_that_comes_later_counts(seed: int, other: int) -> None:
    """Late rows, corrections, flushes and compactions leave every earlier answer as it was."""
    chance = random.Random(other)
    history = History(chance)
    earlier: list[tuple[int, dict[int, list[Row]]]] = []
    for frame in frames_of(seed):
        history.take([frame])
        if chance.random() < 0.3:
            earlier.append((history.sequence, history.answers()))
    history.flush()
    history.compact()

    for sequence, answers in earlier:
        assert answers == history.answers(as_of=sequence)
