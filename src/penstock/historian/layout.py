"""Layout: all chunks and head rows of many points in a span, as columns, without reading one.

A query over a month has thousands of chunks, and a Python object for each would cost
more than the answer. Here they stay rows of the chunk tables; what overlaps is found
for all points at once; and only what must be read becomes rows of samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.historian.columns import Columns, empty_columns, join, judge
from penstock.historian.head import rows_of
from penstock.historian.segment import TABLE_DTYPES, ChunkFlag
from penstock.historian.store import lost

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from penstock.historian.head import HeadRows
    from penstock.historian.query import Snapshot
    from penstock.historian.segment import ChunkTable, SegmentInfo
    from penstock.historian.store import Store
    from penstock.model import ValueKind

_SIDE = int(ChunkFlag.SIDE)


@dataclass(frozen=True, slots=True)
class FlatRows:
    """Rows of many points: `place` i64[n] says whose, as an index into the asked handles."""

    place: npt.NDArray[np.int64]
    rows: Columns

    def __len__(self) -> int:
        return len(self.place)

    def take(self, index: npt.NDArray[np.intp]) -> FlatRows:
        """The rows of `index`, in its order."""
        return FlatRows(self.place[index], self.rows.take(index))


@dataclass(frozen=True, slots=True)
class _Chunks:
    """Chunks of one segment: rows `at` of its table."""

    info: SegmentInfo
    table: ChunkTable
    at: npt.NDArray[np.intp]
    place: npt.NDArray[np.int64]

    @property
    def first_ns(self) -> npt.NDArray[np.int64]:
        return self.table.first_ns[self.at]

    @property
    def last_ns(self) -> npt.NDArray[np.int64]:
        return self.table.last_ns[self.at]

    def column(self, name: str) -> npt.NDArray[Any]:
        column: npt.NDArray[Any] = getattr(self.table, name)[self.at]
        return column


@dataclass(frozen=True, slots=True)
class Stretch:
    """Chunks that lie side by side in a file: `table` has them, `place` is where each begins.

    `number` i64[n] are their places among the entries that were asked for.
    """

    number: npt.NDArray[np.intp]
    table: ChunkTable
    place: npt.NDArray[np.int64]
    _store: Store
    _info: SegmentInfo

    def read(self) -> bytes:
        """All their bytes, unchecked."""
        size = int(self.place[-1]) + int(self.table.bytes[-1])
        return self._store.stretch(self._info, int(self.table.offset[0]), size)


class _Memory:
    """Rows in memory, grouped by point in the order of arrival; an entry a point."""

    def __init__(self, flat: FlatRows) -> None:
        self.flat = flat
        self.starts = np.flatnonzero(np.diff(flat.place, prepend=-1))
        self.ends = np.append(self.starts[1:], len(flat))
        self.at = np.arange(len(self.starts))
        self.place = flat.place[self.starts]
        self.first_ns = np.minimum.reduceat(flat.rows.time_ns, self.starts)
        self.last_ns = np.maximum.reduceat(flat.rows.time_ns, self.starts)

    def column(self, name: str) -> npt.NDArray[Any]:
        """Nothing is known but the number of rows."""
        if name == "rows":
            return (self.ends - self.starts).astype(np.uint32)
        return np.zeros(len(self.starts), TABLE_DTYPES[name])


class Layout:
    """Entries of the points `handles` (sorted, of one kind) in a span, by (place, time).

    An entry is a chunk or some rows in memory. Columns of n entries: `place`,
    `first_ns`, `last_ns` i64, `is_chunk`, `is_alone` bool, `group` i64: entries of one
    group overlap in time and must be read together.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        handles: npt.NDArray[np.uint32],
        kind: ValueKind,
        from_ns: int,
        to_ns: int,
    ) -> None:
        self._snapshot = snapshot
        self.kind = kind
        self._span = from_ns, to_ns
        finder = _Finder(snapshot, handles, kind, from_ns, to_ns)
        self._sources = finder.sources
        self._order: npt.NDArray[np.intp] | None = None
        self._columns: dict[str, npt.NDArray[Any]] = {}
        place = self._joined([source.place for source in self._sources], np.int64)
        first_ns = self._joined([source.first_ns for source in self._sources], np.int64)
        self._order = _order_of(place, first_ns)
        self.place, self.first_ns = self._ordered(place), self._ordered(first_ns)
        last_ns = [source.last_ns for source in self._sources]
        self.last_ns = self._ordered(self._joined(last_ns, np.int64))
        numbers = [np.full(len(source.at), n) for n, source in enumerate(self._sources)]
        self._source = self._ordered(self._joined(numbers, np.int64))
        self._at = self._ordered(self._joined([source.at for source in self._sources], np.int64))
        is_chunk = np.array([isinstance(source, _Chunks) for source in self._sources], bool)
        self.is_chunk = is_chunk[self._source]
        self.group, self.is_alone = _groups_of(self.place, self.first_ns, self.last_ns)

    def __len__(self) -> int:
        return len(self.place)

    def column(self, name: str) -> npt.NDArray[Any]:
        """A column of the chunk tables for all entries; 0 (but `rows`) for those in memory."""
        if name not in self._columns:
            parts = [source.column(name) for source in self._sources]
            self._columns[name] = self._ordered(self._joined(parts, TABLE_DTYPES[name]))
        return self._columns[name]

    def stretches(self, entries: npt.NDArray[np.intp]) -> Iterator[Stretch]:
        """The chunks `entries` by what one read of a file gives."""
        if not len(entries):
            return
        source, at = self._source[entries], self._at[entries]
        offset = self.column("offset")[entries].astype(np.int64)
        end = offset + self.column("bytes")[entries]
        is_next = (source[1:] == source[:-1]) & (offset[1:] == end[:-1])
        starts = np.flatnonzero(np.concatenate([[True], ~is_next])).tolist()
        for begin, stop in pairwise([*starts, len(entries)]):
            chunks = self._sources[int(source[begin])]
            assert isinstance(chunks, _Chunks)
            number = np.arange(begin, stop)
            table = chunks.table.take(at[number])
            place = offset[number] - offset[begin]
            yield Stretch(number, table, place, self._snapshot.store, chunks.info)

    def read(self, entries: npt.NDArray[np.intp]) -> FlatRows:
        """Visible rows of whole groups within the span, by (place, time)."""
        found: list[tuple[int, FlatRows]] = []
        starts = np.flatnonzero(np.diff(self.group[entries], prepend=-1))
        for group in np.split(entries, starts[1:]):
            found += self._read_group(group.tolist())
        found = [(order, flat) for order, flat in found if len(flat)]
        if not found:
            return FlatRows(np.zeros(0, np.int64), empty_columns(self.kind))
        # Rows of one moment and one log record keep the order of their segments' parts.
        found.sort(key=lambda item: item[0])
        return self._cut(_visible([flat for _, flat in found]))

    def _read_group(self, group: list[int]) -> list[tuple[int, FlatRows]]:
        """(order, rows) of each entry; what a chunk that cannot be read had replaced goes too."""
        found = [(entry, *self._read_entry(entry)) for entry in group]
        if any(flat is None for _, _, flat in found):
            found = [item for item in found if not self._is_side(item[0])]
        return [
            (order, self._lost(entry) if flat is None else flat) for entry, order, flat in found
        ]

    def _read_entry(self, entry: int) -> tuple[int, FlatRows | None]:
        number, at = int(self._source[entry]), int(self._at[entry])
        source = self._sources[number]
        if isinstance(source, _Memory):
            index = np.arange(source.starts[at], source.ends[at])
            return 2 * number + 1, source.flat.take(index)
        rows = self._snapshot.store.chunk(source.info, source.table, at)
        order = 2 * number + (0 if self._is_side(entry) else 1)
        return order, None if rows is None else self._flat(entry, self._seen(rows))

    def _is_side(self, entry: int) -> bool:
        source = self._sources[int(self._source[entry])]
        if isinstance(source, _Memory):
            return False
        return bool(int(source.table.flags[int(self._at[entry])]) & _SIDE)

    def _lost(self, entry: int) -> FlatRows:
        source, at = self._sources[int(self._source[entry])], int(self._at[entry])
        assert isinstance(source, _Chunks)
        first_ns, last_ns = int(source.table.first_ns[at]), int(source.table.last_ns[at])
        sequence = int(source.table.first_sequence[at])
        return self._flat(entry, lost(self.kind, first_ns, last_ns, sequence))

    def _flat(self, entry: int, rows: Columns) -> FlatRows:
        return FlatRows(np.full(len(rows), self.place[entry]), rows)

    def _seen(self, rows: Columns) -> Columns:
        as_of = self._snapshot.as_of
        if as_of is None or int(rows.sequence.max(initial=0)) <= as_of:
            return rows
        return rows.take(np.flatnonzero(rows.sequence <= np.uint64(as_of)))

    def _cut(self, flat: FlatRows) -> FlatRows:
        time_ns = flat.rows.time_ns
        is_in = (time_ns >= self._span[0]) & (time_ns < self._span[1])
        return flat if is_in.all() else flat.take(np.flatnonzero(is_in))

    @staticmethod
    def _joined(parts: Sequence[npt.NDArray[Any]], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        return np.concatenate(parts) if parts else np.zeros(0, dtype)

    def _ordered(self, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return column if self._order is None else column[self._order]


class _Finder:
    """Collects the sources of a layout, oldest first: their number is their order."""

    def __init__(
        self,
        snapshot: Snapshot,
        handles: npt.NDArray[np.uint32],
        kind: ValueKind,
        from_ns: int,
        to_ns: int,
    ) -> None:
        self.sources: list[_Chunks | _Memory] = []
        self._handles = handles
        self._kind = kind
        self._from_ns, self._to_ns = from_ns, to_ns
        self._as_of = snapshot.as_of
        for info in snapshot.segments:
            if may_hold_any(info, handles, from_ns, to_ns):
                self._add_segment(info, snapshot.store.table(info))
        for view in snapshot.heads:
            for rows in view.kinds:
                if rows.kind is kind:
                    self._add_head(rows)

    def _add_segment(self, info: SegmentInfo, table: ChunkTable | None) -> None:
        if table is None:
            self._add_lost(info)
            return
        at, place = chunks_of(table, self._handles)
        is_hit = (table.first_ns[at] < self._to_ns) & (table.last_ns[at] >= self._from_ns)
        is_hit &= table.kind[at] == self._kind
        if self._as_of is not None:
            is_hit &= table.first_sequence[at] <= np.uint64(self._as_of)
        if is_hit.any():
            whole = bool(is_hit.all())
            self.sources.append(
                _Chunks(info, table, at if whole else at[is_hit], place if whole else place[is_hit])
            )

    def _add_lost(self, info: SegmentInfo) -> None:
        """A segment whose table cannot be trusted: bad at both its ends, for all its points."""
        is_in = (self._handles >= info.first_point) & (self._handles <= info.last_point)
        rows = lost(self._kind, info.first_ns, info.last_ns, info.after + 1)
        flat = [FlatRows(np.full(len(rows), place), rows) for place in np.flatnonzero(is_in)]
        if flat:
            self.sources.append(_Memory(_joined(flat)))

    def _add_head(self, rows: HeadRows) -> None:
        index = rows_of(rows.point, self._handles)
        time_ns = rows.time_ns[index]
        is_in = (time_ns >= self._from_ns) & (time_ns < self._to_ns)
        if self._as_of is not None:
            is_in &= rows.sequence[index].astype(np.int64) <= self._as_of - rows.base
        index = index[is_in]
        if len(index):
            place = np.searchsorted(self._handles, rows.point[index]).astype(np.int64)
            self.sources.append(_Memory(FlatRows(place, rows.take(index))))


def may_hold_any(
    info: SegmentInfo, handles: npt.NDArray[np.uint32], from_ns: int, to_ns: int
) -> bool:
    """May the segment have rows of these (sorted) handles in the span?"""
    return (
        info.first_ns < to_ns
        and info.last_ns >= from_ns
        and info.first_point <= int(handles[-1])
        and info.last_point >= int(handles[0])
    )


def chunks_of(
    table: ChunkTable, handles: npt.NDArray[np.uint32]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """(chunks of these sorted handles in table order, place of each chunk's handle)."""
    begin = np.searchsorted(table.point, handles)
    count = np.searchsorted(table.point, handles, "right") - begin
    place = np.repeat(np.arange(len(handles)), count)
    before = np.cumsum(count) - count
    return np.arange(len(place)) + np.repeat(begin - before, count), place


def _order_of(
    place: npt.NDArray[np.int64], first_ns: npt.NDArray[np.int64]
) -> npt.NDArray[np.intp] | None:
    """Entries by (place, first time), those of older sources first; None if they are so."""
    same = place[1:] == place[:-1]
    if ((place[1:] > place[:-1]) | (same & (first_ns[1:] >= first_ns[:-1]))).all():
        return None
    return np.lexsort((first_ns, place))


def _groups_of(
    place: npt.NDArray[np.int64],
    first_ns: npt.NDArray[np.int64],
    last_ns: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """(group, is_alone) of entries that are ordered by (place, first time)."""
    is_first = np.ones(len(place), bool)
    is_first[1:] = (place[1:] != place[:-1]) | (first_ns[1:] > last_ns[:-1])
    # An entry that reaches beyond its neighbour may overlap later ones too.
    # (np.unique would import numpy.ma, which takes longer than the rest of a cold query.)
    for tangled in sorted(set(place[~is_first].tolist())):
        begin, end = np.searchsorted(place, [tangled, tangled + 1])
        reach = np.maximum.accumulate(last_ns[begin:end])
        is_first[begin + 1 : end] = first_ns[begin + 1 : end] > reach[:-1]
    group = np.cumsum(is_first) - 1
    return group, (np.bincount(group)[group] == 1 if len(group) else is_first)


def _visible(parts: Sequence[FlatRows]) -> FlatRows:
    """Visible rows of the parts, by (place, time); the rule of `columns.merge` for many points."""
    flat = _joined(parts)
    place, rows = flat.place, flat.rows
    is_same = place[1:] == place[:-1]
    is_later = rows.time_ns[1:] > rows.time_ns[:-1]
    if ((place[1:] > place[:-1]) | (is_same & is_later)).all():
        return flat
    order = np.lexsort((rows.sequence, rows.time_ns, place))
    flat = flat.take(order)
    place, rows = flat.place, flat.rows
    starts = np.ones(len(place), bool)
    starts[1:] = (place[1:] != place[:-1]) | (rows.time_ns[1:] != rows.time_ns[:-1])
    is_duplicate, is_hidden = judge(starts, rows.value, rows.quality, rows.flags)
    is_gone = is_duplicate | is_hidden
    return flat.take(np.flatnonzero(~is_gone)) if is_gone.any() else flat


def _joined(parts: Sequence[FlatRows]) -> FlatRows:
    if len(parts) == 1:
        return parts[0]
    return FlatRows(
        np.concatenate([part.place for part in parts]), join([part.rows for part in parts])
    )
