"""Gathering: the samples of many points in a span, added up by interval.

Chunks that lie whole in an interval come by their headers, other good ones are decoded
and cut into pieces, the rest is read row by row; some 128 Ki rows at a time, so that
neither the span nor the number of points is a matter of memory. The answer does not
depend on how the rows lie in chunks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penstock.historian.cells import Cells, Extreme
from penstock.historian.items import GOOD, Codes, Items, batches, merged, of_chunks, of_rows
from penstock.historian.layout import Layout, chunks_of, may_hold_any
from penstock.historian.pieces import Wanted, can_be_cut, pieces
from penstock.historian.regions import Gaps, Regions, States, Tails
from penstock.model import Flag, TextColumn, ValueKind
from penstock.model.time import TIME_NS_MAX, TIME_NS_MIN

if TYPE_CHECKING:
    import numpy.typing as npt

    from penstock.historian.columns import Columns
    from penstock.historian.intervals import Intervals
    from penstock.historian.query import Snapshot

ROWS_AT_ONCE = 131_072


@dataclass(frozen=True, slots=True)
class Needs:
    """What is to be added up: each is a part of the cost.

    `times` are the moments of minimum and maximum, `regions` everything weighted with time,
    `states` transitions and time in state, `spread` the sum of squared distances from the
    mean. `used_from` is the lowest quality that counts.
    """

    used_from: int
    is_sloped: bool = False
    times: bool = False
    regions: bool = False
    states: bool = False
    spread: bool = True


@dataclass(frozen=True, slots=True)
class Gathered:
    """Cells of all places (place x intervals), and where the data of each place lies.

    `first_ns` is the oldest sample of a place that has none before the span, else the
    begin of int64; `end_ns` its newest sample anywhere; both i64[places]. A place
    without a sample at all has `end_ns` < `first_ns`.
    """

    cells: Cells
    states: States
    codes: Codes
    first_ns: npt.NDArray[np.int64]
    end_ns: npt.NDArray[np.int64]
    hold_until_ns: int | None


def gather(
    snapshot: Snapshot,
    handles: npt.NDArray[np.uint32],
    kind: ValueKind,
    intervals: Intervals,
    needs: Needs,
    hold_until_ns: int | None = None,
) -> Gathered:
    """Add up the samples of points of one kind; `handles` are sorted and unique.

    A value ends with the newest sample of its point, or holds until `hold_until_ns`.
    """
    return _Gathering(snapshot, handles, kind, intervals, needs).run(hold_until_ns)


class _Gathering:
    def __init__(
        self,
        snapshot: Snapshot,
        handles: npt.NDArray[np.uint32],
        kind: ValueKind,
        intervals: Intervals,
        needs: Needs,
    ) -> None:
        assert len(handles)
        dtype = np.dtype(np.float64 if kind is ValueKind.FLOAT else np.int64)
        self._snapshot, self._handles, self._kind = snapshot, handles, kind
        self._intervals, self._needs = intervals, needs
        self._cells = Cells(len(handles) * len(intervals), dtype)
        self._states = States(len(handles) * len(intervals))
        self._codes = Codes()
        self._tails = Tails(len(handles), dtype)
        self._regions = Regions(intervals, needs.is_sloped, needs.used_from)
        self._layout = Layout(snapshot, handles, kind, intervals.begin_ns, intervals.end_ns)
        self._is_timed = needs.regions or needs.states
        self._can_be_cut = can_be_cut(self._layout, snapshot.as_of)
        self._wanted = Wanted(needs.regions, needs.is_sloped, needs.spread)

    def run(self, hold_until_ns: int | None) -> Gathered:
        end_ns = self._ends()
        first_ns = self._begin()
        is_clean = self._clean()
        layout = self._layout
        for part in batches(~is_clean, layout.column("rows"), layout.group, ROWS_AT_ONCE):
            items = self._items(part, is_clean)
            if len(items):
                np.minimum.at(first_ns, items.place, items.first_ns)
                self._add(items)
        if self._is_timed:
            self._finish(end_ns, hold_until_ns)
        if self._needs.times:
            self._find_times(self._cells.minimum)
            self._find_times(self._cells.maximum)
        return Gathered(self._cells, self._states, self._codes, first_ns, end_ns, hold_until_ns)

    # --- the samples before the span, and the newest of all

    def _ends(self) -> npt.NDArray[np.int64]:
        snapshot = self._snapshot
        last = snapshot.last
        at = np.searchsorted(last.point, self._handles)
        end_ns = np.where(last.kind[at] == self._kind, last.time_ns[at], TIME_NS_MIN)
        is_other = (last.flags[at] & Flag.TRANSIENT) != 0
        if snapshot.as_of is not None:
            is_other |= last.sequence[at] > np.uint64(snapshot.as_of)
        for place in np.flatnonzero(is_other).tolist():
            newest = snapshot.newest_before(int(self._handles[place]), TIME_NS_MAX)
            end_ns[place] = newest.time_ns[0] if len(newest) else TIME_NS_MIN
        return end_ns

    def _begin(self) -> npt.NDArray[np.int64]:
        """Begin of int64 for places with a sample before the span, its end for the others."""
        if not self._is_timed:
            is_there = has_rows_before(
                self._snapshot, self._handles, self._kind, self._intervals.begin_ns
            )
            return np.where(is_there, TIME_NS_MIN, TIME_NS_MAX)
        tails = self._tails
        for place, handle in enumerate(self._handles.tolist()):
            newest = self._snapshot.newest_before(handle, self._intervals.begin_ns)
            if not len(newest):
                continue
            tails.is_there[place] = True
            tails.time_ns[place] = newest.time_ns[0]
            tails.value[place] = self._value(newest)
            tails.quality[place] = newest.quality[0]
            if self._needs.states:
                self._begin_states(place, handle, newest)
        return np.where(tails.is_there, TIME_NS_MIN, TIME_NS_MAX)

    def _begin_states(self, place: int, handle: int, newest: Columns) -> None:
        """The value that the first transition is judged against."""
        lowest = self._needs.used_from
        if int(newest.quality[0]) < lowest:
            newest = self._snapshot.newest_used_before(handle, self._intervals.begin_ns, lowest)
        if len(newest):
            self._tails.is_used[place] = True
            self._tails.used_value[place] = self._value(newest)

    def _value(self, row: Columns) -> float | int:
        if isinstance(row.value, TextColumn):
            return int(self._codes.of(row.value)[0])
        return row.value[0].item()  # type: ignore[no-any-return]

    # --- chunks and rows

    def _clean(self) -> npt.NDArray[np.bool_]:
        """Entries whose header says all: alone, good, and in one interval."""
        layout, needs = self._layout, self._needs
        is_held = self._kind is not ValueKind.TEXT and not (needs.regions and needs.is_sloped)
        if not is_held:
            return np.zeros(len(layout), bool)
        edges = self._intervals
        first, last = edges.of(layout.first_ns), edges.of(layout.last_ns)
        is_clean: npt.NDArray[np.bool_] = self._can_be_cut & (first == last)
        is_clean &= (first >= 0) & (first < len(edges))
        if needs.states:
            is_clean &= layout.column("minimum") == layout.column("maximum")
        return is_clean

    def _items(self, part: slice, is_clean: npt.NDArray[np.bool_]) -> Items:
        entries = np.arange(part.start, part.stop)
        whole = entries[is_clean[part]]
        rest = entries[~is_clean[part]]
        items = of_chunks(self._layout, whole, self._kind)
        if not (self._needs.times or self._needs.states):
            is_cut = self._can_be_cut[rest]
            cut, odd = pieces(self._layout, rest[is_cut], self._intervals, self._wanted)
            items = merged(items, cut)
            rest = np.sort(np.concatenate([rest[~is_cut], odd]))
        return merged(items, self._of_rows(rest)) if len(rest) else items

    def _of_rows(self, entries: npt.NDArray[np.intp]) -> Items:
        return of_rows(self._layout.read(entries), self._codes, self._needs.used_from)

    def _add(self, items: Items) -> None:
        cells = self._cells
        key = items.place * len(self._intervals) + self._intervals.of(items.first_ns)
        if self._is_timed:
            gaps = self._tails.follow(items)
            self._regions.add(gaps, cells, self._wanted_states)
            self._add_inner(items, key)
        if self._needs.states:
            changed = self._tails.transitions(items)
            np.add.at(cells.transitions, key[changed], 1)
        cells.add(items, key)

    @property
    def _wanted_states(self) -> States | None:
        return self._states if self._needs.states else None

    def _add_inner(self, items: Items, key: npt.NDArray[np.int64]) -> None:
        """The time between the rows of chunks that came by their header."""
        some = np.flatnonzero(items.entry >= 0)
        if not len(some):
            return
        key, inner_ns = key[some], items.inner_ns[some]
        np.add.at(self._cells.integral, key, items.integral[some])
        for name in ("valued_ns", "good_ns", "held_good_ns"):
            np.add.at(getattr(self._cells, name), key, inner_ns)
        if self._needs.states:
            self._states.add(key, items.first_value[some], inner_ns, self._cells)

    # --- the end

    def _finish(self, end_ns: npt.NDArray[np.int64], hold_until_ns: int | None) -> None:
        """The region behind the newest sample in the span."""
        tails, edge = self._tails, self._intervals.end_ns
        places = np.flatnonzero(tails.is_there)
        has_next = end_ns[places] >= edge
        to_ns = tails.time_ns[places] + 1
        if hold_until_ns is not None:
            to_ns = np.maximum(to_ns, hold_until_ns)
        to_ns = np.where(has_next, edge, to_ns)
        value, quality = tails.value[places].copy(), np.full(len(places), GOOD, np.uint8)
        if self._needs.is_sloped:
            for number in np.flatnonzero(has_next).tolist():
                row = self._snapshot.oldest_from(int(self._handles[places[number]]), edge)
                if len(row):
                    to_ns[number] = row.time_ns[0]
                    value[number] = self._value(row)
                    quality[number] = row.quality[0]
        gaps = Gaps(
            places,
            tails.time_ns[places],
            to_ns,
            tails.value[places],
            tails.quality[places],
            value,
            quality,
            has_next,
        )
        self._regions.add(gaps, self._cells, self._wanted_states)

    def _find_times(self, extreme: Extreme) -> None:
        """Read the chunks whose headers hold an extreme, to know when it was."""
        entries = np.unique(extreme.entry)
        entries = entries[entries >= 0]
        rows = self._layout.column("rows")[entries]
        for part in batches(np.ones(len(entries), bool), rows, entries, ROWS_AT_ONCE):
            items = self._of_rows(entries[part])
            key = items.place * len(self._intervals) + self._intervals.of(items.first_ns)
            hit = np.flatnonzero(items.first_value == extreme.value[key])
            cell, first, hits = np.unique(key[hit], return_index=True, return_counts=True)
            extreme.time_ns[cell] = items.first_ns[hit[first]]
            extreme.hits[cell] += hits - 1


def has_rows_before(
    snapshot: Snapshot, handles: npt.NDArray[np.uint32], kind: ValueKind, time_ns: int
) -> npt.NDArray[np.bool_]:
    """Which points have a sample before a moment; from the tables of the newest such segments."""
    found = np.zeros(len(handles), bool)
    as_of = snapshot.as_of
    for view in snapshot.heads:
        for rows in view.kinds:
            is_hit = rows.time_ns < time_ns
            if as_of is not None:
                is_hit &= rows.sequence.astype(np.int64) <= as_of - rows.base
            found |= np.isin(handles, rows.point[is_hit])
    for info in sorted(snapshot.segments, key=lambda info: -info.last_ns):
        if found.all():
            break
        missing = np.flatnonzero(~found)
        if not may_hold_any(info, handles[missing], TIME_NS_MIN, time_ns):
            continue
        table = snapshot.store.table(info)
        if table is None:
            found |= (handles >= info.first_point) & (handles <= info.last_point)
            continue
        at, place = chunks_of(table, handles[missing])
        is_hit = (table.first_ns[at] < time_ns) & (table.kind[at] == kind)
        if as_of is not None:
            is_hit &= table.last_sequence[at] <= np.uint64(as_of)
        found[missing[place[is_hit]]] = True
    if as_of is not None:
        for number in np.flatnonzero(~found).tolist():
            found[number] = bool(len(snapshot.newest_before(int(handles[number]), time_ns)))
    return found
