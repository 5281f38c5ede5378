"""`penstock size`: what takes the space, and when the disk is full at today's rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.cli.client import Client
from penstock.cli.document import document, rows, text, whole
from penstock.cli.outcome import EXIT_OK
from penstock.cli.output import say_json, say_table

if TYPE_CHECKING:
    import argparse

    from penstock.cli.document import Document

MB = 1_000_000
YEAR_DAYS = 365.0
GROUPS = {"kind": "kinds", "type": "types", "connector": "connectors", "point": "points"}


def run(options: argparse.Namespace) -> int:
    """0 when the node has answered."""
    query = {"limit": str(options.limit)}
    answer = Client(options.home).get("/size", query)
    if options.json:
        say_json(answer)
        return EXIT_OK
    print(f"{whole(answer['rows']):,} samples in {whole(answer['bytes']) / MB:,.1f} MB.")
    print(sentence(document(answer["growth"])))
    print()
    lines = [_line(item) for item in rows(answer[GROUPS[options.by]])[: options.limit]]
    say_table([options.by, "samples", "MB", "MB a day", "bytes a sample"], lines)
    return EXIT_OK


def sentence(growth: Document) -> str:
    """When the disk is full, as far as that can be said."""
    state, days = text(growth["state"]), whole(growth["days"])
    if state == "too_little":
        return "When the disk is full cannot be said yet: no whole day (UTC) has been recorded."
    rate = f"{_number(growth['bytes_per_day']) / MB:,.1f} MB a day"
    if state == "never":
        return f"The disk is not full within 100 years at today's rate ({rate})."
    left = _number(growth["days_left"])
    span = f"{left:,.0f} days" if left < YEAR_DAYS else f"{left / YEAR_DAYS:,.1f} years"
    basis = f"{days} whole days" if days > 1 else "one whole day only"
    return f"Full in {span} at today's rate ({rate}, from {basis})."


def _line(item: Document) -> list[str]:
    count, size = whole(item["rows"]), whole(item["bytes"])
    return [
        text(item["name"]) or "-",
        f"{count:,}",
        f"{size / MB:,.2f}",
        f"{_number(item['bytes_per_day']) / MB:,.2f}",
        f"{size / count:.2f}" if count else "-",
    ]


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
