"""The historian in thirty lines of plain Python, to judge the real one by."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from penstock.model import Flag, Frame, TextColumn


@dataclass(frozen=True)
class Row:
    time_ns: int
    value: float | int | str
    quality: int
    flags: int
    sequence: int

    @property
    def key(self) -> tuple[int, object, int]:
        """What makes a sample: NaN and -0.0 by their bits."""
        value = np.float64(self.value).tobytes() if isinstance(self.value, float) else self.value
        return self.time_ns, value, self.quality


@dataclass
class Oracle:
    rows: dict[int, list[Row]] = field(default_factory=dict)

    def append(self, frame: Frame, sequence: int) -> None:
        values = frame.value.to_list() if isinstance(frame.value, TextColumn) else frame.value
        columns = zip(frame.point, frame.time_ns, values, frame.quality, frame.flags, strict=True)
        for point, time_ns, value, quality, flags in columns:
            plain = value.item() if isinstance(value, np.generic) else value
            row = Row(int(time_ns), plain, int(quality), int(flags), sequence)
            self.rows.setdefault(int(point), []).append(row)

    def visible(self, point: int) -> list[Row]:
        moments: dict[int, list[Row]] = {}
        seen: set[object] = set()
        for row in self.rows.get(point, []):
            moment = moments.setdefault(row.time_ns, [])
            if row.flags & Flag.CORRECTION:
                moment.clear()
            elif row.key in seen:
                continue
            seen.add(row.key)
            moment.append(row)
        return [row for time_ns in sorted(moments) for row in moments[time_ns]]

    def last(self, point: int) -> Row | None:
        newest: Row | None = None
        for row in self.rows.get(point, []):
            is_newer = newest is None or row.time_ns > newest.time_ns
            if is_newer or (row.time_ns == newest.time_ns and row.key != newest.key):
                newest = row
        return newest

    def gaps(self, point: int, from_ns: int, to_ns: int) -> list[tuple[int, int]]:
        found, begin = [], None
        for row in self.visible(point):
            if row.time_ns >= to_ns:
                break
            if row.quality < 64 and begin is None:
                begin = row.time_ns
            elif row.quality >= 64 and begin is not None:
                found.append((begin, row.time_ns))
                begin = None
        if begin is not None:
            found.append((begin, to_ns))
        cut = [(max(from_ns, b), min(to_ns, e)) for b, e in found]
        return [(b, e) for b, e in cut if b < e]
