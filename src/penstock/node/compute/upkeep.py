"""Jobs that look after the files: compaction, verification and repair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.historian.compaction import compact_once
from penstock.historian.config import HistorianSettings
from penstock.historian.encode import DecimalHints
from penstock.historian.repair import LogSpan, keep_in_quarantine, repair_segments
from penstock.historian.verify import (
    LOG,
    Damage,
    Report,
    verify_log,
    verify_manifests,
    verify_segments,
)
from penstock.log.reserve import check_room
from penstock.log.tail import LogTail
from penstock.node.compute.pins import SEGMENTS, pinned_manifest

if TYPE_CHECKING:
    from penstock.historian.segment import SegmentInfo
    from penstock.model.event import Json
    from penstock.node.compute.jobs import Job

    Document = dict[str, Json]

MB = 1_000_000
REPORT_S = 1.0


class Pace:
    """Called with every read: counts it, tells how far it is, and keeps to the limit."""

    def __init__(
        self, job: Job, bytes_per_s: float, total: int, *, is_writing: bool = False
    ) -> None:
        self._job = job
        self._check = job.check_going_on if is_writing else job.check_cancelled
        self._bytes_per_s = bytes_per_s
        self._total = total
        self._done = 0
        self._told = -1.0
        self._began_ns = job.clock.monotonic_ns()

    def __call__(self, size: int) -> None:
        """Before or after `size` bytes were read; Refused("cancelled") when nobody waits.

        Refused("disk_full") when what it writes would touch the log's reserve.
        """
        self._check()
        self._done += size
        took_s = (self._job.clock.monotonic_ns() - self._began_ns) / 1e9
        if took_s - self._told >= REPORT_S:
            self._told = took_s
            self._job.report(done=min(self._done, self._total), total=self._total, unit="bytes")
        ahead_s = self._done / self._bytes_per_s - took_s
        if ahead_s > 0:
            self._job.sleep(ahead_s)


def verify(job: Job, fields: Document) -> Document:
    """Every byte of manifests, segments and log; `mb_per_s` limits what it reads."""
    report = Report()
    folder, log = job.data / SEGMENTS, job.data / LOG
    tail = LogTail(log, disk=job.disk)
    began_ns = job.clock.now_ns()
    try:
        with pinned_manifest(job) as manifest:
            total = sum(info.file_bytes for info in manifest.segments) + _log_bytes(job)
            pace = Pace(job, _limit(fields), total)
            verify_manifests(job.disk, folder, report, pace)
            verify_segments(job.disk, folder, manifest.segments, report, pace)
        verify_log(job.disk, log, tail.durable, report, pace)
    finally:
        tail.close()
    return {
        **report.to_document(),
        "began_ns": str(began_ns),
        "ended_ns": str(job.clock.now_ns()),
    }


def repair(job: Job, fields: Document) -> Document:
    """Build damaged segments again from the log; core lists the new files instead of the old."""
    found = fields["damage"]
    assert isinstance(found, list)
    damage = [Damage(**_plain(item)) for item in found if isinstance(item, dict)]
    folder = job.data / SEGMENTS
    tail = LogTail(job.data / LOG, disk=job.disk)
    try:
        with pinned_manifest(job) as manifest:
            segments, version = manifest.segments, manifest.version
            span = LogSpan(job.disk, job.data / LOG, tail.durable)
            pace = Pace(job, _limit(fields), _bytes_of(segments, damage), is_writing=True)
            done = repair_segments(job.disk, folder, segments, version, damage, span, pace)
            kept: list[str] = []
            if done.proposal is not None:
                kept = _keep(job, done.proposal.remove)
                job.ask("commit", done.proposal.to_document())  # type: ignore[arg-type]
    finally:
        tail.close()
    manifests = [item for item in damage if item.what == "manifest"]
    kept += _renew_manifests(job, manifests)
    return {
        "mended": [*done.mended, *(item.place for item in manifests)],
        "left": dict(done.left),
        "quarantined": list(kept),
    }


def compact(job: Job, fields: Document) -> Document:
    """Write day files for what core has flushed; core lists them instead, or nothing changes."""
    options = fields["settings"]
    assert isinstance(options, dict)
    settings = HistorianSettings.model_validate(options)

    def report(numbers: dict[str, int]) -> None:
        job.check_going_on()
        job.report(**numbers)

    check_room(job.disk, job.data)

    with pinned_manifest(job) as manifest:
        proposal = compact_once(
            job.disk,
            job.data / SEGMENTS,
            manifest,
            settings,
            DecimalHints(),
            report,
            lambda: job.is_cancelled,
            now_ns=job.clock.now_ns(),
        )
        job.check_cancelled()
        if proposal is None:
            return {"removed": 0, "added": 0}
        job.ask("commit", proposal.to_document())  # type: ignore[arg-type]
    return {"removed": len(proposal.remove), "added": len(proposal.add)}


def _renew_manifests(job: Job, manifests: list[Damage]) -> list[str]:
    """Core writes what it holds in memory, until the damaged ones are pushed out."""
    if not manifests:
        return []
    kept = _keep(job, tuple(item.file for item in manifests))
    for _ in range(2):
        job.ask("commit", {"manifest_version": 0, "remove": [], "add": []})
    return kept


def _keep(job: Job, names: tuple[str, ...]) -> list[str]:
    folder = job.data / SEGMENTS
    kept = [keep_in_quarantine(job.disk, job.data, folder / name) for name in names]
    return [name for name in kept if name is not None]


def _limit(fields: Document) -> float:
    limit = fields["mb_per_s"]
    assert isinstance(limit, int | float)
    return limit * MB


def _log_bytes(job: Job) -> int:
    folder, total = job.data / LOG, 0
    for name in job.disk.list(folder):
        if name.endswith((".log", ".logz")):
            try:
                total += job.disk.size(folder / name)
            except FileNotFoundError:
                continue
    return total


def _bytes_of(segments: tuple[SegmentInfo, ...], damage: list[Damage]) -> int:
    names = {item.file for item in damage}
    return sum(info.file_bytes for info in segments if info.name in names)


def _plain(item: Document) -> dict[str, Any]:
    return dict(item)
