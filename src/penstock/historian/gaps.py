"""Gaps as objects: spans in which a point has no usable value, and why.

A gap begins with a bad sample and ends with the next sample of another quality, so that one
with two causes is two gaps, one behind the other. Headers tell which chunks hold bad samples;
only those are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penstock.historian.columns import UNCERTAIN
from penstock.historian.items import batches
from penstock.historian.layout import Layout
from penstock.historian.segment import ChunkFlag
from penstock.model import Refused, ValueKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from penstock.historian.query import Snapshot

GAPS_MAX = 10_000
ROWS_AT_ONCE = 131_072
_FINE = 255


@dataclass(frozen=True, slots=True)
class Gap:
    """From `begin_ns` until before `end_ns`, None while it lasts; `quality` says why.

    Both are cut at the asked span: `began_before` and `ends_behind` say so.
    """

    begin_ns: int
    end_ns: int | None
    quality: int
    began_before: bool = False
    ends_behind: bool = False

    @property
    def is_open(self) -> bool:
        """No sample has ended it yet."""
        return self.end_ns is None


def gaps_of(snapshot: Snapshot, handle: int, from_ns: int, to_ns: int, limit: int) -> list[Gap]:
    """The first `limit` gaps that touch the span."""
    assert from_ns < to_ns
    assert limit > 0
    kind = snapshot.kind(handle)
    if kind is None:
        return []
    if kind is ValueKind.WAVEFORM:
        raise Refused("is_waveform", "The list of a waveform's blocks shows where there are none.")
    search = _Search(from_ns, to_ns, limit)
    before = snapshot.newest_before(handle, from_ns)
    if len(before):
        search.begin(int(before.quality[0]))
    layout = Layout(snapshot, np.array([handle], np.uint32), kind, from_ns, to_ns)
    is_fine = _fine(layout, snapshot.as_of)
    for part in batches(~is_fine, layout.column("rows"), layout.group, ROWS_AT_ONCE):
        entries = np.arange(part.start, part.stop)
        fine = is_fine[part]
        rows = layout.read(entries[~fine]).rows
        whole = layout.first_ns[part][fine]
        time_ns = np.concatenate([rows.time_ns, whole])
        cause = np.concatenate([rows.quality, np.full(len(whole), _FINE, np.uint8)])
        cause = np.where(cause < UNCERTAIN, cause, _FINE)
        order = np.argsort(time_ns, kind="stable")
        search.add(time_ns[order], cause[order])
        if search.is_full:
            return search.found[:limit]
    if search.is_waiting:
        following = snapshot.oldest_from(handle, to_ns)
        search.end(is_last=not len(following))
    return search.found[:limit]


def _fine(layout: Layout, as_of: int | None) -> npt.NDArray[np.bool_]:
    """Chunks without a bad sample."""
    is_fine: npt.NDArray[np.bool_] = layout.is_chunk & layout.is_alone
    is_fine &= layout.column("worst_quality") >= UNCERTAIN
    is_fine &= (layout.column("flags") & int(ChunkFlag.SIDE)) == 0
    if as_of is not None:
        is_fine &= layout.column("last_sequence") <= np.uint64(as_of)
    return is_fine


class _Search:
    def __init__(self, from_ns: int, to_ns: int, limit: int) -> None:
        self.found: list[Gap] = []
        self._from_ns, self._to_ns, self._limit = from_ns, to_ns, limit
        self._cause = _FINE
        self._begin_ns = from_ns
        self._began_before = False

    @property
    def is_full(self) -> bool:
        return len(self.found) >= self._limit

    @property
    def is_waiting(self) -> bool:
        """A gap has begun and not ended."""
        return self._cause != _FINE

    def begin(self, quality: int) -> None:
        """The quality in force at the begin of the span."""
        if quality < UNCERTAIN:
            self._cause, self._began_before = quality, True

    def add(self, time_ns: npt.NDArray[np.int64], cause: npt.NDArray[np.uint8]) -> None:
        """Samples in time order: their moments and causes, `_FINE` where they are not bad."""
        before = np.concatenate([[self._cause], cause[:-1]])
        for row in np.flatnonzero(cause != before).tolist():
            self._close(int(time_ns[row]))
            self._cause, self._begin_ns = int(cause[row]), int(time_ns[row])
            if self.is_full:
                return

    def _close(self, end_ns: int) -> None:
        if self.is_waiting and self._begin_ns < end_ns:
            self.found.append(Gap(self._begin_ns, end_ns, self._cause, self._began_before))
        self._began_before = False

    def end(self, *, is_last: bool) -> None:
        """The span is over: the gap lasts, or goes on behind the span."""
        end_ns = None if is_last else self._to_ns
        self.found.append(Gap(self._begin_ns, end_ns, self._cause, self._began_before, not is_last))
