"""Items: what an aggregate adds up, in time order; a chunk by its header, or a single row.

A row is a chunk of one row, so that one pass of numpy takes both. A chunk comes by its
header only where all its rows are good and lie in one interval; the rest is read.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.historian.columns import UNCERTAIN, values_of
from penstock.model import Quality, TextColumn, ValueKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from penstock.historian.layout import FlatRows, Layout

GOOD = int(Quality.GOOD)
Numbers = "npt.NDArray[np.float64] | npt.NDArray[np.int64]"


@dataclass(frozen=True, slots=True)
class Items:
    """n items ordered by (place, time). Values are float64, or int64 for int and text codes.

    `used` counts the rows whose values the aggregate uses. `minimum` to `m2` are those
    of the used rows. `inner_ns` is the time between the first and the last row,
    `integral` Σ value x seconds over it. `entry` is the layout's entry of a chunk, -1 for a row.
    """

    place: npt.NDArray[np.int64]
    first_ns: npt.NDArray[np.int64]
    last_ns: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    used: npt.NDArray[np.int64]
    good: npt.NDArray[np.int64]
    uncertain: npt.NDArray[np.int64]
    minimum: npt.NDArray[Any]
    maximum: npt.NDArray[Any]
    mean: npt.NDArray[np.float64]
    m2: npt.NDArray[np.float64]
    first_value: npt.NDArray[Any]
    last_value: npt.NDArray[Any]
    first_quality: npt.NDArray[np.uint8]
    last_quality: npt.NDArray[np.uint8]
    worst: npt.NDArray[np.uint8]
    inner_ns: npt.NDArray[np.int64]
    integral: npt.NDArray[np.float64]
    entry: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.place)

    def take(self, index: npt.NDArray[np.intp]) -> Items:
        """The items of `index`, in its order."""
        return Items(**{name: getattr(self, name)[index] for name in _NAMES})


_NAMES = [field.name for field in fields(Items)]


def lowest(dtype: np.dtype[Any]) -> Any:
    """What no value is below."""
    return np.iinfo(np.int64).min if dtype == np.int64 else -np.inf


def highest(dtype: np.dtype[Any]) -> Any:
    """What no value is above."""
    return np.iinfo(np.int64).max if dtype == np.int64 else np.inf


class Codes:
    """Numbers for texts, in the order of their first appearance."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def of(self, column: TextColumn) -> npt.NDArray[np.int64]:
        """The number of each text."""
        codes = self._codes
        numbers = [codes.setdefault(text, len(codes)) for text in column.to_list()]
        return np.array(numbers, np.int64)

    def texts(self) -> list[str]:
        """All texts by number."""
        return list(self._codes)


def of_rows(flat: FlatRows, codes: Codes, used_from: int) -> Items:
    """An item a row; values of rows with a quality below `used_from` are not used."""
    rows = flat.rows
    value = codes.of(rows.value) if isinstance(rows.value, TextColumn) else rows.value
    is_used = rows.quality >= used_from
    count = len(flat)
    with np.errstate(invalid="ignore"):
        mean = np.where(is_used, value, 0).astype(np.float64)
    zero = np.zeros(count, np.int64)
    return Items(
        flat.place,
        rows.time_ns,
        rows.time_ns,
        np.ones(count, np.int64),
        is_used.astype(np.int64),
        (rows.quality >= GOOD).astype(np.int64),
        ((rows.quality >= UNCERTAIN) & (rows.quality < GOOD)).astype(np.int64),
        np.where(is_used, value, highest(value.dtype)),
        np.where(is_used, value, lowest(value.dtype)),
        mean,
        np.zeros(count),
        value,
        value,
        rows.quality,
        rows.quality,
        rows.quality,
        zero,
        np.zeros(count),
        zero - 1,
    )


def of_chunks(layout: Layout, entries: npt.NDArray[np.intp], kind: ValueKind) -> Items:
    """An item a chunk, of good rows only."""

    def column(name: str) -> npt.NDArray[Any]:
        return layout.column(name)[entries]

    def values(name: str) -> npt.NDArray[Any]:
        return values_of(column(name), kind)

    count = column("count").astype(np.int64)
    return Items(
        layout.place[entries],
        layout.first_ns[entries],
        layout.last_ns[entries],
        count,
        count,
        count,
        np.zeros(len(entries), np.int64),
        values("minimum"),
        values("maximum"),
        column("mean"),
        column("m2"),
        values("first_value"),
        values("last_value"),
        column("first_quality"),
        column("last_quality"),
        column("worst_quality"),
        column("valued_ns"),
        column("integral"),
        entries.astype(np.int64),
    )


def merged(first: Items, second: Items) -> Items:
    """Items of both by (place, time)."""
    if not len(first) or not len(second):
        return second if len(second) else first
    both = Items(
        **{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in _NAMES}
    )
    return both.take(np.lexsort((both.first_ns, both.place)))


def runs(keys: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """(first, last index) of each run of equal keys; the keys are in order and not empty."""
    starts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
    return starts, np.append(starts[1:], len(keys)) - 1


def batches(
    is_read: npt.NDArray[np.bool_],
    rows: npt.NDArray[np.int64],
    group: npt.NDArray[np.int64],
    rows_max: int,
) -> Iterator[slice]:
    """Slices of entries, cut between groups, each with about `rows_max` rows to read."""
    read = np.cumsum(np.where(is_read, rows, 0))
    begin = 0
    while begin < len(group):
        done = int(read[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(read, done + rows_max, "right")))
        if end < len(group):
            end = int(np.searchsorted(group, group[end - 1], "right"))
        yield slice(begin, min(end, len(group)))
        begin = end
