"""Samples from tomorrow: kept, doubted, and the newest only until the next one comes."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from penstock.historian import Historian, HistorianSettings
from penstock.historian.ahead import AHEAD_NS_MAX
from penstock.historian.last import LastTable
from penstock.historian.query import raw
from penstock.model import Batch, Block, Flag, Frame, Origin, Quality, TextColumn
from penstock.model.frame import Values
from penstock.model.time import DAY_NS
from penstock.testing import FakeDisk

NOW = 1_790_000_000_000_000_000
S = 1_000_000_000
YEARS = 10 * 365 * DAY_NS
ORIGIN = Origin(UUID(int=1), 1, 1)
POINT = 3
FOLDER = Path("/data/segments")


def frame(time_ns: int, value: Values, quality: int = Quality.GOOD) -> Frame:
    return Frame(
        np.array([POINT], np.uint32),
        np.array([time_ns]),
        value,
        np.array([quality], np.uint8),
        np.zeros(1, np.uint8),
    )


class Rig:
    def __init__(self) -> None:
        self.disk = FakeDisk()
        self.historian = Historian.open(self.disk, FOLDER, HistorianSettings())
        self.sequence = 0

    def take(self, item: Frame | Block, receive_ns: int) -> None:
        self.sequence += 1
        frames, blocks = ((item,), ()) if isinstance(item, Frame) else ((), (item,))
        batch = Batch(ORIGIN, self.sequence, frames, blocks)
        self.historian.append(batch, self.sequence, receive_ns)

    def newest(self) -> tuple[object, int, int]:
        rows = self.historian.last.rows([POINT])
        return rows.value(0), int(rows.time_ns[0]), int(rows.quality[0])


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        (np.array([11.0]), np.array([99.0]), 99.0),
        (np.array([11]), np.array([99]), 99),
        (TextColumn.of(["11"]), TextColumn.of(["99"]), "99"),
    ],
)
def test_the_next_sample_is_newer_than_one_from_tomorrow(
    first: Values, second: Values, shown: object
) -> None:
    rig = Rig()
    rig.take(frame(NOW + YEARS, first), NOW)
    assert rig.newest()[1:] == (NOW, Quality.UNCERTAIN_SOURCE_TIME)

    rig.take(frame(NOW + S, second), NOW + S)

    assert rig.newest() == (shown, NOW + S, Quality.GOOD)


def test_the_next_waveform_is_newer_than_one_from_tomorrow() -> None:
    rig = Rig()
    rig.take(Block(POINT, NOW + YEARS, 1e6, np.array([3.0, 3.0], np.float32)), NOW)
    assert rig.newest()[2] == Quality.UNCERTAIN_SOURCE_TIME

    rig.take(Block(POINT, NOW + S, 1e6, np.array([4.0, 4.0], np.float32)), NOW + S)

    assert rig.newest() == (4.0, NOW + S, Quality.GOOD)


def test_history_keeps_what_the_source_said_and_doubts_it() -> None:
    rig = Rig()
    rig.take(frame(NOW + YEARS, np.array([11.0])), NOW)
    rig.take(frame(NOW + YEARS + S, np.array([12.0]), Quality.BAD_SENSOR_FAILURE), NOW)

    rows, _ = raw(rig.historian.pin([POINT]), POINT, NOW, NOW + 2 * YEARS, 10)

    assert rows.time_ns.tolist() == [NOW + YEARS, NOW + YEARS + S]
    assert rows.quality.tolist() == [Quality.UNCERTAIN_SOURCE_TIME, Quality.BAD_SENSOR_FAILURE]


def test_a_clock_that_is_a_little_fast_is_believed() -> None:
    rig = Rig()

    rig.take(frame(NOW + AHEAD_NS_MAX, np.array([11.0])), NOW)

    assert rig.newest() == (11.0, NOW + AHEAD_NS_MAX, Quality.GOOD)


def test_a_backlog_does_not_move_the_screen_back() -> None:
    rig = Rig()
    rig.take(frame(NOW, np.array([11.0])), NOW)

    rig.take(frame(NOW - S, np.array([9.0])), NOW + S)

    assert rig.newest()[0] == 11.0


def test_a_home_whose_newest_sample_is_stuck_in_the_future_heals() -> None:
    """The manifest of an older version lists it as the newest for good."""
    table = LastTable()
    table.update(frame(NOW + YEARS, np.array([11.0])), 1)
    stuck = table.all_rows()
    healed = LastTable()
    healed.load(stuck)

    healed.update(frame(NOW, np.array([99.0])), 2, receive_ns=NOW)

    rows = healed.rows([POINT])
    assert (rows.value(0), int(rows.time_ns[0])) == (99.0, NOW)
    assert not rows.flags[0] & Flag.NO_VALUE


@pytest.mark.parametrize(
    ("from_ns", "to_ns", "is_seen"),
    [
        (NOW + YEARS - S, NOW + YEARS + S, False),
        (NOW - S, NOW + S, False),
        (NOW - 2 * S, NOW - S, True),
    ],
)
def test_a_deleted_sample_from_tomorrow_is_not_shown_as_the_newest(
    from_ns: int, to_ns: int, is_seen: bool
) -> None:
    """The table knows its receipt alone; the span of the deletion names its own time."""
    rig = Rig()
    rig.take(frame(NOW + YEARS, np.array([1.5])), NOW)

    rig.historian.last.withdraw(np.array([POINT], np.uint32), from_ns, to_ns)

    assert (1.5 if is_seen else None) == rig.newest()[0]
