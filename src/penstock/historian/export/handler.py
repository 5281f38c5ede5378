"""What compute does for "export": pin at core, write in a child that can be ended at any time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from penstock.historian.sql.config import MIB
from penstock.historian.sql.handler import SEGMENTS, is_over, pinned_document
from penstock.historian.sql.process import Process
from penstock.historian.sql.sink import SUFFIX

if TYPE_CHECKING:
    from penstock.historian.sql.handler import Job
    from penstock.model.event import Json

    Document = dict[str, Json]

MEMORY_BYTES = 1024 * MIB
TIME_S_MAX = 24 * 3_600.0


def write_export_file(job: Job, fields: Document) -> Document:
    """Write an export; the name of the file in the spool, its rows and the log sequence.

    Fields: format, from_ns, to_ns, catalogue (name in the spool), handles (bitmap).
    """
    spool = job.spool
    path = spool.new_path(SUFFIX[str(fields["format"])])
    # A whole file may fill the spool, and not more.
    facts: Document | None = None
    process = Process(MEMORY_BYTES, max(MIB, spool.free_bytes()))
    try:
        with pinned_document(job, fields["handles"], fields["to_ns"]) as pin:
            question = {
                "op": "export",
                "catalogue": str(spool.folder / Path(str(fields["catalogue"])).name),
                "handles": fields["handles"],
                "pin": pin,
                "segments": str(job.data / SEGMENTS),
                "spool": str(spool.folder),
                "path": str(path),
                "format": fields["format"],
                "span": [fields["from_ns"], fields["to_ns"]],
            }
            facts = process.ask(question, TIME_S_MAX, lambda: is_over(job), job.report)
        return {"file": path.name, **facts}
    finally:
        process.end()
        if facts is None:
            path.unlink(missing_ok=True)
