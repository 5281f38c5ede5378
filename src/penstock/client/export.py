"""Exports to a file: ordered, watched and fetched; a broken download goes on where it ended.

The command line and the client both do it like this, each with errors of its own.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Protocol

from penstock.client.document import text, whole
from penstock.client.errors import BrokenOff, ClientError, Problem
from penstock.client.points import Asker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock.client.document import Document

LOOK_S = 0.25
ATTEMPTS = 5
BY_ENDING = {".csv": "csv", ".parquet": "parquet", ".arrow": "arrow", ".arrows": "arrow"}


class Transferrer(Asker, Protocol):
    """Who orders and fetches."""

    def post(self, path: str, body: Document | None = None) -> Document:
        """The answer of POST."""
        ...

    def delete(self, path: str) -> None:
        """DELETE without an answer."""
        ...

    def fetch(
        self,
        method: str,
        path: str,
        out: BinaryIO,
        body: Document | None = None,
        begin: int = 0,
    ) -> dict[str, str]:
        """Copy a body to `out` from byte `begin` on; BrokenOff if it ends too early."""
        ...


def export(
    asker: Transferrer,
    order: Document,
    path: Path,
    on_progress: Callable[[int, int], None],
    faults: type[Exception] = ClientError,
) -> Document:
    """The file whole under its name, or no file; what the plant says of the export.

    `on_progress` is told (rows done, rows at most). Whatever ends it early ends it on the
    plant too; `faults` are the errors of that last request, which then do not matter.
    """
    ordered = asker.post("/exports", order)
    place = f"/exports/{text(ordered['id'])}"
    try:
        ordered = _written(asker, place, ordered, on_progress)
        _fetch(asker, place, path, whole(ordered["file_bytes"]))
    finally:
        with suppress(faults):
            asker.delete(place)
    return ordered


def _written(
    asker: Transferrer,
    place: str,
    ordered: Document,
    on_progress: Callable[[int, int], None],
) -> Document:
    """Wait until it is written; Problem says why it is not."""
    while ordered["state"] == "running":
        time.sleep(LOOK_S)
        ordered = asker.get(place)
        if ordered.get("rows_max"):
            on_progress(whole(ordered["rows_done"]), whole(ordered["rows_max"]))
    if ordered["state"] != "done":
        detail = text(ordered["detail"]) or f"The export is {text(ordered['state'])}."
        raise Problem(text(ordered["code"]) or "cancelled", detail)
    return ordered


def _fetch(asker: Transferrer, place: str, path: Path, size: int) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                asker.fetch("GET", f"{place}/file", file, begin=file.tell())
            except BrokenOff:
                if attempt == ATTEMPTS:
                    raise
                time.sleep(LOOK_S)
            if file.tell() >= size:
                break
    if part.stat().st_size != size:
        raise BrokenOff(f"{part} has {part.stat().st_size} bytes of {size}; run the export again.")
    part.replace(path)
