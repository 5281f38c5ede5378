"""`penstock export`: order a file of samples, watch its progress, fetch it, in parts if need be."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from penstock.cli.client import Client
from penstock.cli.document import text
from penstock.cli.outcome import EXIT_OK, Fault
from penstock.cli.output import say_error, say_json
from penstock.cli.points import find_points
from penstock.cli.query import check_target, kind_of
from penstock.cli.times import moment
from penstock.client.errors import BrokenOff, Problem
from penstock.client.export import export

if TYPE_CHECKING:
    import argparse

    from penstock.cli.document import Document

FORMATS = ("csv", "arrow", "parquet")


def run(options: argparse.Namespace) -> int:
    """Exit code 0 means that the whole file is there; Ctrl-C ends the export on both sides."""
    kind = options.format or kind_of(options.out, FORMATS)
    check_target(options.out, is_forced=options.force)
    client = Client(options.home)
    progress = _Progress()
    try:
        done = export(client, _order(client, options, kind), options.out, progress.say, Fault)
    except (Problem, BrokenOff) as error:
        raise Fault(str(error)) from error
    finally:
        progress.end()
    if options.json:
        say_json({name: done[name] for name in ("format", "points", "row_count", "file_bytes")})
    else:
        say_error(
            f"{options.out}: {done['row_count']} samples of {done['points']} points, "
            f"{done['file_bytes']} bytes, as of log record {done['sequence']}."
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


class _Progress:
    """One line that is written over; nothing where standard error is a file."""

    def __init__(self) -> None:
        self._has_said = False

    def say(self, done: int, total: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{done / max(1, total):4.0%}  {done:,} of {total:,} samples")
            sys.stderr.flush()
            self._has_said = True

    def end(self) -> None:
        if self._has_said:
            sys.stderr.write("\n")
