"""Columns of one point, and the rule which of its rows are visible.

Rows are ordered by (time, log sequence, place in the batch). Equal (time, value,
quality) is one sample, however often it arrives; different values at one time
are both kept, unless a row is flagged as a correction: it hides every earlier
row of its time. The rule looks only at the rows, never at where they are stored,
so that a flush or a compaction cannot change an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penstock.model import Flag, Quality, TextColumn, ValueKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from penstock.model.frame import Values

UNCERTAIN = int(Quality.UNCERTAIN)


@dataclass(frozen=True, slots=True)
class Columns:
    """n rows of one point: `time_ns` i64, `value`, `quality` u8, `flags` u8, `sequence` u64."""

    time_ns: npt.NDArray[np.int64]
    value: Values
    quality: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.uint8]
    sequence: npt.NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.time_ns)

    def slice(self, begin: int, end: int) -> Columns:
        """Rows `begin` to `end` as views."""
        cut = slice(begin, end)
        return Columns(
            self.time_ns[cut],
            slice_values(self.value, begin, end),
            self.quality[cut],
            self.flags[cut],
            self.sequence[cut],
        )

    def take(self, index: npt.NDArray[np.intp]) -> Columns:
        """The rows of `index`, in its order."""
        return Columns(
            self.time_ns[index],
            take_values(self.value, index),
            self.quality[index],
            self.flags[index],
            self.sequence[index],
        )

    def between(self, from_ns: int, to_ns: int) -> Columns:
        """Rows with from <= time < to; the rows are in time order."""
        begin, end = np.searchsorted(self.time_ns, [from_ns, to_ns])
        return self if end - begin == len(self) else self.slice(int(begin), int(end))


def empty_values(kind: ValueKind, rows: int = 0) -> Values:
    """What "no value" is in each kind: NaN, 0 and the empty text."""
    if kind is ValueKind.TEXT:
        return TextColumn(np.zeros(rows + 1, np.uint32), np.zeros(0, np.uint8))
    if kind is ValueKind.INT:
        return np.zeros(rows, np.int64)
    return np.full(rows, np.nan)


def empty_columns(kind: ValueKind) -> Columns:
    """No rows."""
    nothing = np.zeros(0, np.uint8)
    return Columns(
        np.zeros(0, np.int64), empty_values(kind), nothing, nothing, np.zeros(0, np.uint64)
    )


def slice_values(value: Values, begin: int, end: int) -> Values:
    """A view of some values."""
    if isinstance(value, TextColumn):
        return TextColumn(value.offset[begin : end + 1], value.data)
    return value[begin:end]


def take_values(value: Values, index: npt.NDArray[np.intp]) -> Values:
    """Values by index."""
    return value.take(index) if isinstance(value, TextColumn) else value[index]


def values_of(
    bits: npt.NDArray[np.uint64], kind: ValueKind
) -> npt.NDArray[np.float64] | npt.NDArray[np.int64]:
    """The numbers behind their bits."""
    return bits.view(np.int64) if kind is ValueKind.INT else bits.view(np.float64)


def identity_of(value: Values, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.uint64]:
    """A number for each of `rows` that is equal exactly when the values are equal to the bit."""
    if not isinstance(value, TextColumn):
        return value[rows].view(np.uint64)
    codes: dict[str, int] = {}
    texts = value.take(rows).to_list()
    return np.array([codes.setdefault(text, len(codes)) for text in texts], np.uint64)


def merge(pieces: Sequence[Columns], *, as_of: int | None = None) -> Columns:
    """Visible rows of all pieces of one point, in order; `as_of` hides later sequences."""
    rows = join(pieces)
    if as_of is not None:
        rows = rows.take(np.flatnonzero(rows.sequence <= np.uint64(as_of)))
    step = rows.time_ns[1:] > rows.time_ns[:-1]
    if step.all():
        return rows
    if len(pieces) > 1 or (rows.time_ns[1:] < rows.time_ns[:-1]).any():
        rows = rows.take(np.lexsort((rows.sequence, rows.time_ns)))
    starts = np.concatenate([[True], rows.time_ns[1:] != rows.time_ns[:-1]])
    is_duplicate, is_hidden = judge(starts, rows.value, rows.quality, rows.flags)
    return rows.take(np.flatnonzero(~(is_duplicate | is_hidden)))


def judge(
    starts: npt.NDArray[np.bool_],
    value: Values,
    quality: npt.NDArray[np.uint8],
    flags: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """(is_duplicate, is_hidden) of ordered rows; `starts` marks the first row of each moment.

    A duplicate repeats an earlier row of its moment and may be thrown away; a
    hidden row was replaced by a correction and stays on disk for `as_of`.
    """
    is_duplicate, is_hidden = np.zeros((2, len(starts)), bool)
    moment = np.cumsum(starts) - 1
    is_shared = np.bincount(moment)[moment] > 1 if len(starts) else is_duplicate
    rows = np.flatnonzero(is_shared)
    if not len(rows):
        return is_duplicate, is_hidden
    group = moment[rows]
    is_correction = (flags[rows] & Flag.CORRECTION) != 0
    identity, grade = identity_of(value, rows), quality[rows]
    order = np.lexsort((grade, identity, group))
    same = (
        (group[order][1:] == group[order][:-1])
        & (identity[order][1:] == identity[order][:-1])
        & (grade[order][1:] == grade[order][:-1])
    )
    is_duplicate[rows[order[1:][same]]] = True
    is_duplicate[rows[is_correction]] = False
    begin = np.flatnonzero(starts[rows])
    newest = np.maximum.reduceat(np.where(is_correction, rows, -1), begin)
    is_hidden[rows] = rows < np.repeat(newest, np.diff(np.append(begin, len(rows))))
    return is_duplicate, is_hidden


def join(pieces: Sequence[Columns]) -> Columns:
    """All rows in the order of the pieces."""
    if len(pieces) == 1:
        return pieces[0]
    return Columns(
        np.concatenate([piece.time_ns for piece in pieces]),
        join_values([piece.value for piece in pieces]),
        np.concatenate([piece.quality for piece in pieces]),
        np.concatenate([piece.flags for piece in pieces]),
        np.concatenate([piece.sequence for piece in pieces]),
    )


def join_values(values: Sequence[Values]) -> Values:
    """All values in order, of one kind."""
    texts = [value for value in values if isinstance(value, TextColumn)]
    if not texts:
        return np.concatenate([value for value in values if not isinstance(value, TextColumn)])
    length = np.concatenate([np.diff(text.offset) for text in texts])
    offset = np.zeros(len(length) + 1, np.uint32)
    np.cumsum(length, out=offset[1:])
    return TextColumn(
        offset,
        np.concatenate([text.data[int(text.offset[0]) : int(text.offset[-1])] for text in texts]),
    )
