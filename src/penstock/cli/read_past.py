"""`penstock read --at`: a line a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.cli.document import document, items, text, whole
from penstock.cli.output import say_json, say_table
from penstock.cli.points import value_text
from penstock.cli.quality_words import quality_columns
from penstock.cli.times import time_text

if TYPE_CHECKING:
    import argparse

    from penstock.cli.client import Client
    from penstock.cli.document import Document


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
            row: Document = {"path": point["path"], "time": moment, "value": value}
            row |= quality_columns(whole(quality))
            found.append({**row, "text": value_text(point, value)})
    if options.json:
        say_json(found)
        return
    names = ("time", "text", "quality", "path")
    lines = [[text(row[name]) for name in names] for row in found]
    say_table(("TIME", "VALUE", "QUALITY", "POINT"), lines)
