"""Aggregates of OPC UA Part 13 one region at a time in plain Python, to judge the fast ones by."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from itertools import pairwise

from oracle import Row

GOOD, UNCERTAIN = 192, 64


@dataclass(frozen=True)
class Region:
    """A piece of an interval: `value` is its mean, None if it has none."""

    begin: int
    end: int
    start: object
    value: float | None
    status: str
    held: str


@dataclass(frozen=True)
class Brute:
    """`rows` are the visible rows of a point in order."""

    rows: list[Row]
    begin: int
    end: int
    is_sloped: bool
    used_from: int

    @property
    def inside(self) -> list[Row]:
        return [row for row in self.rows if self.begin <= row.time_ns < self.end]

    @property
    def used(self) -> list[Row]:
        return [row for row in self.inside if row.quality >= self.used_from]

    @property
    def has_data(self) -> bool:
        return bool(self.rows) and self.rows[0].time_ns < self.end and not self.is_behind

    @property
    def is_behind(self) -> bool:
        return self.rows[-1].time_ns < self.begin

    def regions(self) -> list[Region]:
        found = []
        times = {self.begin, self.end, *(row.time_ns for row in self.inside)}
        if self.rows and self.begin < self.rows[-1].time_ns + 1 < self.end:
            times.add(self.rows[-1].time_ns + 1)
        for begin, end in pairwise(sorted(times)):
            before = [row for row in self.rows if row.time_ns <= begin]
            behind = [row for row in self.rows if row.time_ns >= end]
            is_data = before and (behind or begin == before[-1].time_ns)
            if is_data:
                found.append(self._region(begin, end, before[-1], behind[0] if behind else None))
        return found

    def _region(self, begin: int, end: int, row: Row, following: Row | None) -> Region:
        ill = self.is_sloped and following is not None and following.quality < GOOD
        status = held = _grade(row.quality)
        if status == "good" and ill:
            status = "uncertain"
            held = "good" if begin == row.time_ns else "uncertain"
        value = None
        if row.quality >= self.used_from and not isinstance(row.value, str):
            value = float(row.value)
            if (
                self.is_sloped
                and following is not None
                and following.quality >= self.used_from
                and not isinstance(following.value, str)
            ):
                middle = (begin - row.time_ns) + (end - begin) / 2
                share = middle / (following.time_ns - row.time_ns)
                value += (float(following.value) - value) * share
        start = row.value if row.quality >= self.used_from else None
        return Region(begin, end, start, value, status, held)

    def length(self, **wanted: str) -> int:
        return sum(
            region.end - region.begin
            for region in self.regions()
            if all(getattr(region, name) == grade for name, grade in wanted.items())
        )

    def total(self) -> float | None:
        known = [region for region in self.regions() if region.value is not None]
        if not known:
            return None
        return math.fsum(r.value * ((r.end - r.begin) * 1e-9) for r in known)  # type: ignore[operator]

    def valued_ns(self) -> int:
        return sum(r.end - r.begin for r in self.regions() if r.start is not None)

    def in_state(self, state: object) -> int:
        return sum(
            r.end - r.begin for r in self.regions() if r.start is not None and r.start == state
        )

    def transitions(self) -> int:
        used = [row for row in self.rows if row.quality >= self.used_from]
        values: list[object] = [object(), *(row.value for row in used)]
        return sum(
            self.begin <= row.time_ns < self.end and before != row.value
            for before, row in zip(values, used, strict=False)
        )

    def numbers(self) -> list[float]:
        return [float(row.value) for row in self.used]

    def mean(self) -> float:
        return statistics.fmean(self.numbers())

    def variance(self) -> float:
        numbers = self.numbers()
        if len(numbers) < 2:
            return 0.0
        return math.fsum((x - self.mean()) ** 2 for x in numbers) / (len(numbers) - 1)


def _grade(quality: int) -> str:
    return "good" if quality >= GOOD else "uncertain" if quality >= UNCERTAIN else "bad"
