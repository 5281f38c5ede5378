"""`penstock audit`: who changed what, and when; the newest last, as in a log."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from penstock.cli.client import Client
from penstock.cli.document import document, rows, text, whole
from penstock.cli.outcome import EXIT_OK, UsageFault
from penstock.cli.output import say_json, say_table
from penstock.cli.times import time_text
from penstock.client.times import time_ns

if TYPE_CHECKING:
    import argparse

    from penstock.cli.document import Document

PAGE = 500
NEWEST = 100
CHARACTERS_MAX = 300


def run(options: argparse.Namespace) -> int:
    """Entries since a moment, or the newest ones."""
    since_ns = None if options.since is None else _moment_ns(options.since)
    entries = read_entries(Client(options.home), since_ns)
    if options.json:
        shown = [{**entry, "time": time_text(whole(entry["time_ns"]))} for entry in entries]
        say_json(shown)
        return EXIT_OK
    lines = [
        (
            time_text(whole(entry["time_ns"]))[:19] + "Z",
            text(entry["principal"]),
            text(entry["action"]),
            text(entry["object"]),
            text(entry["outcome"]),
            _cut(change_text(entry["old"], entry["new"])),
        )
        for entry in entries
    ]
    say_table(("TIME", "WHO", "ACTION", "OBJECT", "OUTCOME", "CHANGE"), lines)
    return EXIT_OK


def _cut(words: str) -> str:
    return words if len(words) <= CHARACTERS_MAX else f"{words[:CHARACTERS_MAX]}... (--json)"


def read_entries(client: Client, since_ns: int | None) -> list[Document]:
    """Oldest first: all since the moment, or the newest without one."""
    found: list[Document] = []
    cursor = ""
    while True:
        query = {"limit": str(PAGE if since_ns is not None else NEWEST)}
        page = client.get("/audit", {**query, "cursor": cursor} if cursor else query)
        entries = rows(page["entries"])
        wanted = [entry for entry in entries if since_ns is None or _is_since(entry, since_ns)]
        found += wanted
        cursor = text(page.get("cursor"))
        if since_ns is None or not cursor or len(wanted) < len(entries):
            return found[::-1]


def _moment_ns(word: str) -> int:
    try:
        return time_ns(word, time.time_ns())
    except ValueError as error:
        raise UsageFault(
            f"--since {word} is no time; say RFC 3339 with its zone, or a span back such as 7d."
        ) from error


def _is_since(entry: Document, since_ns: int) -> bool:
    return whole(entry["time_ns"]) >= since_ns


def change_text(old: object, new: object) -> str:
    """`level: 4.0 -> 4.5`, for every value that has an old or a new one."""
    before, after = _flat(old), _flat(new)
    names = [*after, *(name for name in before if name not in after)]
    return "; ".join(_one(name, before.get(name), after.get(name)) for name in names)


def _one(name: str, before: str | None, after: str | None) -> str:
    words = f"{name}: " if name else ""
    if before is None:
        return f"{words}{after}"
    return f"{words}{before} -> {'-' if after is None else after}"


def _flat(value: object, name: str = "") -> dict[str, str]:
    """Leaves by their path; a count of 0 says nothing."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        is_nothing = value == 0 and not isinstance(value, bool) and name.endswith(_COUNTED)
        return {} if is_nothing else {name: value if isinstance(value, str) else json.dumps(value)}
    found: dict[str, str] = {}
    for key, item in document(value).items():
        found |= _flat(item, f"{name} {key}" if name else key)
    return found


_COUNTED = ("_added", "_changed", "_removed")
