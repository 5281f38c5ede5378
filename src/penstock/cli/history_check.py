"""What the doctor says of the bytes of history and log: verified here, or by the node that runs."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from penstock.cli.client import Client, is_running
from penstock.cli.document import document, rows, text
from penstock.cli.notice import Notice, fault, look, ok
from penstock.cli.outcome import Fault
from penstock.node.home import lock, lock_holder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.cli.document import Document
    from penstock.historian.verify import Report
    from penstock.node.home import Home

NAME = "history"
PLACES_MAX = 20
POLL_S = 0.5
REPAIR = "Run `penstock doctor --repair` while Penstock is off."
BACKUP = "Restore the file from a backup; until then the history has a gap of bad quality there."


def history(home: Home, *, repair: bool) -> Iterator[Notice]:
    """One line if all is whole, else a line for each damaged place."""
    if not (home.segments.is_dir() and home.log.is_dir()):
        yield ok(NAME, "not there yet")
    elif is_running(home):
        yield from _of_node(Client(home), verify_now=repair)
    else:
        yield from _offline(home, repair=repair)


# --- a node that runs


def _of_node(client: Client, *, verify_now: bool) -> Iterator[Notice]:
    try:
        answer = _verified_now(client) if verify_now else client.get("/verification")
    except Fault as refused:
        yield look(NAME, str(refused), "Try again once the node has started.")
        return
    if answer["result"] is None:
        remedy = "It is done every night; `penstock doctor --repair` has it done now."
        yield look(NAME, "the node has not verified its files yet", remedy)
        return
    result = document(answer["result"])
    damage = rows(result["damage"])
    left = [row for row in damage if not row["mended"]]
    ended_s = int(text(result["ended_ns"])) // 1_000_000_000
    when = time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(ended_s))
    if not left:
        mended = f", {len(damage)} places mended" if damage else ""
        yield ok(NAME, f"whole at {when}: {result['rows']} rows{mended}")
    for row in left[:PLACES_MAX]:
        detail = f"{text(row['place'])}: {text(row['detail'])}"
        why = text(row["why_not"])
        yield fault(NAME, f"{detail} ({why})" if why else detail, BACKUP)


def _verified_now(client: Client) -> Document:
    client.post("/verification")
    while (answer := client.get("/verification"))["job"] is not None:
        time.sleep(POLL_S)
    return answer


# --- a node that is off


def _offline(home: Home, *, repair: bool) -> Iterator[Notice]:
    from penstock.node.offline import verify_offline  # noqa: PLC0415 - numpy is slow to read
    from penstock.world import SystemDisk  # noqa: PLC0415

    report = verify_offline(home, SystemDisk())
    if not report.damage:
        yield ok(NAME, f"whole: {report.rows} rows, {report.log_records} records of the log")
    elif not repair:
        yield from _named(report)
    else:
        held = lock(home)
        if held is None:
            remedy = "Stop it, or let it repair itself: it does so every night."
            yield fault(NAME, f"process {lock_holder(home)} uses the files now", remedy)
            return
        try:
            yield from _repaired(home, report)
        finally:
            os.close(held)


def _named(report: Report) -> Iterator[Notice]:
    for item in report.damage[:PLACES_MAX]:
        yield fault(NAME, f"{item.place}: {item.detail}", REPAIR)
    if report.damage_total > PLACES_MAX:
        more = report.damage_total - PLACES_MAX
        yield fault(NAME, f"{more} further damaged places", REPAIR)


def _repaired(home: Home, report: Report) -> Iterator[Notice]:
    from penstock.node.offline import repair_offline  # noqa: PLC0415
    from penstock.world import SystemDisk  # noqa: PLC0415

    done = repair_offline(home, SystemDisk(), report)
    for place in done.mended[:PLACES_MAX]:
        yield ok(NAME, f"{place}: mended")
    if done.quarantined:
        yield ok(NAME, f"the damaged files are kept in {home.data / 'quarantine'}")
    for place, why in [*done.left.items()][:PLACES_MAX]:
        yield fault(NAME, f"{place}: {why}", BACKUP)
