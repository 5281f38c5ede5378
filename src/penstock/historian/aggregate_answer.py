"""Aggregates as JSON and CSV: exact integers as text, and null where a number is none."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import orjson

from penstock.historian.answer import INFINITIES, CsvPoint, guarded, quality_word
from penstock.historian.results import Column, Info
from penstock.model.point import NAME_BY_KIND
from penstock.model.time import format_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    import numpy.typing as npt

    from penstock.historian.aggregate import Answer
    from penstock.historian.intervals import Intervals
    from penstock.model import Point

CSV_HEADER = ("begin", "end", "point", "aggregate", "value", "time", "quality", "info", "unit")
# Results of these are no quantities of the point's unit.
_OWN_UNIT = {
    "count": "",
    "transitions": "",
    "worst_quality": "",
    "percent_good": "%",
    "percent_bad": "%",
    "duration_good": "ns",
    "duration_bad": "ns",
    "duration_zero": "ns",
    "duration_nonzero": "ns",
    "time_in_state": "ns",
}
JsonValue = float | str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A point of the request: None as `point` where it does not exist for the caller."""

    id: UUID
    point: Point | None


def json_of(
    asked: Sequence[Asked], answers: dict[int, Answer], intervals: Intervals, sequence: int
) -> bytes:
    """The whole answer as JSON."""
    points = [
        None if item.point is None else _point(item.point, answers[item.point.handle])
        for item in asked
    ]
    document = {
        "sequence": str(sequence),
        "begin_ns": [str(edge) for edge in intervals.edges[:-1].tolist()],
        "end_ns": [str(edge) for edge in intervals.edges[1:].tolist()],
        "points": points,
    }
    return orjson.dumps(document)


def _point(point: Point, answer: Answer) -> dict[str, object]:
    return {
        "id": str(point.id),
        "kind": NAME_BY_KIND[point.kind],
        "unit": point.unit,
        "simulated": point.simulated,
        "columns": {
            name: {"unit": unit_of(name, point.unit), **_column(column)}
            for name, column in answer.columns.items()
        },
        "states": {
            str(state): [str(ns) for ns in duration_ns.tolist()]
            for state, duration_ns in answer.states.items()
        },
        "other_states": None
        if answer.other_states is None
        else [str(ns) for ns in answer.other_states.tolist()],
    }


def _column(column: Column) -> dict[str, object]:
    time_ns = column.time_ns
    return {
        "value": json_values(column.value, column.is_there),
        "quality": column.quality.tolist(),
        "info": column.info.tolist(),
        "time_ns": None if time_ns is None else _times(time_ns, column.is_there),
    }


def _times(time_ns: npt.NDArray[np.int64], is_there: npt.NDArray[np.bool_]) -> list[str | None]:
    pairs = zip(time_ns.tolist(), is_there.tolist(), strict=True)
    return [str(time) if there else None for time, there in pairs]


def json_values(value: npt.NDArray[np.generic], is_there: npt.NDArray[np.bool_]) -> list[JsonValue]:
    """float64 as numbers, integers, texts and infinities as text, null for NaN and nothing."""
    if value.dtype == np.float64:
        known = is_there & ~np.isnan(value)
        pairs = zip(value.tolist(), known.tolist(), strict=True)
        if np.isinf(value).any():
            return [INFINITIES.get(item, item) if there else None for item, there in pairs]
        return [item if there else None for item, there in pairs]
    pairs = zip(value.tolist(), is_there.tolist(), strict=True)
    return [
        (item if isinstance(item, float) else str(item)) if there else None for item, there in pairs
    ]


def unit_of(name: str, unit: str) -> str:
    """UCUM code of the results of an aggregate of a point in `unit`: "m3/h.s" of a total flow."""
    is_number = unit in {"", "1"}
    if name == "total":
        return "s" if is_number else f"{unit}.s"
    if name in {"var_sample", "var_population"}:
        return unit if is_number else f"({unit})2"
    return _OWN_UNIT.get(name, unit)


def csv_of(
    points: Sequence[CsvPoint], answers: dict[int, Answer], intervals: Intervals
) -> Iterator[bytes]:
    """UTF-8 lines: point by point, aggregate by aggregate, each in time order."""
    yield _lines([CSV_HEADER])
    edges = [format_ns(edge) for edge in intervals.edges.tolist()]
    for point in points:
        for name, column in answers[point.handle].columns.items():
            yield _lines(_csv_lines(point, name, column, edges))


def _csv_lines(
    point: CsvPoint, name: str, column: Column, edges: list[str]
) -> Iterator[tuple[str, ...]]:
    path, unit = guarded(point.path), guarded(unit_of(name, point.unit))
    values = json_values(column.value, column.is_there)
    times = [None] * len(values) if column.time_ns is None else column.time_ns.tolist()
    for number, value in enumerate(values):
        time_ns = times[number]
        text = _csv_text(value, column)
        yield (
            edges[number],
            edges[number + 1],
            path,
            name,
            guarded(text) if column.value.dtype == object else text,
            "" if time_ns is None or value is None else format_ns(time_ns),
            quality_word(int(column.quality[number])),
            info_words(int(column.info[number])),
            unit,
        )


def _csv_text(value: JsonValue, column: Column) -> str:
    """Numbers as Python reads and writes them, infinities too."""
    if value is None:
        return ""
    return repr(float(value)) if column.value.dtype == np.float64 else str(value)


def info_words(info: int) -> str:
    """Information bits in words: "calculated partial"; "" for a stored sample."""
    return " ".join(flag.name.lower() for flag in Info if flag & info and flag.name)


def _lines(rows: Iterator[tuple[str, ...]] | list[tuple[str, ...]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerows(rows)
    return buffer.getvalue().encode()
