"""Aggregates by interval and values at moments: answers of JSON as pages of columns.

A question that is larger than one answer may be is asked in parts: by points, and by
spans that end where an interval ends, so that the results are those of one answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.client.document import document, items, rows, text, whole
from penstock.client.errors import Unexpected
from penstock.client.samples import Page
from penstock.client.table import Texts

if TYPE_CHECKING:
    import numpy.typing as npt

    from penstock.client.document import Document
    from penstock.client.points import Point
    from penstock.client.session import Session

POINTS_MAX = 1_000
INTERVALS_MAX = 50_000
RESULTS_MAX = 500_000
MOMENTS_MAX = 100_000
_WIDTH = re.compile(r"(\d{1,9})(ms|s|m|h|d)\Z")
_MS_NS = 1_000_000
_NS = {
    "ms": _MS_NS,
    "s": 1_000 * _MS_NS,
    "m": 60_000 * _MS_NS,
    "h": 3_600_000 * _MS_NS,
    "d": 86_400_000 * _MS_NS,
}
# The shortest that a calendar interval can be: a day on which summer time begins, February.
_LEAST_NS = {"hour": _NS["h"], "day": 23 * _NS["h"], "week": 167 * _NS["h"], "month": 27 * _NS["d"]}
# Results that are integers for every point, and those that are of the point's own kind.
_WHOLE = frozenset(
    {"count", "transitions", "worst_quality", "duration_good", "duration_bad", "duration_zero",
     "duration_nonzero"}
)  # fmt: skip
_OWN = frozenset(
    {"min", "max", "min_at", "max_at", "range", "first", "last", "delta", "start_bound",
     "end_bound", "delta_bounds"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """Aggregates over a span; `more` are further fields of the request, as the API has them."""

    names: Sequence[str]
    begin_ns: int
    end_ns: int
    every: str
    zone: str
    as_of: str
    more: Document


@dataclass(frozen=True, slots=True)
class Result:
    """A part of the answer: a page for each aggregate, over the same intervals."""

    pages: dict[str, Page]
    end_ns: npt.NDArray[np.int64]
    sequence: int


def results(session: Session, points: Sequence[Point], question: Question) -> Iterator[Result]:
    """Results point by point, each in time order, all as of the same log record."""
    as_of = question.as_of
    for begin, end, first, count in _parts(question, len(points)):
        chosen = points[first : first + count]
        body: Document = {
            **question.more,
            "points": [point.id for point in chosen],
            "aggregates": [*question.names],
            "from": str(begin),
            "to": str(end),
            "every": question.every,
            "zone": question.zone,
            "as_of": as_of,
        }
        answer = session.post("/aggregate", body)
        as_of = as_of if as_of.isdecimal() else text(answer["sequence"])
        yield from _of_points(answer, chosen, first, question.names)


def values_at(
    session: Session,
    points: Sequence[Point],
    times_ns: Sequence[int],
    interpolation: str,
    as_of: str,
) -> Iterator[tuple[Page, int]]:
    """(values of one point at the moments, sequence), point by point."""
    at_once = max(1, min(POINTS_MAX, RESULTS_MAX // max(1, len(times_ns))))
    for first in range(0, len(points), at_once):
        chosen = points[first : first + at_once]
        body: Document = {
            "points": [point.id for point in chosen],
            "times": [str(time_ns) for time_ns in times_ns],
            "interpolation": interpolation,
            "as_of": as_of,
        }
        answer = session.post("/at", body)
        as_of = as_of if as_of.isdecimal() else text(answer["sequence"])
        moments = np.array([whole(item) for item in items(answer["time_ns"])], np.int64)
        for place, row in enumerate(items(answer["points"]), first):
            found = document(row)
            kind = _kind(items(found["value"]), points[place].kind)
            page = _page(kind, place, moments, items(found["value"]), items(found["quality"]))
            yield page, whole(answer["sequence"])


def _parts(question: Question, points: int) -> Iterator[tuple[int, int, int, int]]:
    """(begin, end, first point, points): all spans of some points, then the next points."""
    spans = list(_spans(question))
    longest = max((_intervals(question, end - begin) for begin, end in spans), default=1)
    at_once = max(1, min(POINTS_MAX, RESULTS_MAX // (longest * len(question.names))))
    for first in range(0, points, at_once):
        for begin, end in spans:
            yield begin, end, first, min(at_once, points - first)


def _intervals(question: Question, length_ns: int) -> int:
    match = _WIDTH.match(question.every)
    width_ns = int(match[1]) * _NS[match[2]] if match else _LEAST_NS.get(question.every, 0)
    return length_ns // width_ns + 2 if width_ns else 1


def _spans(question: Question) -> Iterator[tuple[int, int]]:
    """The span cut at ends of intervals; only those of a width are known here."""
    match = _WIDTH.match(question.every)
    width_ns = int(match[1]) * _NS[match[2]] if match else 0
    most = min(INTERVALS_MAX, RESULTS_MAX // len(question.names)) - 2
    step_ns = most * width_ns
    begin_ns = question.begin_ns
    while step_ns and question.end_ns - begin_ns > step_ns:
        end_ns = (begin_ns // width_ns) * width_ns + step_ns
        yield begin_ns, end_ns
        begin_ns = end_ns
    yield begin_ns, question.end_ns


def _of_points(
    answer: Document, points: Sequence[Point], first: int, names: Sequence[str]
) -> Iterator[Result]:
    begins = np.array([whole(item) for item in items(answer["begin_ns"])], np.int64)
    ends = np.array([whole(item) for item in items(answer["end_ns"])], np.int64)
    sequence = whole(answer["sequence"])
    for place, (point, row) in enumerate(zip(points, rows(answer["points"]), strict=True), first):
        columns = document(row["columns"])
        pages = {}
        for name in names:
            column = document(columns[name])
            values = items(column["value"])
            kind = _kind(values, _result_kind(name, point.kind))
            pages[name] = _page(kind, place, begins, values, items(column["quality"]))
        yield Result(pages, ends, sequence)


def _result_kind(name: str, point_kind: str) -> str:
    """Kind of a result, also where no interval has one."""
    if name in _WHOLE:
        return "int"
    return point_kind if name in _OWN else "float"


def _kind(values: Sequence[object], expected: str) -> str:
    """A float is always one; numbers that come as text are as expected."""
    if expected == "waveform" or any(isinstance(value, float) for value in values):
        return "float"
    return expected


def _page(
    kind: str,
    place: int,
    time_ns: npt.NDArray[np.int64],
    values: Sequence[object],
    qualities: Sequence[object],
) -> Page:
    is_there = np.array([value is not None for value in values], bool)
    return Page(
        kind,
        np.full(len(values), place, np.uint32),
        time_ns,
        _array(kind, values),
        is_there,
        np.array(qualities, np.uint8),
    )


def _array(kind: str, values: Sequence[object]) -> Any:
    if kind == "text":
        return Texts.of([text(value) for value in values])
    try:
        if kind == "int":
            return np.array([0 if value is None else whole(value) for value in values], np.int64)
        return np.array([np.nan if value is None else value for value in values], np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise Unexpected(f"A result is no {kind}: {error}.") from error
