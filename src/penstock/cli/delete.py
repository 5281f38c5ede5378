"""`penstock delete`: propose, type the phrase, wait until it is hidden; undo within the grace."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from penstock.cli.client import Client
from penstock.cli.document import rows, text, whole
from penstock.cli.outcome import EXIT_FAULT, EXIT_OK, Fault, UsageFault
from penstock.cli.output import say_error, say_json, say_table
from penstock.cli.times import moment, time_text

if TYPE_CHECKING:
    import argparse

    from penstock.cli.document import Document

LOOK_S = 0.25


def run(options: argparse.Namespace) -> int:
    """0: hidden (or undone, or listed)."""
    client = Client(options.home)
    if options.list:
        return _list(options, client)
    if options.undo:
        found = client.get("/deletions")
        _known(rows(found["deletions"]), options.undo)
        client.delete(f"/deletions/{quote(options.undo)}")
        say_error("It is undone; the data is shown again.")
        return EXIT_OK
    if not (options.path and options.begin and options.end and options.reason):
        raise UsageFault("Say --path, --from, --to and --reason; or --list, or --undo ID.")
    return _delete(options, client)


def _delete(options: argparse.Namespace, client: Client) -> int:
    now_ns = time.time_ns()
    order: Document = {
        "path": options.path,
        "from": moment(options.begin, now_ns),
        "to": moment(options.end, now_ns),
        "reason": options.reason,
    }
    made = client.post("/deletions", order)
    place, phrase = f"/deletions/{quote(text(made['id']))}", text(made["phrase"])
    say_error(
        f"All samples of {made['points']} points from {time_text(whole(made['from_ns']))} "
        f"to {time_text(whole(made['to_ns']))} will be deleted."
    )
    if made["backup"]:
        say_error(f"Backups are not touched: {made['backup']} may hold them, and earlier ones.")
    typed = options.confirm or _ask(phrase)
    if typed != phrase:
        client.delete(place)
        say_error("That is not the phrase; nothing was deleted.")
        return EXIT_FAULT
    client.post(f"{place}/confirm", {"phrase": typed})
    done = _wait(client, text(made["id"]))
    if options.json:
        say_json(done)
    else:
        say_error(
            f"{done['rows']} samples are hidden. Undo until {time_text(whole(done['ends_ns']))}: "
            f"penstock delete --undo {done['id']}"
        )
    return EXIT_OK


def _ask(phrase: str) -> str:
    if not sys.stdin.isatty():
        raise UsageFault(f"Nobody can be asked here; say --confirm '{phrase}'.")
    sys.stderr.write(f"Type “{phrase}” to delete: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _wait(client: Client, id_: str) -> Document:
    while True:
        found = _known(rows(client.get("/deletions")["deletions"]), id_)
        if found["state"] == "hidden":
            return found
        if found["state"] != "working":
            raise Fault(f"Nothing was deleted: {text(found['detail'])}")
        time.sleep(LOOK_S)


def _known(found: list[Document], id_: str) -> Document:
    for item in found:
        if item["id"] == id_:
            return item
    raise Fault(f"There is no deletion {id_}; `penstock delete --list` shows them.")


def _list(options: argparse.Namespace, client: Client) -> int:
    answer = client.get("/deletions")
    if options.json:
        say_json(answer)
        return EXIT_OK
    lines = [
        [
            text(item["id"]),
            text(item["state"]),
            text(item["rows"]),
            time_text(whole(item["ends_ns"]))[:16] if item["ends_ns"] else "-",
            text(item["path"]),
            text(item["reason"]),
        ]
        for item in rows(answer["deletions"])
    ]
    say_table(["id", "state", "samples", "final at (UTC)", "path", "reason"], lines)
    return EXIT_OK
