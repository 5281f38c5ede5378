"""Answers as bytes: the trend of a chart and CSV for a person's spreadsheet."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from penstock.codec.trend import EnvelopePen, PenState, RawPen, encode_envelope, encode_raw
from penstock.historian.columns import Columns, empty_columns
from penstock.historian.envelope import (
    RAW_POINTS_PER_PX,
    RAW_ROWS_MAX,
    envelope,
    grid_of,
    raw_pen,
    rows_estimate,
)
from penstock.historian.query import Snapshot, rows_between
from penstock.model import Flag, Quality, TextColumn, ValueKind
from penstock.model.time import format_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PENS_MAX = 16
CSV_POINTS_MAX = 256
INFINITIES = {float("inf"): "Infinity", float("-inf"): "-Infinity"}
"""JSON has no number for these; the words are those of JavaScript's Number()."""
CSV_HEADER = ("time", "point", "value", "quality", "unit", "simulated")
Mode = Literal["envelope", "raw", "auto"]
Span = tuple[int, int]
_Pen = TypeVar("_Pen", EnvelopePen, RawPen)

# A spreadsheet takes a cell that begins like this for a formula and runs it.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CSV_ROWS = 4_096
_QUALITY = {int(quality): quality.name.lower() for quality in Quality}


def trend(
    snapshot: Snapshot,
    handles: Sequence[int | None],
    from_ns: int,
    to_ns: int,
    px: int,
    mode: Mode,
    lost: Sequence[Span] = (),
) -> bytes:
    """Trend answer; None among the handles is a point that the caller cannot see.

    `lost`: spans in which samples of any point may be missing; no line goes through them.
    """
    assert 0 < len(handles) <= PENS_MAX
    known = [handle for handle in handles if handle is not None]
    if mode == "auto":
        mode = _mode_for(snapshot, known, from_ns, to_ns, px)
    if mode == "raw":
        share = RAW_ROWS_MAX // len(handles)
        raw = {handle: raw_pen(snapshot, handle, from_ns, to_ns, share) for handle in set(known)}
        raw = {handle: broken(pen, lost, from_ns, to_ns) for handle, pen in raw.items()}
        pens = [_NO_RAW_PEN if handle is None else raw[handle] for handle in handles]
        return encode_raw(pens, from_ns, snapshot.sequence)
    grid = grid_of(from_ns, to_ns, px)
    drawn = {handle: envelope(snapshot, handle, grid) for handle in set(known)}
    drawn = {handle: broken(pen, lost, grid.t0_ns, grid.end_ns) for handle, pen in drawn.items()}
    nothing = _no_pen(grid.columns)
    answer = [nothing if handle is None else drawn[handle] for handle in handles]
    return encode_envelope(answer, grid.t0_ns, grid.dt_ns, grid.columns, snapshot.sequence)


def broken(pen: _Pen, lost: Sequence[Span], from_ns: int, to_ns: int) -> _Pen:
    """The pen with gaps where samples may be missing, in order and without overlap."""
    if not lost:
        return pen
    cut: list[Span] = [
        (max(begin, from_ns), min(max(end, begin + 1), to_ns)) for begin, end in lost
    ]
    joined: list[Span] = []
    for begin, end in sorted([*pen.gaps, *(span for span in cut if span[0] < span[1])]):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return replace(pen, gaps=joined)


def _mode_for(
    snapshot: Snapshot, handles: Sequence[int], from_ns: int, to_ns: int, px: int
) -> Literal["envelope", "raw"]:
    """Raw only if every pen has fewer than four samples a pixel; one answer has one mode."""
    most = max((rows_estimate(snapshot, handle, from_ns, to_ns) for handle in handles), default=0)
    return "raw" if most < RAW_POINTS_PER_PX * px else "envelope"


_NOTHING = empty_columns(ValueKind.FLOAT)
_NO_RAW_PEN = RawPen(
    int(ValueKind.FLOAT),
    _NOTHING.time_ns,
    np.zeros(0),
    _NOTHING.quality,
    state=PenState.NOT_FOUND,
)


def _no_pen(columns: int) -> EnvelopePen:
    void = np.full(columns, np.nan)
    quality = np.full(columns, 255, np.uint8)
    return EnvelopePen(int(ValueKind.FLOAT), void, void, quality, 0, state=PenState.NOT_FOUND)


@dataclass(frozen=True, slots=True)
class CsvPoint:
    """What a CSV row says about its point."""

    handle: int
    path: str
    unit: str
    is_simulated: bool = False


def csv_rows(
    snapshot: Snapshot, points: Sequence[CsvPoint], from_ns: int, to_ns: int
) -> Iterator[bytes]:
    """UTF-8 lines, point by point in the order of the request, each in time order.

    A value is exact (shortest text that reads back to the same bits); a sample
    without a value has an empty cell.
    """
    yield _lines([CSV_HEADER])
    for point in points:
        words = guarded(point.path), guarded(point.unit), str(point.is_simulated).lower()
        for rows in rows_between(snapshot, point.handle, from_ns, to_ns):
            for begin in range(0, len(rows), _CSV_ROWS):
                yield _csv_block(rows.slice(begin, min(len(rows), begin + _CSV_ROWS)), *words)


def guarded(text: str) -> str:
    """The text behind an apostrophe if a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def quality_word(quality: int) -> str:
    """Name of a quality in lower case; "quality_<n>" for a byte without a name."""
    return _QUALITY.get(quality, f"quality_{quality}")


def cells(rows: Columns) -> list[float | int | str | None]:
    """Exact values of the rows; None where there is no value."""
    value: list[float | int | str]
    if isinstance(rows.value, TextColumn):
        value = list(rows.value.to_list())
    else:
        value = rows.value.tolist()
    is_void = (rows.flags & Flag.NO_VALUE) != 0
    return [
        None if void or item != item else item  # noqa: PLR0124 (NaN)
        for item, void in zip(value, is_void.tolist(), strict=True)
    ]


def _csv_block(rows: Columns, path: str, unit: str, simulated: str) -> bytes:
    times = [format_ns(time_ns) for time_ns in rows.time_ns.tolist()]
    words = [quality_word(quality) for quality in rows.quality.tolist()]
    texts = [_cell(item) for item in cells(rows)]
    return _lines(
        [
            (time, path, text, word, unit, simulated)
            for time, text, word in zip(times, texts, words, strict=True)
        ]
    )


def _cell(item: float | str | None) -> str:
    if item is None:
        return ""
    return guarded(item) if isinstance(item, str) else repr(item)


def _lines(rows: Sequence[tuple[str, ...]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerows(rows)
    return buffer.getvalue().encode()
