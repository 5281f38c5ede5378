"""Newest sample of every point, as columns indexed by handle; the live view reads it.

Newest means by the sample's own time, not by arrival: a backlog that is delivered
after an outage fills history and does not move the screen back. At equal times
the later arrival wins, unless it repeats what is there. A time from ahead counts as that
of its receipt (`ahead.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penstock.historian.ahead import latest_ns, ranked
from penstock.historian.columns import values_of
from penstock.model import Flag, Frame, Quality, TextColumn, ValueKind
from penstock.model.frame import FRAME_KINDS
from penstock.model.time import TIME_NS_MAX

if TYPE_CHECKING:
    import numpy.typing as npt

    from penstock.model.frame import Values

POINTS_MAX = 4_000_000
_CAPACITY_MIN = 1_024


@dataclass(frozen=True, slots=True)
class LastRows:
    """Newest samples of some handles in their order; `kind` 0 = the point has no sample yet.

    `bits` u64 are the bits of the float64 or int64; texts are in `text`, by place.
    """

    point: npt.NDArray[np.uint32]
    kind: npt.NDArray[np.uint8]
    time_ns: npt.NDArray[np.int64]
    bits: npt.NDArray[np.uint64]
    quality: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.uint8]
    sequence: npt.NDArray[np.uint64]
    text: dict[int, str]

    def __len__(self) -> int:
        return len(self.point)

    def value(self, row: int) -> float | int | str | None:
        """Value of one row; None without a sample, or without a value. For the edges (JSON)."""
        if self.flags[row] & Flag.NO_VALUE:
            return None
        kind = int(self.kind[row])
        if kind == ValueKind.TEXT:
            return self.text[row]
        if kind == ValueKind.INT:
            return int(self.bits[row : row + 1].view(np.int64)[0])
        return float(self.bits[row : row + 1].view(np.float64)[0]) if kind else None


class LastTable:
    """Arrays by handle that grow; written and read on the event loop only."""

    def __init__(self) -> None:
        self.kind = np.zeros(_CAPACITY_MIN, np.uint8)
        self.time_ns = np.full(_CAPACITY_MIN, np.iinfo(np.int64).min)
        self.bits = np.zeros(_CAPACITY_MIN, np.uint64)
        self.quality = np.zeros(_CAPACITY_MIN, np.uint8)
        self.flags = np.zeros(_CAPACITY_MIN, np.uint8)
        self.sequence = np.zeros(_CAPACITY_MIN, np.uint64)
        self.change = np.zeros(_CAPACITY_MIN, np.uint64)
        self.cursor = 0
        self.wrong_kind_rows_total = 0
        self._row = np.zeros(_CAPACITY_MIN, np.intp)
        self._text: dict[int, str] = {}

    def update(
        self,
        frame: Frame,
        sequence: int,
        kind: ValueKind | None = None,
        receive_ns: int = TIME_NS_MAX,
    ) -> None:
        """Take the frame's rows that are newer; each point that moved gets a new change number.

        `kind` is WAVEFORM for a float frame that holds one number of each Block. Without
        `receive_ns` every time is believed.
        """
        if not len(frame):
            return
        self._reserve(int(frame.point.max()))
        kind = kind or frame.kind
        time_ns = ranked(frame.time_ns, receive_ns)
        rows = self._winners(frame, time_ns, kind, latest_ns(receive_ns))
        if not len(rows):
            return
        point = frame.point[rows]
        self.cursor += 1
        self.time_ns[point] = time_ns[rows]
        self.quality[point] = frame.quality[rows]
        self.flags[point] = frame.flags[rows]
        self.sequence[point] = sequence
        self.kind[point] = kind
        self.change[point] = self.cursor
        if isinstance(frame.value, TextColumn):
            self._text.update(zip(point.tolist(), frame.value.take(rows).to_list(), strict=True))
        else:
            self.bits[point] = frame.value[rows].view(np.uint64)

    def withdraw(self, handles: npt.NDArray[np.uint32], from_ns: int, to_ns: int) -> None:
        """Newest samples within a span were deleted: the points have no value until the next.

        A sample from the future is known here by its receipt alone; its own time may lie in
        any span that goes on behind that, and what was deleted must not be seen as newest.
        """
        known = handles[handles < len(self.kind)]
        time_ns = self.time_ns[known]
        is_inside = (time_ns >= from_ns) & (time_ns < to_ns)
        is_inside |= (self.quality[known] == Quality.UNCERTAIN_SOURCE_TIME) & (time_ns < to_ns)
        gone = known[(self.kind[known] != 0) & is_inside]
        if not len(gone):
            return
        self.cursor += 1
        self.change[gone] = self.cursor
        is_int = self.kind[gone] == ValueKind.INT
        self.bits[gone] = np.where(is_int, np.uint64(0), np.float64(np.nan).view(np.uint64))
        self.quality[gone] = Quality.BAD_NOT_AVAILABLE
        self.flags[gone] |= np.uint8(Flag.NO_VALUE)
        for point in gone[self.kind[gone] == ValueKind.TEXT].tolist():
            self._text[point] = ""

    def rows(self, handles: npt.ArrayLike) -> LastRows:
        """Newest samples; a handle that was never seen has kind 0."""
        point = np.asarray(handles, np.uint32)
        at = np.where(point < len(self.kind), point, 0)
        kind = np.where(point < len(self.kind), self.kind[at], 0).astype(np.uint8)
        texts = np.flatnonzero(kind == ValueKind.TEXT).tolist()
        return LastRows(
            point,
            kind,
            self.time_ns[at],
            self.bits[at],
            self.quality[at],
            self.flags[at],
            self.sequence[at],
            {place: self._text[int(point[place])] for place in texts},
        )

    def frames(self, handles: npt.NDArray[np.uint32]) -> list[tuple[Frame, npt.NDArray[np.uint32]]]:
        """One Frame a value kind, and the places of its rows in `handles`.

        A waveform is among the floats: its live value is the RMS of its newest Block.
        """
        rows = self.rows(handles)
        kinds = np.where(rows.kind == ValueKind.WAVEFORM, np.uint8(ValueKind.FLOAT), rows.kind)
        return [
            (_frame(rows, kind, place), place.astype(np.uint32))
            for kind in FRAME_KINDS
            if len(place := np.flatnonzero(kinds == kind))
        ]

    def changed(self, handles: npt.NDArray[np.uint32], cursor: int) -> npt.NDArray[np.intp]:
        """Places in `handles` that moved after `cursor`: one gather a subscription and tick."""
        known = handles < len(self.change)
        return np.flatnonzero(known & (self.change[np.where(known, handles, 0)] > cursor))

    def all_rows(self) -> LastRows:
        """A copy of every newest sample, ordered by handle (for the manifest)."""
        return self.rows(np.flatnonzero(self.kind))

    def load(self, rows: LastRows) -> None:
        """Put back what `all_rows` gave; the table is empty."""
        assert self.cursor == 0
        if not len(rows):
            return
        self._reserve(int(rows.point.max()))
        for name in ("kind", "time_ns", "bits", "quality", "flags", "sequence"):
            getattr(self, name)[rows.point] = getattr(rows, name)
        self._text = {int(rows.point[place]): text for place, text in rows.text.items()}
        self.cursor = 1
        self.change[rows.point] = 1

    def _winners(
        self, frame: Frame, time_ns: npt.NDArray[np.int64], kind: ValueKind, latest: int
    ) -> npt.NDArray[np.intp]:
        """At most one row a point: the newest, the last of equals, if it says something new.

        What stands there behind `latest` was taken before times were doubted: it gives way.
        """
        point = frame.point
        known, before_ns = self.kind[point], self.time_ns[point]
        before_ns = np.where(before_ns > latest, np.iinfo(np.int64).min, before_ns)
        is_candidate = time_ns >= before_ns
        is_wrong = (known != kind) & (known != 0)
        if is_wrong.any():
            self.wrong_kind_rows_total += int(np.count_nonzero(is_wrong))
            is_candidate &= ~is_wrong
        rows = np.flatnonzero(is_candidate)
        if not self._is_unique(point):
            best = self._newest(point[rows], time_ns[rows])
            rows = rows[best == time_ns[rows]]
            self._row[point[rows]] = rows
            rows = rows[self._row[point[rows]] == rows]
        is_new = (time_ns[rows] > before_ns[rows]) | (known[rows] == 0)
        if not is_new.all():
            is_new |= self._differs(frame, rows)
            rows = rows[is_new]
        return rows

    def _is_unique(self, point: npt.NDArray[np.uint32]) -> bool:
        """Has each row a point of its own? The usual frame has one sample a point."""
        places = np.arange(len(point))
        self._row[point] = places
        return bool((self._row[point] == places).all())

    @staticmethod
    def _newest(
        point: npt.NDArray[np.uint32], time_ns: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Newest time of each row's point among these rows."""
        table = np.full(int(point.max(initial=0)) + 1, np.iinfo(np.int64).min)
        np.maximum.at(table, point, time_ns)
        newest: npt.NDArray[np.int64] = table[point]
        return newest

    def _differs(self, frame: Frame, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
        point = frame.point[rows]
        differs: npt.NDArray[np.bool_] = self.quality[point] != frame.quality[rows]
        value: Values = frame.value
        if not isinstance(value, TextColumn):
            differs |= self.bits[point] != value[rows].view(np.uint64)
            return differs
        pairs = zip(point.tolist(), value.take(rows).to_list(), strict=True)
        differs |= np.array([self._text.get(p) != text for p, text in pairs], bool)
        return differs

    def _reserve(self, handle: int) -> None:
        assert handle < POINTS_MAX, f"handle {handle} is beyond POINTS_MAX"
        if handle < len(self.kind):
            return
        size = max(2 * len(self.kind), handle + 1)
        for name in ("kind", "bits", "quality", "flags", "sequence", "change", "_row", "time_ns"):
            old = getattr(self, name)
            new = np.zeros(size, old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)
        self.time_ns[self.kind == 0] = np.iinfo(np.int64).min


def _frame(rows: LastRows, kind: ValueKind, place: npt.NDArray[np.intp]) -> Frame:
    value: Values
    if kind is ValueKind.TEXT:
        value = TextColumn.of(rows.text[at] for at in place.tolist())
    else:
        value = values_of(rows.bits[place], kind)
    return Frame(
        rows.point[place], rows.time_ns[place], value, rows.quality[place], rows.flags[place]
    )
