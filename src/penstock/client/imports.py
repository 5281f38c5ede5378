"""Imports: a file of history is uploaded, checked row by row, and only then taken in.

Nothing is guessed: what the file leaves open is a question, and the import does not begin
before all of them are answered. It goes on by itself when the node restarts.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.client.document import document, rows, text, whole
from penstock.client.errors import ClientError, Problem
from penstock.client.table import Table, table_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from penstock.client.document import Document
    from penstock.client.session import Session

LOOK_S = 0.2
WORKING = frozenset({"looking", "checking", "sending"})


@dataclass(frozen=True, slots=True)
class Imported:
    """What came in: `state` is "done", or "checked" after a dry run.

    `samples` were found, `repeated` of them repeat others and are kept once, `rejected`
    counts rows by the reason why they did not fit, and `points` has a row a point: `path`,
    `count`, `first`, `last`.
    """

    id: str
    state: str
    samples: int
    repeated: int
    rejected: Mapping[str, int]
    points: Table


def import_file(
    session: Session,
    path: Path,
    options: Document,
    on_progress: Callable[[int, int], None],
    *,
    is_dry_run: bool,
) -> Imported:
    """The whole way of one file; whatever ends it early takes it back as far as it can be.

    Problem("import_open") names the options that are missing, Problem("import_rejected")
    the first rows that do not fit: then nothing was imported.
    """
    one = session.upload("/imports", {"name": path.name[:255]}, path)
    place = f"/imports/{text(one['id'])}"
    is_over = False
    try:
        one = _rested(session, place, on_progress)
        if options:
            session.put(f"{place}/options", options)
            one = _rested(session, place, on_progress)
        if one["state"] == "open":
            raise _open(one)
        session.post(f"{place}/start", {"dry_run": is_dry_run})
        one = _rested(session, place, on_progress)
        if one["state"] not in {"done", "checked"}:
            raise _failed(one)
        is_over = True
        return _imported(one)
    finally:
        if not is_over:
            with suppress(ClientError):
                session.delete(place)


def _rested(session: Session, place: str, on_progress: Callable[[int, int], None]) -> Document:
    """As it is once nothing is at work."""
    while (one := session.get(place))["state"] in WORKING:
        if one.get("rows_max"):
            on_progress(whole(one["rows_done"] or 0), whole(one["rows_max"]))
        time.sleep(LOOK_S)
    return one


def _open(one: Document) -> Problem:
    questions = [(text(row["id"]), text(row["text"])) for row in rows(one["questions"])]
    return Problem(
        "import_open",
        "The file leaves something open; nothing was imported.",
        "Say it as an option of import_file().",
        errors=questions,
    )


def _failed(one: Document) -> Problem:
    rejects = [
        (f"row {text(row['row'])} {text(row['column'])}".rstrip(), text(row["reason"]))
        for row in rows(one.get("rejects") or [])[:20]
    ]
    if one["state"] == "rejected":
        detail = "Some rows do not fit; nothing was imported."
        return Problem(
            "import_rejected", detail, "Mend them, or say skip_bad=True.", errors=rejects
        )
    detail = text(one["detail"]) or f"The import is {text(one['state'])}."
    return Problem(text(one["code"]) or text(one["state"]), detail)


def _imported(one: Document) -> Imported:
    found = rows(one["points"])
    names = ("path", "count", "first", "last")
    return Imported(
        text(one["id"]),
        text(one["state"]),
        whole(one["samples"] or 0),
        whole(one["repeated"] or 0),
        {reason: whole(count) for reason, count in document(one["rejected"]).items()},
        table_of({name: [row[name] for row in found] for name in names}),
    )
