"""Histories from short lists of samples, stored in whatever parts a test asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from strategies import frame_of

from penstock.historian import Historian, HistorianSettings, Snapshot
from penstock.historian.aggregate import Answer, Options, aggregate
from penstock.historian.intervals import Intervals, of_width
from penstock.model import Batch, Flag, Frame, Origin, Quality
from penstock.model.time import TIME_NS_MAX
from penstock.testing.disk import FakeDisk

S = 1_000_000_000
# 12:00:00 of some day: a multiple of every width that the examples of Part 13 use.
NOON_NS = 1_790_510_400 * S
ORIGIN = Origin(UUID(int=7), 0, 1)
GOOD, UNCERTAIN, BAD = int(Quality.GOOD), int(Quality.UNCERTAIN), int(Quality.BAD)
SUB_NORMAL, NO_DATA = int(Quality.UNCERTAIN_SUB_NORMAL), int(Quality.BAD_NOT_AVAILABLE)

Sample = tuple[float, object, int]


def clock(text: str) -> float:
    """Seconds after noon of "12:01:30" or "1:30"."""
    minutes, seconds = text.removeprefix("12:").split(":")
    return int(minutes) * 60 + float(seconds)


@dataclass
class Store:
    """A historian on a fake disk that takes frames one log record each."""

    historian: Historian = field(
        default_factory=lambda: Historian.open(FakeDisk(), Path("/segments"), HistorianSettings())
    )
    sequence: int = 0

    def append(self, frame: Frame) -> None:
        self.sequence += 1
        batch = Batch(ORIGIN, self.sequence, (frame,))
        self.historian.append(batch, self.sequence, TIME_NS_MAX)

    def flush(self) -> None:
        if self.historian.has_unwritten:
            self.historian.seal(1)
            self.historian.adopt(self.historian.write())

    def pin(self, points: Sequence[int]) -> Snapshot:
        return self.historian.pin(points)


def stored(
    samples: Sequence[Sample], kind: str = "float", *, point: int = 1, part: int = 0
) -> Store:
    """Samples (seconds after noon, value, quality) of one point, flushed every `part` rows."""
    store = Store()
    for begin in range(0, len(samples), part or len(samples)):
        rows = samples[begin : begin + (part or len(samples))]
        empty = {"float": float("nan"), "int": 0, "text": ""}[kind]
        frame = [
            (
                point,
                NOON_NS + round(second * S),
                empty if value is None else value,
                quality,
                Flag.NO_VALUE if value is None else 0,
            )
            for second, value, quality in rows
        ]
        store.append(frame_of(kind, frame))
        if part:
            store.flush()
    return store


def every(width_s: float, begin_s: float = 0, end_s: float = 100) -> Intervals:
    return of_width(NOON_NS + round(begin_s * S), NOON_NS + round(end_s * S), round(width_s * S))


def answer(
    store: Store, intervals: Intervals, *names: str, point: int = 1, options: Options | None = None
) -> Answer:
    return aggregate(store.pin([point]), [point], intervals, names, options or Options())[0]
