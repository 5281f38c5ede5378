"""`penstock doctor`: looks, and names a remedy with everything that is not well.

It changes nothing, unless it is told to repair.
The checks of the standard library come first, so that something is said at once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from penstock.cli import machine_check
from penstock.cli.client import is_running
from penstock.cli.document import document
from penstock.cli.notice import State, look
from penstock.cli.outcome import EXIT_FAULT, EXIT_OK
from penstock.cli.output import say_json
from penstock.node.home import is_locked, lock_holder

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from penstock.cli.notice import Notice
    from penstock.node.home import Home


def run(options: argparse.Namespace) -> int:
    """1 when there is a fault; what only wants a look does not count."""
    found = []
    for notice in examine(options.home, repair=options.repair):
        found.append(notice)
        if not options.json:
            _say(notice)
    faults = sum(notice.state is State.FAULT for notice in found)
    looks = sum(notice.state is State.LOOK for notice in found)
    if options.json:
        rows = [
            {"name": f.name, "state": f.state, "detail": f.detail, "remedy": f.remedy}
            for f in found
        ]
        say_json({"ok": not faults, "notices": rows})
    else:
        print(f"{len(found)} checks, {faults} faults, {looks} to look at.")
    return EXIT_FAULT if faults else EXIT_OK


def examine(home: Home, *, repair: bool = False) -> Iterator[Notice]:
    """All checks, quick ones first; with `repair` damaged files are rebuilt where that is safe."""
    yield machine_check.python()
    yield machine_check.kernels()
    yield machine_check.home_folder(home)
    yield machine_check.lock_state(home)
    yield machine_check.free_disk(home)
    yield machine_check.clock(home)
    yield machine_check.sync_time(home)
    yield machine_check.database(home)
    from penstock.cli import node_check  # noqa: PLC0415 - pydantic and SQLAlchemy are slow to read

    yield node_check.schema(home)
    yield node_check.keys(home)
    yield from node_check.certificates(home)
    yield node_check.configuration(home)
    if is_running(home) and home.ports_file.is_file():
        ports = document(json.loads(home.ports_file.read_text("utf-8")))
        addresses = {name: str(ports[name]) for name in ("http", "https") if ports.get(name)}
        yield from machine_check.listening(addresses, is_ours=True)
    elif is_locked(home):
        yield look(
            "ports",
            f"process {lock_holder(home)} has this home and does not answer yet",
            "It may be starting or stopping; ask again in a minute.",
        )
    else:
        settings = node_check.listen_settings(home)
        addresses = {"http": settings.http, "https": settings.https}
        yield from machine_check.listening(addresses, is_ours=False)
    from penstock.cli import history_check  # noqa: PLC0415 - last, because it reads every file

    yield from history_check.history(home, repair=repair)


def _say(notice: Notice) -> None:
    print(f"{notice.state:6} {notice.name:14} {notice.detail}", flush=True)
    if notice.remedy:
        print(f"{'':21} {notice.remedy}", flush=True)
