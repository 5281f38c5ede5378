"""Verification and repair of a node that is off: what compute does at night, for the doctor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.codec.layout import Damaged
from penstock.historian.manifest import commit, manifest_names, read_newest
from penstock.historian.repair import LogSpan, keep_in_quarantine, repair_segments
from penstock.historian.segment import HEADER_BYTES, decode_header
from penstock.historian.verify import (
    Report,
    durable_end,
    verify_log,
    verify_manifests,
    verify_segments,
)
from penstock.log.tail import LogTail
from penstock.model import Refused

if TYPE_CHECKING:
    from penstock.historian.manifest import Manifest
    from penstock.node.home import Home
    from penstock.world import Disk


@dataclass(slots=True)
class Mended:
    """Places that are whole again, why the others are not, and copies of the old files."""

    mended: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    quarantined: list[str] = field(default_factory=list)


def verify_offline(home: Home, disk: Disk) -> Report:
    """Every byte of history and log; nothing is changed, and nobody may write meanwhile."""
    report = Report()
    manifest, _ = read_newest(disk, home.segments)
    verify_manifests(disk, home.segments, report, _no_limit)
    verify_segments(disk, home.segments, manifest.segments, report, _no_limit)
    verify_log(disk, home.log, _durable(home, disk), report, _no_limit)
    return report


def _durable(home: Home, disk: Disk) -> int:
    """What the watermark page calls durable must be there; after a power cut it may be old."""
    tail = LogTail(home.log, disk=disk)
    try:
        return max(tail.durable, durable_end(disk, home.log))
    finally:
        tail.close()


def repair_offline(home: Home, disk: Disk, report: Report) -> Mended:
    """Mend what the log can give; the lock of the data folder is held. OSError: nothing changed."""
    result = Mended()
    log = LogSpan(disk, home.log, durable_end(disk, home.log))
    manifest, _ = read_newest(disk, home.segments)
    folder = home.segments
    done = repair_segments(
        disk, folder, manifest.segments, manifest.version, report.damage, log, _no_limit
    )
    result.mended += done.mended
    result.left |= done.left
    if done.proposal is not None:
        for name in done.proposal.remove:
            _keep(home, disk, name, result)
        commit(disk, folder, manifest.swapped(done.proposal))
        for name in done.proposal.remove:
            disk.remove(folder / name)
    for item in report.damage:
        if item.what == "manifest":
            _drop_manifest(home, disk, item.file, item.place, log, result)
        elif item.what == "log":
            result.left[item.place] = "a damaged record of the log cannot be rebuilt"
    return result


def _drop_manifest(
    home: Home, disk: Disk, name: str, place: str, log: LogSpan, result: Mended
) -> None:
    """A damaged manifest goes where the one before it can take its place without a loss."""
    names = manifest_names(disk, home.segments)
    manifest, _ = read_newest(disk, home.segments)
    is_newest = name in names and name == names[-1]
    reason = _why_not(home, disk, manifest, log) if is_newest else ""
    if reason:
        result.left[place] = reason
        return
    _keep(home, disk, name, result)
    disk.remove(home.segments / name)
    result.mended.append(place)


def _why_not(home: Home, disk: Disk, manifest: Manifest, log: LogSpan) -> str:
    """What forbids going on from an older manifest: files or records that are gone since."""
    for info in manifest.segments:
        try:
            if disk.size(home.segments / info.name) != info.file_bytes:
                return f"{info.name}, which the manifest before lists, has another length"
        except FileNotFoundError:
            return f"{info.name}, which the manifest before lists, is gone"
    listed = {info.name for info in manifest.segments}
    last = log.durable
    for name in disk.list(home.segments):
        if name.endswith(".seg") and name not in listed:
            try:
                header = decode_header(disk.read(home.segments / name, 0, HEADER_BYTES))
            except Damaged as error:
                return f"{name}: {error}"
            last = max(last, header.until)
    try:
        for _ in log.records(manifest.sequence + 1, last, _no_limit):
            continue
    except Refused as refusal:
        return refusal.detail
    return ""


def _keep(home: Home, disk: Disk, name: str, result: Mended) -> None:
    kept = keep_in_quarantine(disk, home.data, home.segments / name)
    if kept is not None:
        result.quarantined.append(kept)


def _no_limit(size: int) -> None:
    """The node is off: the disk has nothing else to do."""
