"""Swap and hold: what a compaction may replace, and when the replaced files go."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from penstock.historian import Historian, HistorianSettings
from penstock.historian.manifest import Proposal
from penstock.historian.query import raw
from penstock.historian.segment import SegmentInfo
from penstock.model import Batch, Origin, Refused
from penstock.model.time import TIME_NS_MAX
from penstock.testing import frame
from penstock.testing.disk import FakeDisk

FOLDER = Path("/segments")
ORIGIN = Origin(UUID(int=7), 0, 1)
T0 = 1_790_000_000_000_000_000
S = 1_000_000_000


class Plant:
    """A historian with one flushed segment a batch; `copied` stands in for a compaction."""

    def __init__(self, segments: int = 2) -> None:
        self.disk = FakeDisk()
        self.historian = Historian.open(self.disk, FOLDER, HistorianSettings())
        self.rows = 0
        for _ in range(segments):
            self.append()
            self.flush()

    def append(self) -> None:
        self.rows += 1
        samples = frame(1, [T0 + self.rows * S], [float(self.rows)])
        self.historian.append(Batch(ORIGIN, self.rows, (samples,)), self.rows, TIME_NS_MAX)

    def flush(self) -> None:
        self.historian.seal(incarnation=1)
        self.historian.adopt(self.historian.write())

    def copied(self, info: SegmentInfo) -> SegmentInfo:
        """The same bytes under the name of the next generation."""
        new = replace(info, generation=info.generation + 1)
        self.disk.write_whole(FOLDER / new.name, [self.disk.read(FOLDER / info.name)])
        return new

    def proposal(self) -> Proposal:
        """Replace the first segment."""
        manifest = self.historian.manifest
        old = manifest.segments[0]
        return Proposal(manifest.version, (old.name,), (self.copied(old),))

    def values(self) -> list[float]:
        rows, _ = raw(self.historian.pin([1]), 1, T0, T0 + 10**15, 1_000)
        return [float(value) for value in rows.value]  # type: ignore[union-attr]

    def files(self) -> list[str]:
        return [name for name in self.disk.list(FOLDER) if name.endswith(".seg")]

    def listed(self) -> list[str]:
        return sorted(info.name for info in self.historian.manifest.segments)


def test_a_swap_is_seen_by_queries_and_by_the_next_start() -> None:
    plant = Plant()
    proposal = plant.proposal()
    position = plant.historian.position

    plant.historian.swap(Proposal.from_document(proposal.to_document()))

    assert [1.0, 2.0] == plant.values()
    assert proposal.add[0] == plant.historian.manifest.segments[0]
    assert position == plant.historian.position
    again = Historian.open(plant.disk, FOLDER, HistorianSettings())
    assert again.manifest.segments == plant.historian.manifest.segments


def test_a_replaced_file_stays_for_whoever_began_before() -> None:
    plant = Plant()
    snapshot = plant.historian.pin([1])
    proposal = plant.proposal()

    plant.historian.swap(proposal)

    assert 2 == len(raw(snapshot, 1, T0, T0 + 10**15, 100)[0])
    plant.historian.forget_replaced()
    assert proposal.remove[0] in plant.files()
    assert 1 == plant.historian.statistics()["segments_replaced"]
    del snapshot
    gc.collect()
    plant.historian.remove_replaced()
    assert plant.listed() == plant.files()


def test_a_hold_keeps_its_files_until_it_is_released() -> None:
    plant = Plant()
    proposal = plant.proposal()
    first, other = plant.historian.hold(proposal.remove), plant.historian.hold(proposal.remove)
    plant.historian.swap(proposal)
    plant.historian.forget_replaced()

    for hold in (first, first, other):
        assert proposal.remove[0] in plant.files()
        hold.release()
        plant.historian.remove_replaced()

    assert proposal.remove[0] not in plant.files()
    with pytest.raises(KeyError):
        plant.historian.hold(proposal.remove)


def test_replaced_files_stay_while_the_manifest_before_lists_them() -> None:
    """It counts when the newest is damaged, so it must stay whole."""
    plant = Plant()
    proposal = plant.proposal()
    plant.historian.swap(proposal)
    assert proposal.remove[0] in plant.files()
    Historian.open(plant.disk, FOLDER, HistorianSettings())
    assert proposal.remove[0] in plant.files()

    plant.historian.forget_replaced()

    assert plant.listed() == plant.files()


def test_held_files_of_a_crash_are_removed_at_the_next_start() -> None:
    plant = Plant()
    hold = plant.historian.hold(plant.listed())
    plant.historian.swap(plant.proposal())
    plant.historian.forget_replaced()

    again = Historian.open(plant.disk, FOLDER, HistorianSettings())

    assert sorted(info.name for info in again.manifest.segments) == plant.files()
    hold.release()


def test_a_proposal_of_an_older_state_is_refused_and_its_files_are_removed() -> None:
    """Two compactions of the same file: the second one that comes loses."""
    plant = Plant()
    old = plant.historian.manifest.segments[0]
    late = replace(old, generation=7)
    plant.disk.write_whole(FOLDER / late.name, [plant.disk.read(FOLDER / old.name)])
    plant.historian.swap(plant.proposal())
    before = plant.historian.manifest

    with pytest.raises(Refused, match="not listed any more"):
        plant.historian.swap(Proposal(1, (old.name,), (late,)))

    assert before == plant.historian.manifest
    plant.historian.forget_replaced()
    assert plant.listed() == plant.files()


@pytest.mark.parametrize("kept", [0, 100, -1])
def test_a_new_file_that_is_not_whole_is_refused(kept: int) -> None:
    plant = Plant()
    proposal = plant.proposal()
    path = FOLDER / proposal.add[0].name
    data = plant.disk.read(path)
    plant.disk.write_whole(path, [data[:kept]])

    with pytest.raises(Refused, match="not whole"):
        plant.historian.swap(proposal)

    assert [1.0, 2.0] == plant.values()
    assert plant.listed() == plant.files()


def test_a_swap_between_a_flush_and_its_adoption_loses_neither() -> None:
    plant = Plant()
    plant.append()
    plant.historian.seal(incarnation=1)
    flushed = plant.historian.write()
    plant.historian.swap(plant.proposal())
    assert [1.0, 2.0, 3.0] == plant.values()

    plant.historian.adopt(flushed)

    assert [1.0, 2.0, 3.0] == plant.values()
    assert 3 == len(plant.listed())
    plant.historian.forget_replaced()
    assert plant.listed() == plant.files()


def test_a_flush_that_began_before_a_swap_keeps_it() -> None:
    """Both change the newest manifest, not the one they began with."""
    plant = Plant()
    plant.append()
    plant.historian.seal(incarnation=1)
    plant.historian.swap(plant.proposal())

    plant.historian.adopt(plant.historian.write())

    assert [1.0, 2.0, 3.0] == plant.values()
    assert 1 == plant.historian.manifest.segments[0].generation


def test_a_file_that_cannot_be_removed_is_tried_again() -> None:
    plant = Plant()
    proposal = plant.proposal()
    hold = plant.historian.hold(proposal.remove)
    plant.historian.swap(proposal)
    plant.historian.forget_replaced()
    hold.release()
    plant.disk.fail_at(1, OSError("input/output error"))

    plant.historian.remove_replaced()
    assert proposal.remove[0] in plant.files()
    plant.historian.remove_replaced()

    assert plant.listed() == plant.files()
