"""Values at given moments: the newest sample before, or a value between two samples.

Only the groups of chunks around the asked moments are read, however far apart they lie.
`simple` and `interpolated` follow OPC UA Part 13, 3.1.9 and 3.1.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from penstock.historian.columns import UNCERTAIN, Columns, empty_columns, join
from penstock.historian.items import GOOD
from penstock.historian.layout import Layout
from penstock.historian.query import Snapshot, rows_between
from penstock.model import Quality, Refused, TextColumn, ValueKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

BAD, UNSURE = int(Quality.BAD_NOT_AVAILABLE), int(Quality.UNCERTAIN_SUB_NORMAL)
RAW, INTERPOLATED = 0, 2
MOMENTS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Moments:
    """Values at n moments: `value` float64, int64 or object (texts), of which `is_there` count.

    `quality` u8[n]; `info` u8[n]: 0 a stored sample, 2 between samples; `time_ns` i64[n]:
    when the sample at or before the moment was, where it `has_sample`.
    """

    value: npt.NDArray[Any]
    is_there: npt.NDArray[np.bool_]
    quality: npt.NDArray[np.uint8]
    info: npt.NDArray[np.uint8]
    time_ns: npt.NDArray[np.int64]
    has_sample: npt.NDArray[np.bool_]

    def take(self, index: npt.NDArray[np.intp]) -> Moments:
        """The moments of `index`, in its order."""
        return Moments(
            self.value[index],
            self.is_there[index],
            self.quality[index],
            self.info[index],
            self.time_ns[index],
            self.has_sample[index],
        )


@dataclass(frozen=True, slots=True)
class Around:
    """Rows around the moments: row `before[i]` is the newest at or before moment i, -1 for none.

    The row behind it is the next of the point, or there is none.
    """

    moments: npt.NDArray[np.int64]
    time_ns: npt.NDArray[np.int64]
    value: npt.NDArray[Any]
    quality: npt.NDArray[np.uint8]
    before: npt.NDArray[np.intp]

    @property
    def is_at(self) -> npt.NDArray[np.bool_]:
        """Moments at which there is a row."""
        is_at: npt.NDArray[np.bool_] = self.time_ns[self.before] == self.moments
        is_at &= self.before >= 0
        return is_at

    @property
    def has_next(self) -> npt.NDArray[np.bool_]:
        """Moments behind which there is a row."""
        return self.before + 1 < len(self.time_ns)


def values_at(
    snapshot: Snapshot,
    handles: Sequence[int],
    times_ns: npt.NDArray[np.int64],
    interpolation: Literal["previous", "stepped", "sloped"],
    *,
    treats_uncertain_as_bad: bool,
) -> dict[int, Moments]:
    """Values of many points at the same moments, which may come in any order.

    "previous" is the newest sample as it was; "stepped" and "sloped" are interpolated
    bounding values, which pass over samples that are not used.
    """
    moments, place = np.unique(times_ns, return_inverse=True)
    used_from = GOOD if treats_uncertain_as_bad else UNCERTAIN
    found = {}
    for handle in handles:
        rows = around(snapshot, handle, moments)
        if interpolation == "previous":
            answer = previous(rows)
        else:
            is_sloped = interpolation == "sloped" and rows.value.dtype != object
            answer = interpolated(snapshot, handle, rows, is_sloped=is_sloped, used_from=used_from)
        found[handle] = answer.take(place)
    return found


def around(snapshot: Snapshot, handle: int, moments: npt.NDArray[np.int64]) -> Around:
    """Rows around sorted moments of one point."""
    assert len(moments) > 0
    rows = _rows_around(snapshot, handle, moments)
    before = np.searchsorted(rows.time_ns, moments, "right") - 1
    return Around(moments, rows.time_ns, _plain(rows), rows.quality, before)


def _rows_around(snapshot: Snapshot, handle: int, moments: npt.NDArray[np.int64]) -> Columns:
    kind = snapshot.kind(handle)
    if kind is None:
        return empty_columns(ValueKind.FLOAT)
    if kind is ValueKind.WAVEFORM:
        raise Refused("is_waveform", "A waveform has no value between its blocks.")
    first_ns, end_ns = int(moments[0]), int(moments[-1]) + 1
    layout = Layout(snapshot, np.array([handle], np.uint32), kind, first_ns, end_ns)
    parts = [snapshot.newest_before(handle, first_ns)]
    if len(layout):
        parts.append(layout.read(np.flatnonzero(_is_near(layout, moments))).rows)
    parts.append(snapshot.oldest_from(handle, end_ns))
    return join([part for part in parts if len(part)] or [empty_columns(kind)])


def _is_near(layout: Layout, moments: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Entries of the groups that hold the last row before, or the first behind, a moment."""
    begin = np.flatnonzero(np.diff(layout.group, prepend=-1))
    before = np.searchsorted(layout.first_ns[begin], moments, "right") - 1
    is_near = np.zeros(len(begin), bool)
    is_near[before[before >= 0]] = True
    is_near[np.minimum(before + 1, len(begin) - 1)] = True
    return is_near[layout.group]


def previous(found: Around) -> Moments:
    """The newest sample at or before each moment, with its own quality and time."""
    is_there = found.before >= 0
    if not len(found.time_ns):
        return _nothing(found)
    at = np.maximum(found.before, 0)
    quality = np.where(is_there, found.quality[at], BAD).astype(np.uint8)
    return Moments(
        found.value[at],
        is_there & (quality >= UNCERTAIN),
        quality,
        np.where(found.is_at, RAW, INTERPOLATED).astype(np.uint8),
        found.time_ns[at],
        is_there,
    )


def simple(found: Around, *, is_sloped: bool, used_from: int, until_ns: int | None) -> Moments:
    """Simple bounding values (3.1.9): bad behind the newest sample, unless it holds until then."""
    if not len(found.time_ns):
        return _nothing(found)
    at, following = _pair(found)
    next_quality = np.where(found.has_next, found.quality[following], GOOD)
    is_line = is_sloped & ~found.is_at & found.has_next & (next_quality >= used_from)
    is_known = found.is_at | found.has_next
    if until_ns is not None:
        is_known |= found.moments <= until_ns
    quality = found.quality[at]
    is_there = (found.before >= 0) & is_known & (quality >= used_from)
    is_sure = (quality >= GOOD) & (~is_sloped | found.is_at | (next_quality >= GOOD))
    result = np.where(is_there, np.where(is_sure, GOOD, UNSURE), BAD)
    result = np.where(is_there & found.is_at, quality, result)
    return Moments(
        _on_line(found, at, following, is_line),
        is_there,
        result.astype(np.uint8),
        np.where(found.is_at, RAW, INTERPOLATED).astype(np.uint8),
        found.time_ns[at],
        found.before >= 0,
    )


def interpolated(
    snapshot: Snapshot, handle: int, found: Around, *, is_sloped: bool, used_from: int
) -> Moments:
    """Interpolated bounding values (3.1.8): between the nearest samples whose value is used.

    Behind the newest of them its value holds, uncertain.
    """
    rows = _used(snapshot, handle, found, used_from)
    if not len(rows.time_ns):
        return _nothing(found)
    at, following = _pair(rows)
    is_line = is_sloped & ~rows.is_at & rows.has_next
    is_there = rows.before >= 0
    is_used = found.quality >= used_from
    skips = _leads_to_unused(found, is_used, is_sloped=is_sloped)
    is_sure = rows.has_next & (rows.quality[at] >= GOOD) & ~skips
    if is_sloped:
        is_sure &= rows.quality[following] >= GOOD
    result = np.where(is_there, np.where(is_sure, GOOD, UNSURE), BAD)
    result = np.where(is_there & rows.is_at, rows.quality[at], result)
    return Moments(
        _on_line(rows, at, following, is_line),
        is_there,
        result.astype(np.uint8),
        np.where(rows.is_at, RAW, INTERPOLATED).astype(np.uint8),
        rows.time_ns[at],
        is_there,
    )


def _used(snapshot: Snapshot, handle: int, found: Around, used_from: int) -> Around:
    """The same moments among the used rows only; what lies farther away is looked up."""
    is_used = found.quality >= used_from
    if is_used.all():
        return found
    known: list[npt.NDArray[Any]] = [
        column[is_used] for column in (found.time_ns, found.value, found.quality)
    ]
    extra: dict[int, Columns] = {}
    for moment in found.moments[_leads_to_unused(found, is_used, is_sloped=True)].tolist():
        for row in _neighbours(snapshot, handle, moment, used_from):
            extra[int(row.time_ns[0])] = row
    rows = [row for time_ns, row in extra.items() if not np.isin(time_ns, known[0])]
    if rows:
        more = join(rows)
        columns: list[npt.NDArray[Any]] = [more.time_ns, _plain(more), more.quality]
        known = [np.concatenate(pair) for pair in zip(known, columns, strict=True)]
    order = np.argsort(known[0], kind="stable")
    time_ns, value, quality = (column[order] for column in known)
    before = np.searchsorted(time_ns, found.moments, "right") - 1
    return Around(found.moments, time_ns, value, quality, before)


def _plain(rows: Columns) -> npt.NDArray[Any]:
    if isinstance(rows.value, TextColumn):
        return np.array(rows.value.to_list(), object)
    return rows.value


def _leads_to_unused(
    found: Around, is_used: npt.NDArray[np.bool_], *, is_sloped: bool
) -> npt.NDArray[np.bool_]:
    """Moments next to a sample that is passed over; stepped, only the one before matters."""
    at, following = _pair(found)
    is_bad = (found.before >= 0) & ~is_used[at]
    return is_bad | (is_sloped & found.has_next & ~is_used[following])


def _neighbours(snapshot: Snapshot, handle: int, moment: int, used_from: int) -> list[Columns]:
    found = []
    found.append(snapshot.newest_used_before(handle, moment + 1, used_from))
    newest = snapshot.newest_before(handle, 2**63 - 1)
    if len(newest):
        for rows in rows_between(snapshot, handle, moment + 1, int(newest.time_ns[0]) + 1):
            used = np.flatnonzero(rows.quality >= used_from)
            if len(used):
                found.append(rows.slice(int(used[0]), int(used[0]) + 1))
                break
    return [row for row in found if len(row)]


def _pair(found: Around) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Row at or before, and the next; any row where there is none."""
    last = len(found.time_ns) - 1
    return np.maximum(found.before, 0), np.minimum(found.before + 1, last)


def _on_line(
    found: Around,
    at: npt.NDArray[np.intp],
    following: npt.NDArray[np.intp],
    is_line: npt.NDArray[np.bool_],
) -> npt.NDArray[Any]:
    """The value before, or where the line to the next value is at the moment."""
    value = found.value[at]
    if not is_line.any():
        return value
    level = value.astype(np.float64)
    length = np.maximum(found.time_ns[following] - found.time_ns[at], 1)
    share = (found.moments - found.time_ns[at]) / length
    with np.errstate(invalid="ignore"):
        rise = found.value[following].astype(np.float64) - level
        return np.where(is_line, level + rise * share, level)


def _nothing(found: Around) -> Moments:
    count = len(found.moments)
    return Moments(
        np.full(count, np.nan),
        np.zeros(count, bool),
        np.full(count, BAD, np.uint8),
        np.full(count, INTERPOLATED, np.uint8),
        np.zeros(count, np.int64),
        np.zeros(count, bool),
    )
