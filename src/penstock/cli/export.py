"""`penstock export`: order a file of samples, watch its progress, fetch it, in parts if need be."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

from penstock.cli.client import BrokenOff, Client
from penstock.cli.document import text, whole
from penstock.cli.outcome import EXIT_OK, Fault, UsageFault
from penstock.cli.output import say_error, say_json
from penstock.cli.points import find_points
from penstock.cli.query import kind_of
from penstock.cli.times import moment

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from penstock.cli.document import Document

LOOK_S = 0.25
ATTEMPTS = 5


def run(options: argparse.Namespace) -> int:
    """Exit code 0 means that the whole file is there; Ctrl-C ends the export on both sides."""
    kind = options.format or kind_of(options.out, "parquet")
    if kind not in {"csv", "arrow", "parquet"}:
        raise UsageFault(f"An export is csv, arrow or parquet, not {kind}.")
    client = Client(options.home)
    export = client.post("/exports", _order(client, options, kind))
    place = f"/exports/{quote(text(export['id']))}"
    try:
        export = _wait(client, place, export)
        _fetch(client, place, options.out, whole(export["file_bytes"]))
    finally:
        with suppress(Fault):
            client.delete(place)
    if options.json:
        say_json({name: export[name] for name in ("format", "points", "row_count", "file_bytes")})
    else:
        say_error(
            f"{options.out}: {export['row_count']} samples of {export['points']} points, "
            f"{export['file_bytes']} bytes, as of log record {export['sequence']}."
        )
    return EXIT_OK


def _order(client: Client, options: argparse.Namespace, kind: str) -> Document:
    now_ns = time.time_ns()
    order: Document = {
        "from": moment(options.begin, now_ns),
        "to": moment(options.end, now_ns) if options.end else str(now_ns),
        "format": kind,
    }
    if options.points:
        points = find_points(client, options.points)
        return {**order, "points": [text(point["id"]) for point in points]}
    return {**order, "path": options.path}


def _wait(client: Client, place: str, export: Document) -> Document:
    """Until it is written; a Fault says why it is not."""
    said = False
    while export["state"] == "running":
        time.sleep(LOOK_S)
        export = client.get(place)
        said = _say_progress(export) or said
    if said:
        sys.stderr.write("\n")
    if export["state"] != "done":
        raise Fault(text(export["detail"]) or f"The export is {export['state']}.")
    return export


def _say_progress(export: Document) -> bool:
    """One line that is written over; nothing where standard error is a file."""
    if not sys.stderr.isatty() or not export.get("rows_max"):
        return False
    done, total = whole(export["rows_done"]), whole(export["rows_max"])
    sys.stderr.write(f"\r{done / max(1, total):4.0%}  {done:,} of {total:,} samples")
    sys.stderr.flush()
    return True


def _fetch(client: Client, place: str, path: Path, size: int) -> None:
    """The file under its own name only when it is whole; a broken download goes on."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                client.fetch("GET", f"{place}/file", file, begin=file.tell())
            except BrokenOff:
                if attempt == ATTEMPTS:
                    raise
                time.sleep(LOOK_S)
            if file.tell() >= size:
                break
    if part.stat().st_size != size:
        raise Fault(f"{part} has {part.stat().st_size} bytes of {size}; run the export again.")
    part.replace(path)
