"""`penstock read` with --aggregate and --at: a line an interval, or a moment."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from penstock.cli.document import document, items, text, whole
from penstock.cli.output import say_json
from penstock.cli.points import value_text
from penstock.cli.quality_words import quality_text
from penstock.cli.times import time_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from penstock.cli.client import Client
    from penstock.cli.document import Document

POINTS_AT_ONCE = 50
# Results of these are counts and durations, not quantities of the point.
_PLAIN = {"count", "transitions", "worst_quality"}


def say_aggregates(
    client: Client, points: list[Document], options: argparse.Namespace, span: dict[str, str]
) -> None:
    """Aggregates of the points by interval: CSV, JSON or a table."""
    query = {
        **span,
        "aggregates": options.aggregate,
        "every": options.every,
        "zone": options.zone,
        "interpolation": "sloped" if options.sloped else "stepped",
        "as_of": options.as_of,
    }
    parts = [points[n : n + POINTS_AT_ONCE] for n in range(0, len(points), POINTS_AT_ONCE)]
    if options.csv:
        for number, part in enumerate(parts):
            body = client.get_bytes("/aggregate.csv", {**query, "points": _ids(part)})
            sys.stdout.buffer.write(body if not number else body.partition(b"\r\n")[2])
        return
    found = [row for part in parts for row in _aggregates(client, part, query)]
    if options.json:
        say_json(found)
        return
    print("BEGIN                           AGGREGATE  VALUE  QUALITY  POINT")
    for row in found:
        print(
            f"{text(row['begin'])}  {text(row['aggregate'])}  {text(row['text'])}  "
            f"{quality_text(whole(row['quality']))}  {text(row['path'])}"
        )


def _ids(points: list[Document]) -> str:
    return ",".join(text(point["id"]) for point in points)


def _aggregates(
    client: Client, points: list[Document], query: dict[str, str]
) -> Iterator[Document]:
    answer = client.get("/aggregate", {**query, "points": _ids(points)})
    begins = [time_text(whole(begin)) for begin in items(answer["begin_ns"])]
    for point, result in zip(points, items(answer["points"]), strict=True):
        if result is None:
            continue
        for name, column in document(document(result)["columns"]).items():
            columns = document(column)
            values, qualities = items(columns["value"]), items(columns["quality"])
            for begin, value, quality in zip(begins, values, qualities, strict=True):
                yield {
                    "path": point["path"],
                    "aggregate": name,
                    "begin": begin,
                    "value": value,
                    "text": _words(point, name, value),
                    "quality": whole(quality),
                }


def _words(point: Document, name: str, value: object) -> str:
    if value is None:
        return "-"
    if name.startswith("duration") or name == "time_in_state":
        return f"{whole(value) / 1e9:g} s"
    if name.startswith("percent"):
        return f"{value} %"
    return str(value) if name in _PLAIN else value_text(point, value)


def say_values_at(
    client: Client, points: list[Document], options: argparse.Namespace, times: list[str]
) -> None:
    """Values of the points at moments."""
    query = {
        "times": ",".join(times),
        "interpolation": "sloped" if options.sloped else "previous",
        "as_of": options.as_of,
    }
    found = []
    for point in points:
        answer = client.get(f"/points/{text(point['id'])}/at", query)
        (result,) = items(answer["points"])
        columns = document(result)
        rows = zip(
            items(answer["time_ns"]),
            items(columns["value"]),
            items(columns["quality"]),
            strict=True,
        )
        for time_ns, value, quality in rows:
            moment = time_text(whole(time_ns))
            row = {"path": point["path"], "time": moment, "value": value, "quality": quality}
            found.append({**row, "text": value_text(point, value)})
    if options.json:
        say_json(found)
        return
    print("TIME                            VALUE  QUALITY  POINT")
    for row in found:
        quality = quality_text(whole(row["quality"]))
        print(f"{text(row['time'])}  {text(row['text'])}  {quality}  {text(row['path'])}")
