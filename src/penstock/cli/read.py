"""`penstock read`: newest values as a table, history as a table or CSV."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from penstock.cli.client import Client
from penstock.cli.document import document, items, text, whole
from penstock.cli.outcome import EXIT_OK, UsageFault
from penstock.cli.output import age_text, say_json, say_table
from penstock.cli.points import NO_VALUE, all_points, find_points, value_text
from penstock.cli.quality_words import quality_columns
from penstock.cli.read_aggregates import say_aggregates
from penstock.cli.read_past import say_values_at
from penstock.cli.times import moment, time_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from penstock.cli.document import Document

IDS_AT_ONCE = 200
SAMPLES_AT_ONCE = 10_000
SECOND_NS = 1_000_000_000


def run(options: argparse.Namespace) -> int:
    """Newest values, or with --from the history."""
    if not options.path and not options.all:
        raise UsageFault("Name a point or a pattern, or say --all.")
    if (options.end or options.csv or options.aggregate) and not options.begin:
        raise UsageFault(
            "--to, --csv and --aggregate belong to a history; say --from too, such as --from 1h."
        )
    client = Client(options.home)
    points = all_points(client) if options.all else find_points(client, options.path)
    if options.at:
        now_ns = time.time_ns()
        times = [moment(word, now_ns) for word in options.at.split(",") if word]
        say_values_at(client, points, options, times)
    elif options.begin:
        _say_history(client, points, options)
    else:
        _say_last(client, points, options.as_of, is_json=options.json)
    return EXIT_OK


def last_rows(client: Client, points: list[Document], as_of: str = "") -> Iterator[Document]:
    """Newest samples in the order of the points; a point without one has value null."""
    for begin in range(0, len(points), IDS_AT_ONCE):
        part = points[begin : begin + IDS_AT_ONCE]
        ids = ",".join(text(point["id"]) for point in part)
        answer = client.get("/points/last", {"ids": ids, "as_of": as_of})
        now_ns = whole(answer["server_time_ns"])
        for point, value in zip(part, items(answer["values"]), strict=True):
            yield _last_row(point, None if value is None else document(value), now_ns)


def _last_row(point: Document, value: Document | None, now_ns: int) -> Document:
    row: Document = {
        "path": point["path"],
        "id": point["id"],
        "unit": point["unit"],
        "simulated": point["simulated"],
    }
    if value is None:
        nothing: Document = {"value": None, "text": NO_VALUE, **quality_columns(None)}
        return {**row, **nothing, "time": None, "age_s": None}
    time_ns = whole(value["time_ns"])
    return {
        **row,
        "value": value["value"],
        "text": value_text(point, value["value"]),
        **quality_columns(whole(value["quality"])),
        "time": time_text(time_ns),
        "age_s": round(max(0, now_ns - time_ns) / SECOND_NS, 3),
    }


def _say_last(client: Client, points: list[Document], as_of: str, *, is_json: bool) -> None:
    found = list(last_rows(client, points, as_of))
    if is_json:
        say_json(found)
        return
    lines = []
    for row in found:
        quality, age_s = row["quality"], row["age_s"]
        words = "no sample yet" if quality is None else text(quality)
        words += " SIMULATED" if row["simulated"] else ""
        age = age_text(age_s if isinstance(age_s, float) else None)
        lines.append((text(row["path"]), text(row["text"]), words, age))
    say_table(("POINT", "VALUE", "QUALITY", "AGE"), lines)


def _say_history(client: Client, points: list[Document], options: argparse.Namespace) -> None:
    now_ns = time.time_ns()
    span = {
        "from": moment(options.begin, now_ns),
        "to": moment(options.end, now_ns) if options.end else str(now_ns),
    }
    if options.aggregate:
        say_aggregates(client, points, options, span)
        return
    span["as_of"] = options.as_of
    if options.csv:
        ids = ",".join(text(point["id"]) for point in points)
        sys.stdout.buffer.write(client.get_bytes("/trend.csv", {**span, "points": ids}))
    elif options.json:
        say_json([row for point in points for row in _samples(client, point, span)])
    else:
        print("TIME                            VALUE  QUALITY  POINT")
        for point in points:
            for row in _samples(client, point, span):
                value = value_text(point, row["value"])
                print(
                    f"{text(row['time'])}  {value}  {text(row['quality'])}  {text(point['path'])}"
                )


def _samples(client: Client, point: Document, span: dict[str, str]) -> Iterator[Document]:
    """All samples of a point, a page at a time."""
    cursor = ""
    while True:
        query = {**span, "limit": str(SAMPLES_AT_ONCE), "cursor": cursor}
        page = client.get(f"/points/{text(point['id'])}/samples", query)
        columns = (items(page[name]) for name in ("time_ns", "value", "quality"))
        for time_ns, value, quality in zip(*columns, strict=True):
            moment_text = time_text(whole(time_ns))
            row: Document = {"path": point["path"], "time": moment_text, "value": value}
            yield row | quality_columns(whole(quality))
        cursor = text(page.get("cursor"))
        if not cursor:
            return
