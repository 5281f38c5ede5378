"""Texts to times by numpy, exact to the nanosecond: texts of one shape are one matrix of bytes.

A shape is the text with every digit as 0 and every letter as a, so a file has few of
them; a regular expression over the shape says once for all rows where day and hour lie.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penstock.model.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from penstock.model import TextColumn

    Matrix = npt.NDArray[np.uint8]
    Rows = npt.NDArray[np.intp]
    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]

EPOCHS = {"epoch_s": SECOND_NS, "epoch_ms": 1_000_000, "epoch_us": 1_000, "epoch_ns": 1}
ORDERS = ("ymd", "dmy", "mdy")
TEXT_BYTES_MAX = 64
# 1824 to 2116, as in every question about history.
TIME_NS_MAX = 2**62

_SHAPE_OF = np.arange(256, dtype=np.uint8)
_SHAPE_OF[ord("0") : ord("9") + 1] = ord("0")
_SHAPE_OF[ord("A") : ord("Z") + 1] = ord("a")
_SHAPE_OF[ord("a") : ord("z") + 1] = ord("a")
_SHAPE_OF[0x80:] = ord("a")

_CLOCK = (
    rb"(?:(?:[a _]|, )(?:(?P<H>00?):(?P<M>00)(?::(?P<S>00)(?:[.,:](?P<f>0{1,9})0*)?)?"
    rb"|(?P<H2>00)(?P<M2>00)(?P<S2>00)(?:[.,](?P<f2>0{1,9}))?)"
    rb"(?P<half> ?aa(?![a]))?)?"
)
_OFFSET = rb"(?P<zone> ?a{1,3})?(?: ?(?P<sign>[+-])(?P<oh>00)(?::?(?P<om>00))?)?"
_DAYS = {
    "ymd": (
        rb"(?P<y>0000)(?P<s>[-/.])(?P<m>00?)(?P=s)(?P<d>00?)",
        rb"(?P<y>0000)(?P<m>00)(?P<d>00)",
    ),
    "dmy": (rb"(?P<d>00?)(?P<s>[-/.])(?P<m>00?)(?P=s)(?P<y>0000|00)",),
    "mdy": (rb"(?P<m>00?)(?P<s>[-/])(?P<d>00?)(?P=s)(?P<y>0000|00)",),
}
_NAMED_DAYS = (
    rb"(?P<d>00?)[-. /]{1,2}(?P<name>a{3,9})[-. /]{1,2}(?P<y>0000|00)",
    rb"(?P<name>a{3,9}) (?P<d>00?),? (?P<y>0000)",
)
_SHAPES = {
    order: tuple(re.compile(day + _CLOCK + _OFFSET) for day in (*days, *_NAMED_DAYS))
    for order, days in _DAYS.items()
}
_NUMBER = re.compile(rb"(?P<minus>-)?(?P<whole>0{1,19})(?:[.,](?P<f>0{1,18}))?")
_MONTHS = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
)  # fmt: skip
_MORE_MONTHS = {"mai": 5, "okt": 10, "dez": 12, "mrz": 3, "mär": 3, "maj": 5}
_DAYS_BEFORE = np.array([0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334], np.int64)
_DAYS_IN = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)


@dataclass(frozen=True, slots=True)
class Times:
    """n times: ns since 1970, whether the text was one, and whether it is in UTC already.

    Without an offset in the text `time_ns` is the wall clock, as if that were UTC.
    """

    time_ns: Ints
    is_time: Bools
    is_utc: Bools

    @classmethod
    def none(cls, rows: int) -> Times:
        """Nothing is a time yet."""
        return cls(np.zeros(rows, np.int64), np.zeros(rows, bool), np.zeros(rows, bool))


def read_times(texts: TextColumn, time_format: str) -> Times:
    """Times of texts without blanks around them; exact, or `is_time` is False."""
    found = Times.none(len(texts))
    for rows, matrix in _by_length(texts):
        for part, same in _by_shape(matrix):
            shape = _SHAPE_OF[same[0]].tobytes()
            _read_shape(found, rows[part], same, shape, time_format)
    return found


def _by_length(texts: TextColumn) -> Iterator[tuple[Rows, Matrix]]:
    """Rows of equal length, and their bytes as a matrix."""
    offset = texts.offset.astype(np.int64)
    length = np.diff(offset)
    for size in np.unique(length).tolist():
        if not 0 < size <= TEXT_BYTES_MAX:
            continue
        rows = np.flatnonzero(length == size)
        if len(rows) == len(length):
            yield rows, texts.data[offset[0] : offset[-1]].reshape(-1, size)
        else:
            yield rows, texts.data[offset[rows][:, None] + np.arange(size)]


def _by_shape(matrix: Matrix) -> Iterator[tuple[Rows, Matrix]]:
    """Rows of equal shape."""
    shape = _SHAPE_OF[matrix]
    if (shape == shape[0]).all():
        yield np.arange(len(matrix)), matrix
        return
    keys = np.ascontiguousarray(shape).view(f"V{shape.shape[1]}").ravel()
    _, group = np.unique(keys, return_inverse=True)
    for number in range(int(group.max()) + 1):
        rows = np.flatnonzero(group == number)
        yield rows, matrix[rows]


def _read_shape(found: Times, rows: Rows, matrix: Matrix, shape: bytes, time_format: str) -> None:
    columns = np.ascontiguousarray(matrix.T)
    if time_format in EPOCHS:
        match = _NUMBER.fullmatch(shape)
        if match is not None:
            _read_number(found, rows, columns, match, EPOCHS[time_format])
        return
    for pattern in _SHAPES[time_format]:
        match = pattern.fullmatch(shape)
        if match is not None:
            _read_date(found, rows, columns, match)
            return


# --- numbers since 1970


def _read_number(
    found: Times, rows: Rows, columns: Matrix, match: re.Match[bytes], unit: int
) -> None:
    """Whole and fraction apart, so that nothing is rounded; what is finer than 1 ns is no time."""
    begin, end = match.span("whole")
    is_fit = np.ones(len(rows), bool)
    if end - begin == 19:  # only up to 2^63 - 1
        is_fit &= columns[begin] < ord("9")
    whole = _digits(columns[begin:end])
    is_fit &= whole <= TIME_NS_MAX // unit
    time_ns = np.where(is_fit, whole, 0) * unit
    if match.group("f"):
        begin, end = match.span("f")
        fraction, scale = _digits(columns[begin:end]), 10 ** (end - begin)
        fits = max(1, scale // unit)
        is_fit &= fraction % fits == 0
        time_ns += (fraction // fits) * max(1, unit // scale)
    if match.group("minus"):
        time_ns = -time_ns
    found.time_ns[rows] = time_ns
    found.is_time[rows] = is_fit & (np.abs(time_ns) <= TIME_NS_MAX)
    found.is_utc[rows] = True


# --- dates


def _read_date(found: Times, rows: Rows, columns: Matrix, match: re.Match[bytes]) -> None:
    part = _Parts(columns, match)
    year, day = part.year(), part.number("d")
    month, is_fit = part.month()
    is_leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    is_fit &= (month >= 1) & (month <= 12)
    month = np.where(is_fit, month, 1)
    is_fit &= (day >= 1) & (day <= _DAYS_IN[month] + (is_leap & (month == 2)))
    is_fit &= (year >= 1825) & (year <= 2115)
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 - 719_162
    days += _DAYS_BEFORE[month] + (is_leap & (month > 2)) + day - 1
    clock_ns, is_clock = part.clock()
    offset_ns, is_offset = part.offset()
    found.time_ns[rows] = np.where(is_fit, days, 0) * DAY_NS + clock_ns - offset_ns
    found.is_time[rows] = is_fit & is_clock & is_offset & part.has_separators()
    found.is_utc[rows] = part.has_offset


class _Parts:
    """Fields of the rows of one shape; `columns` u8[length, rows]."""

    def __init__(self, columns: Matrix, match: re.Match[bytes]) -> None:
        self._columns = columns
        self._match = match
        self._rows = columns.shape[1]

    def number(self, *names: str) -> Ints:
        """A field, 0 where the shape has none."""
        for name in names:
            if self._match.group(name):
                begin, end = self._match.span(name)
                return _digits(self._columns[begin:end])
        return np.zeros(self._rows, np.int64)

    def letters(self, name: str) -> list[str]:
        """The different words of a field, and with `codes` which row has which."""
        begin, end = self._match.span(name)
        words = np.ascontiguousarray(self._columns[begin:end].T).view(f"S{end - begin}").ravel()
        unique, self.codes = np.unique(words, return_inverse=True)
        return [word.decode("utf-8", "replace").strip().casefold() for word in unique.tolist()]

    def year(self) -> Ints:
        """Two digits are 1970 to 2069."""
        year = self.number("y")
        begin, end = self._match.span("y")
        return year if end - begin == 4 else year + np.where(year >= 70, 1900, 2000)

    def month(self) -> tuple[Ints, Bools]:
        """By number or name, and whether there is such a month."""
        if "name" not in self._match.re.groupindex:
            return self.number("m"), np.ones(self._rows, bool)
        number = np.array([_month_of(word) for word in self.letters("name")], np.int64)
        month = number[self.codes]
        return month, month > 0

    def clock(self) -> tuple[Ints, Bools]:
        """Ns since midnight; 24:00 and leap seconds are none."""
        hour, minute = self.number("H", "H2"), self.number("M", "M2")
        second = self.number("S", "S2")
        is_fit = (hour < 24) & (minute < 60) & (second < 60)
        if self._match.group("half"):
            words = self.letters("half")
            is_half = np.array([word in {"am", "pm"} for word in words])[self.codes]
            is_pm = np.array([word == "pm" for word in words])[self.codes]
            is_fit &= is_half & (hour >= 1) & (hour <= 12)
            hour = hour % 12 + np.where(is_pm, 12, 0)
        time_ns = hour * HOUR_NS + minute * MINUTE_NS + second * SECOND_NS
        fraction = next((name for name in ("f", "f2") if self._match.group(name)), None)
        if fraction is not None:
            begin, end = self._match.span(fraction)
            time_ns += self.number(fraction) * 10 ** (9 - (end - begin))
            is_fit &= self._is_rest_zero(fraction, end)
        return time_ns, is_fit

    @property
    def has_offset(self) -> bool:
        """Whether the text says how far from UTC it is."""
        return bool(self._match.group("sign") or self._match.group("zone"))

    def offset(self) -> tuple[Ints, Bools]:
        """Ns east of UTC; of names only Z, UTC and GMT are without doubt."""
        is_fit = np.ones(self._rows, bool)
        if self._match.group("zone"):
            words = self.letters("zone")
            is_fit = np.array([word in {"z", "utc", "gmt"} for word in words])[self.codes]
        if not self._match.group("sign"):
            return np.zeros(self._rows, np.int64), is_fit
        hour, minute = self.number("oh"), self.number("om")
        is_fit = is_fit & (hour <= 18) & (minute < 60)
        is_west = self._columns[self._match.start("sign")] == ord("-")
        offset = hour * HOUR_NS + minute * MINUTE_NS
        return np.where(is_west, -offset, offset), is_fit

    def has_separators(self) -> Bools:
        """A single letter between day and clock is a T."""
        at = [self._match.start(name) - 1 for name in ("H", "H2") if self._match.group(name)]
        if not at or _SHAPE_OF[self._columns[at[0], 0]] != ord("a"):
            return np.ones(self._rows, bool)
        letter = self._columns[at[0]]
        found: Bools = (letter == ord("T")) | (letter == ord("t"))
        return found

    def _is_rest_zero(self, fraction: str, end: int) -> Bools:
        """Digits behind the ninth say nothing, or what no sample can hold."""
        stop = end
        shape = self._match.string
        while fraction == "f" and stop < len(shape) and shape[stop : stop + 1] == b"0":
            stop += 1
        found: Bools = (self._columns[end:stop] == ord("0")).all(axis=0)
        return found


def _month_of(word: str) -> int:
    start = word[:3]
    if start in _MONTHS:
        return _MONTHS.index(start) + 1
    return _MORE_MONTHS.get(start, 0)


def _digits(columns: Matrix) -> Ints:
    """Numbers of rows of digits, the highest first."""
    number: Ints = (columns[0] - ord("0")).astype(np.int64)
    for column in columns[1:]:
        number *= 10
        number += column - ord("0")
    return number
