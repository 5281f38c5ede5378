"""`penstock read --aggregate`: a line an interval; the table is rounded, JSON and CSV are exact.

A result is not always in the unit of its point: a total is unit x seconds, a variance
is the unit squared, a share is per cent.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from penstock.cli.document import document, items, text, whole
from penstock.cli.output import say_error, say_json, say_table
from penstock.cli.points import NO_VALUE, value_text
from penstock.cli.quality_words import quality_columns, quality_text
from penstock.cli.times import time_text
from penstock.client.times import SECOND_NS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from penstock.cli.client import Client
    from penstock.cli.document import Document

POINTS_AT_ONCE = 50
PARTIAL = 4
CALENDAR = ("hour", "day", "week", "month")
TIME_IN_STATE = "time_in_state"
_COUNTS = ("count", "transitions")
_VARIANCES = ("var_sample", "var_population")


def say_aggregates(
    client: Client, points: list[Document], options: argparse.Namespace, span: dict[str, str]
) -> None:
    """Aggregates of the points by interval: CSV, JSON or a table."""
    zone = options.zone or plant_zone(client)
    query = {
        **span,
        "aggregates": options.aggregate,
        "every": options.every,
        "zone": zone,
        "interpolation": "sloped" if options.sloped else "stepped",
        "as_of": options.as_of,
    }
    if options.every in CALENDAR:
        say_error(f"Each {options.every} is one of {zone}; --zone takes another time zone.")
    parts = [points[n : n + POINTS_AT_ONCE] for n in range(0, len(points), POINTS_AT_ONCE)]
    if options.csv:
        for number, part in enumerate(parts):
            body = client.get_bytes("/aggregate.csv", {**query, "points": _ids(part)})
            sys.stdout.buffer.write(body if not number else body.partition(b"\r\n")[2])
        return
    found = [row for part in parts for row in _aggregates(client, part, query)]
    if options.json:
        say_json([{key: row[key] for key in row if not key.startswith("_")} for row in found])
    else:
        _say(found, zone if options.every in CALENDAR else "UTC")


def plant_zone(client: Client) -> str:
    """The time zone of the plant, as penstock.toml has it."""
    return text(document(client.get("/session")["plant"])["zone"])


def _ids(points: list[Document]) -> str:
    return ",".join(text(point["id"]) for point in points)


def _aggregates(
    client: Client, points: list[Document], query: dict[str, str]
) -> Iterator[Document]:
    answer = client.get("/aggregate", {**query, "points": _ids(points)})
    edges = [
        (whole(begin), whole(end))
        for begin, end in zip(items(answer["begin_ns"]), items(answer["end_ns"]), strict=True)
    ]
    for point, result in zip(points, items(answer["points"]), strict=True):
        if result is None:
            continue
        states = document(document(result)["states"])
        for name, column in document(document(result)["columns"]).items():
            yield from _column(point, name, document(column), edges, states)


def _column(
    point: Document,
    name: str,
    column: Document,
    edges: list[tuple[int, int]],
    states: Document,
) -> Iterator[Document]:
    values, qualities, infos = (items(column[key]) for key in ("value", "quality", "info"))
    times = items(column["time_ns"]) if column["time_ns"] is not None else [None] * len(values)
    for place, (begin_ns, end_ns) in enumerate(edges):
        when = times[place]
        row: Document = {
            "path": point["path"],
            "aggregate": name,
            "begin": time_text(begin_ns),
            "end": time_text(end_ns),
            "value": values[place],
            "unit": column["unit"],
            "text": _words(point, name, values[place]),
            "time": None if when is None else time_text(whole(when)),
            **quality_columns(whole(qualities[place])),
            "is_partial": bool(whole(infos[place]) & PARTIAL),
            "_point": point,
            "_begin_ns": begin_ns,
            "_end_ns": end_ns,
            "_time_ns": when,
        }
        if name == TIME_IN_STATE:
            row["states"] = {state: items(durations)[place] for state, durations in states.items()}
        yield row


def _words(point: Document, name: str, value: object) -> str:
    """For people: six digits, the decimals of the point for what is in its unit."""
    if value is None:
        return NO_VALUE
    if name.startswith("duration") or name == TIME_IN_STATE:
        return _seconds(value)
    if name == "worst_quality":
        return quality_text(whole(value))
    if name in _COUNTS:
        return str(value)
    if name.startswith("percent"):
        return f"{value:.6g} %"
    label = text(point["unit_label"])
    if name == "total":
        return f"{_number(value)} {f'{label}·s' if label else 's'}"
    if name in _VARIANCES:
        return f"{_number(value)} {f'({label})²' if label else ''}".rstrip()
    return value_text(point, value)


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _seconds(value: object) -> str:
    return f"{whole(value) / SECOND_NS:.6g} s"


def _say(found: list[Document], zone: str) -> None:
    lines = [line for row in found for line in _lines(row, zone)]
    header = (f"BEGIN ({zone})", "END", "AGGREGATE", "VALUE", "AT", "QUALITY", "NOTE", "POINT")
    used = [not lines or any(line[n] for line in lines) for n in range(len(header))]
    say_table(
        [word for word, is_used in zip(header, used, strict=True) if is_used],
        [[cell for cell, is_used in zip(line, used, strict=True) if is_used] for line in lines],
    )


def _lines(row: Document, zone: str) -> Iterator[tuple[str, ...]]:
    begin, end = (short_time(whole(row[key]), zone) for key in ("_begin_ns", "_end_ns"))
    when = "" if row["_time_ns"] is None else short_time(whole(row["_time_ns"]), zone)
    tail = (text(row["quality"]), "partial" if row["is_partial"] else "", text(row["path"]))
    name = text(row["aggregate"])
    yield (begin, end, name, text(row["text"]), when, *tail)
    labels = document(document(row["_point"]).get("labels") or {})
    for state, duration in document(row.get("states") or {}).items():
        word = text(labels.get(state) or state)
        yield (begin, end, f"  {word}", _seconds(duration), "", *tail)


def short_time(time_ns: int, zone: str) -> str:
    """A moment on the clock of `zone`, with as many digits of the second as it has, at most ms."""
    seconds, rest = divmod(time_ns, SECOND_NS)
    local = datetime.fromtimestamp(seconds, UTC).astimezone(ZoneInfo(zone))
    milliseconds = rest // 1_000_000
    return f"{local:%Y-%m-%d %H:%M:%S}" + (f".{milliseconds:03d}" if milliseconds else "")
