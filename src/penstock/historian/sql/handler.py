"""What compute does for "sql": plan in a child, pin at core, run in the child."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from penstock.historian.sql.config import SqlSettings
from penstock.historian.sql.process import GRACE_S, borrow, give_back
from penstock.historian.sql.sink import SUFFIX
from penstock.model import Refused

if TYPE_CHECKING:
    from penstock.model.event import Json

    Document = dict[str, Json]

SEGMENTS = "segments"


class Spool(Protocol):
    """Where answers go."""

    folder: Path

    def new_path(self, suffix: str) -> Path:
        """A name that nobody has had."""
        ...

    def free_bytes(self) -> int:
        """What may still be written."""
        ...

    def check_disk(self) -> None:
        """Refused("disk_full") while the disk is short."""
        ...


class Job(Protocol):
    """What the handler needs of compute's job."""

    data: Path
    pins: set[str]

    def ask(self, op: str, fields: Document) -> Document:
        """Ask core and wait."""
        ...

    def report(self, **progress: Json) -> None:
        """Say how far it is."""
        ...

    @property
    def is_cancelled(self) -> bool:
        """Nobody waits any more."""
        ...

    @property
    def spool(self) -> Spool:
        """Where big results go."""
        ...


def answer_sql(job: Job, fields: Document) -> Document:
    """Run `sql` for the points of `handles`; the name of the file in the spool, and its facts.

    Fields: sql, format, limit, catalogue (name in the spool), handles (bitmap), settings.
    """
    settings = SqlSettings.model_validate(fields["settings"])
    spool = job.spool
    path = spool.new_path(SUFFIX[str(fields["format"])])
    plan = {
        "op": "plan",
        "sql": fields["sql"],
        "handles": fields["handles"],
        "settings": fields["settings"],
        "catalogue": str(spool.folder / Path(str(fields["catalogue"])).name),
    }
    timeout_s = settings.time_s_max + GRACE_S
    facts: Document | None = None
    process = borrow(settings.memory_bytes_max, settings.answer_bytes_max)
    try:
        planned = process.ask(plan, timeout_s, lambda: job.is_cancelled)
        with pinned_document(job, planned["handles"], planned["to_ns"]) as pin:
            run: dict[str, Any] = {
                "op": "run",
                "pin": pin,
                "segments": str(job.data / SEGMENTS),
                "spool": str(spool.folder),
                "path": str(path),
                "format": fields["format"],
                "limit": fields["limit"],
            }
            facts = process.ask(run, timeout_s, lambda: is_over(job))
        return {"file": path.name, **facts}
    finally:
        give_back(process)
        if facts is None:
            path.unlink(missing_ok=True)


def is_over(job: Job) -> bool:
    """Nobody waits any more; Refused("disk_full") when what is written takes the last of it."""
    job.spool.check_disk()
    return job.is_cancelled


@contextlib.contextmanager
def pinned_document(job: Job, handles: Json, to_ns: Json) -> Iterator[Document]:
    """What core sees of these points before a moment; the files stay inside the block."""
    pin = job.ask("pin", {"handles": handles, "to_ns": to_ns})
    name = str(pin["pin"])
    job.pins.add(name)
    try:
        yield pin
    finally:
        job.pins.discard(name)
        with contextlib.suppress(Refused):  # core is gone, and with it the pin
            job.ask("release", {"pin": name})
