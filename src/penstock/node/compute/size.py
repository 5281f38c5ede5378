"""The job that adds up the chunk tables of all segments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.codec.layout import Damaged
from penstock.historian.retention import DAY_NS
from penstock.historian.segment import decode_table
from penstock.historian.size import encode, measure
from penstock.node.compute.pins import SEGMENTS, pinned_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.historian.manifest import Manifest
    from penstock.historian.segment import ChunkTable
    from penstock.model.event import Json
    from penstock.node.compute.jobs import Job

    Document = dict[str, Json]


def size(job: Job, fields: Document) -> Document:  # noqa: ARG001 - it has no options
    """Name of a spool file with `Sizes`; a table that is damaged counts for nothing."""
    today = job.clock.now_ns() // DAY_NS
    path = job.spool.new_path(".size")
    with pinned_manifest(job) as manifest:
        found = measure(_tables(job, manifest), today)
    job.disk.write_whole(path, [encode(found)])
    return {"file": path.name}


def _tables(job: Job, manifest: Manifest) -> Iterator[ChunkTable]:
    for done, info in enumerate(manifest.segments):
        job.check_cancelled()
        job.report(done=done, total=len(manifest.segments))
        path, length = job.data / SEGMENTS / info.name, info.file_bytes - info.table_offset
        try:
            yield decode_table(job.disk.read(path, info.table_offset, length), info.table_offset)
        except (Damaged, FileNotFoundError):
            continue
