"""The job that writes segments again without what has expired or was deleted."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from penstock.historian.compaction_plan import Unreadable
from penstock.historian.erase import Erasure, Part, erase_once
from penstock.model import Refused
from penstock.node.compute.pins import SEGMENTS, pinned_manifest

if TYPE_CHECKING:
    from penstock.historian.erase import Erased
    from penstock.model.event import Json
    from penstock.node.compute.jobs import Job

    Document = dict[str, Json]

WITHDRAWN = "withdrawn"


def erase(job: Job, fields: Document) -> Document:
    """Rows and bytes by part; `deletion` names the folder for what is only withdrawn.

    Every step is committed by core; what was committed stays when the job ends early.
    """
    parts = fields["parts"]
    assert isinstance(parts, list)
    deletion = fields["deletion"]
    erasure = Erasure(
        tuple(Part.from_document(part) for part in parts if isinstance(part, dict)),
        int(str(fields["until"])),
        is_strict=deletion is not None,
    )
    if deletion is not None:
        return _delete(job, erasure, str(deletion))
    rows, freed = [0] * len(parts), [0] * len(parts)
    is_whole = False
    while not is_whole:
        with pinned_manifest(job) as manifest:
            done = erase_once(
                job.disk, job.data / SEGMENTS, manifest, erasure, lambda: job.is_cancelled
            )
            job.check_cancelled()
            if done.proposal.remove:
                job.ask("commit", done.proposal.to_document())  # type: ignore[arg-type]
        rows = [a + b for a, b in zip(rows, done.rows, strict=True)]
        freed = [a + b for a, b in zip(freed, done.freed_bytes, strict=True)]
        is_whole = done.is_whole
        job.report(rows=sum(rows))
    return {"rows": list(rows), "freed_bytes": list(freed)}


def _delete(job: Job, erasure: Erasure, deletion: str) -> Document:
    """In one commit, so that a deletion is whole or not there."""
    aside = job.data / WITHDRAWN / deletion
    job.disk.make_folder(aside)
    with pinned_manifest(job) as manifest:
        try:
            done = erase_once(
                job.disk, job.data / SEGMENTS, manifest, erasure, lambda: job.is_cancelled, aside
            )
        except Unreadable as error:
            detail = f"{error}. Repair it first: nothing was deleted."
            raise Refused("data_damaged", detail) from error
        job.check_cancelled()
        job.ask("commit_deletion", _document(done, deletion))
    return {"rows": list(done.rows), "freed_bytes": list(done.freed_bytes)}


def _document(done: Erased, deletion: str) -> Document:
    return {
        "deletion": deletion,
        "proposal": done.proposal.to_document(),  # type: ignore[dict-item]
        "withdrawn": [asdict(info) for info in done.withdrawn],
        "rows": sum(done.rows),
        "bytes": sum(info.file_bytes for info in done.withdrawn),
    }
