"""`penstock watch`: the live socket over the Unix socket, one line a change."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import unix_connect

from penstock.cli.client import BASE, Client, not_running
from penstock.cli.document import text
from penstock.cli.live import RESYNC, parse_frame, rows_of
from penstock.cli.outcome import EXIT_OK, Fault, UsageFault
from penstock.cli.points import find_points, value_text
from penstock.cli.quality_words import GOOD, quality_columns, quality_text
from penstock.cli.times import time_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from websockets.sync.client import ClientConnection

    from penstock.cli.document import Document
    from penstock.cli.live import LiveFrame, LiveRow
    from penstock.node.home import Home

SID = 1
MS_NS = 1_000_000
FRAME_BYTES_MAX = 16 * 1024 * 1024


def run(options: argparse.Namespace) -> int:
    """Until Ctrl-C, --count lines, or the end of the server."""
    if options.hz <= 0 or (options.count is not None and options.count < 1):
        raise UsageFault("--hz and --count are greater than 0.")
    points = find_points(Client(options.home), options.path)
    left = options.count
    with contextlib.suppress(KeyboardInterrupt):
        for frame, row in _changes(options.home, points, options.hz):
            say = _say_json if options.json else _say_line
            say(points[row.index], frame, row)
            left = None if left is None else left - 1
            if left == 0:
                break
    return EXIT_OK


def _changes(home: Home, points: list[Document], hz: float) -> Iterator[tuple[LiveFrame, LiveRow]]:
    ids = [text(point["id"]) for point in points]
    request = json.dumps({"op": "sub", "sid": SID, "points": ids, "hz": hz})
    try:
        with unix_connect(
            str(home.socket),
            f"ws://localhost{BASE}/live",
            compression=None,
            max_size=FRAME_BYTES_MAX,
        ) as socket:
            socket.send(request)
            yield from _rows(socket, request)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise not_running(home) from error
    except InvalidHandshake as error:
        raise Fault(f"Penstock in {home.root} refused the live connection: {error}.") from error
    except ConnectionClosed as error:
        raise Fault(f"Penstock in {home.root} ended the live connection.") from error


def _rows(socket: ClientConnection, request: str) -> Iterator[tuple[LiveFrame, LiveRow]]:
    """A hole in the sequence or a resync means that something was lost: ask anew."""
    sequence: int | None = None
    for message in socket:
        if not isinstance(message, bytes):
            continue
        frame = parse_frame(message)
        has_hole = sequence is not None and frame.sequence != sequence + 1
        sequence = frame.sequence
        if has_hole or frame.type == RESYNC:
            socket.send(request)
        for row in rows_of(frame):
            yield frame, row


def _time_of(frame: LiveFrame, row: LiveRow) -> str | None:
    """Of the sample, from its age; that is how the frame carries it, so to the millisecond."""
    if row.age_ms is None:
        return None
    return time_text(frame.server_time_ns - row.age_ms * MS_NS)[:23] + "Z"


def _say_line(point: Document, frame: LiveFrame, row: LiveRow) -> None:
    note = "" if row.quality >= GOOD else f"  {quality_text(row.quality)}"
    moment = _time_of(frame, row) or "never"
    print(f"{moment:24}  {text(point['path'])}  {value_text(point, row.value)}{note}", flush=True)


def _say_json(point: Document, frame: LiveFrame, row: LiveRow) -> None:
    """JSON lines: one object a change."""
    facts = {"path": point["path"], "time": _time_of(frame, row), "value": row.value}
    print(json.dumps(facts | quality_columns(row.quality), ensure_ascii=False), flush=True)
