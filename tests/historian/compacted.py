"""A historian that is played a script with compactions, and what every question answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import numpy as np
from hypothesis import strategies as st
from oracle import Oracle, Row
from strategies import BASE_NS, POINTS, frames

from penstock.historian import Historian, HistorianSettings, Snapshot
from penstock.historian.columns import Columns, merge
from penstock.historian.compaction import compact_once
from penstock.historian.encode import DecimalHints
from penstock.historian.manifest import Proposal
from penstock.model import Batch, Frame, Origin, TextColumn
from penstock.model.time import TIME_NS_MAX
from penstock.testing.disk import FakeDisk

FOLDER = Path("/segments")
ORIGIN = Origin(UUID(int=7), 0, 1)
ALL_POINTS = [point for points in POINTS.values() for point in points]
HOUR_NS = 3_600 * 10**9
DAY_NS = 24 * HOUR_NS
SPAN = (BASE_NS - 10 * DAY_NS, BASE_NS + 10 * DAY_NS)
LONG_AFTER = BASE_NS + 9 * DAY_NS
Rows = list[tuple[object, ...]]


@st.composite
def shifted(draw: st.DrawFn) -> Frame:
    """Frames of several days and hours, so that late ones meet files that are there."""
    frame = draw(frames())
    hours = st.sampled_from([0, 0, 0, 1, 5, 24, 25, -24, -48])
    moved = draw(st.lists(hours, min_size=len(frame), max_size=len(frame)))
    time_ns = frame.time_ns + np.array(moved, np.int64) * HOUR_NS
    return Frame(frame.point, time_ns, frame.value, frame.quality, frame.flags)


steps = st.lists(
    st.one_of(shifted(), shifted(), st.sampled_from(["flush", "compact", "compact early"])),
    max_size=14,
)


class Played:
    """A historian and an oracle that were given the same; `frames` by sequence, from 1."""

    def __init__(self, script: Sequence[Frame | str] = (), **settings: int) -> None:
        self.disk = FakeDisk()
        self.oracle = Oracle()
        self.frames: list[Frame] = []
        self.hints = DecimalHints()
        self.settings = HistorianSettings(compaction_segments_min=2, **settings)
        self.historian = Historian.open(self.disk, FOLDER, self.settings)
        for step in script:
            self.play(step)

    def play(self, step: Frame | str) -> None:
        if isinstance(step, Frame):
            self.frames.append(step)
            sequence = len(self.frames)
            self.oracle.append(step, sequence)
            self.historian.append(Batch(ORIGIN, sequence, (step,)), sequence, TIME_NS_MAX)
        elif step == "flush":
            self.flush()
        else:
            self.compact(LONG_AFTER if step == "compact" else BASE_NS + HOUR_NS)

    def flush(self) -> None:
        if self.historian.has_unwritten:
            self.historian.seal(incarnation=1)
            self.historian.adopt(self.historian.write())

    def proposal(self, now_ns: int = LONG_AFTER) -> Proposal | None:
        return compact_once(
            self.disk,
            FOLDER,
            self.historian.manifest,
            self.settings,
            self.hints,
            lambda _: None,
            lambda: False,
            now_ns=now_ns,
        )

    def compact(self, now_ns: int = LONG_AFTER) -> bool:
        proposal = self.proposal(now_ns)
        if proposal is not None:
            self.historian.swap(proposal)
        return proposal is not None

    def compact_all(self, now_ns: int = LONG_AFTER) -> None:
        for _ in range(20):
            if not self.compact(now_ns):
                return
        raise AssertionError("compaction finds no end")

    def pin(self) -> Snapshot:
        return self.historian.pin(ALL_POINTS)

    def answers(self) -> dict[tuple[int, int], Rows]:
        """Visible rows of each point as of each sequence."""
        snapshot = self.pin()
        return {
            (point, sequence): rows_of(rows_as_of(snapshot, point, sequence))
            for point in ALL_POINTS
            if snapshot.kind(point) is not None
            for sequence in range(1, len(self.frames) + 1)
        }

    def expected(self) -> dict[tuple[int, int], Rows]:
        """The same, from oracles that were told the frames up to that sequence."""
        found: dict[tuple[int, int], Rows] = {}
        oracle = Oracle()
        for sequence, frame in enumerate(self.frames, 1):
            oracle.append(frame, sequence)
            for point in self.oracle.rows:
                found[point, sequence] = expected_rows(oracle.visible(point))
        return found

    def files(self) -> list[str]:
        return [name for name in self.disk.list(FOLDER) if name.endswith(".seg")]

    def listed(self) -> list[str]:
        return sorted(info.name for info in self.historian.manifest.segments)


def rows_as_of(snapshot: Snapshot, point: int, sequence: int) -> Columns:
    """All that is stored of a point, judged as of a sequence."""
    pieces = sorted(snapshot.pieces(point, *SPAN), key=lambda piece: piece.order)
    found = [snapshot._load(piece) for piece in pieces]
    return merge([rows for rows in found if rows is not None], as_of=sequence)


def rows_of(columns: Columns) -> Rows:
    value = columns.value
    values = value.to_list() if isinstance(value, TextColumn) else value.tolist()
    keys = [np.float64(item).tobytes() if isinstance(item, float) else item for item in values]
    numbers = (columns.time_ns, columns.quality, columns.flags, columns.sequence)
    times, *others = (column.tolist() for column in numbers)
    return list(zip(times, keys, *others, strict=True))


def expected_rows(rows: list[Row]) -> Rows:
    return [(*row.key, row.flags, row.sequence) for row in rows]
