"""Pinned snapshots: what core's queries see, opened by another process.

Core writes two kinds of files into the spool: the rows in its heads as segments, and
a manifest that lists all segments (those too) with the newest samples. Who opens
them sees exactly what core saw at that moment, whatever core does meanwhile; the hold
that keeps the listed files stays with core, as the pin's lease.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penstock.historian.encode import DecimalHints
from penstock.historian.flush import write_segment
from penstock.historian.head import HeadBlocks, HeadRows, HeadView
from penstock.historian.last import LastTable
from penstock.historian.manifest import Manifest, decode_manifest, encode_manifest
from penstock.historian.query import Snapshot
from penstock.historian.segment import SegmentInfo
from penstock.historian.store import Store

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    import numpy.typing as npt

    from penstock.model.event import Json
    from penstock.world import Disk

    Document = dict[str, Json]

SUFFIX = ".pin"


@dataclass(frozen=True, slots=True)
class PinFiles:
    """What was written into the spool for one pin."""

    manifest: str
    heads: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them; they go with the pin."""
        return (self.manifest, *self.heads)


def write_pin(
    disk: Disk, spool: Path, name: str, snapshot: Snapshot, version: int, to_ns: int | None = None
) -> PinFiles:
    """Write what `snapshot` sees of its points; for a thread, one at a time for a spool.

    Rows in memory from `to_ns` on are left out: a query that ends there has no use for
    them. `version` is that of core's manifest. OSError: nothing is left behind.
    """
    handles = snapshot.last.point
    taken = {info.name for info in snapshot.segments} | set(disk.list(spool))
    heads: list[SegmentInfo] = []
    files = PinFiles(name + SUFFIX, ())
    try:
        for view in snapshot.heads:
            part = _part_of(view, handles, to_ns)
            before, hints = LastTable().all_rows(), DecimalHints()
            info = write_segment(disk, spool, part, before, hints, 0, taken)
            if info is not None:
                heads.append(info)
                taken.add(info.name)
        files = PinFiles(name + SUFFIX, tuple(info.name for info in heads))
        segments = (*snapshot.segments, *heads)
        manifest = Manifest(version, 0, snapshot.sequence, segments, snapshot.last)
        disk.write_whole(spool / files.manifest, encode_manifest(manifest))
    except OSError:
        remove_pin(disk, spool, (files.manifest, *(info.name for info in heads)))
        raise
    return files


def remove_pin(disk: Disk, spool: Path, names: Collection[str]) -> None:
    """Remove a pin's files; what is gone already is fine."""
    for name in names:
        disk.remove(spool / name)


def open_pinned(disk: Disk, folder: Path, spool: Path, document: Document) -> Snapshot:
    """The snapshot of the answer to "pin"; Damaged or FileNotFoundError if it is gone.

    `folder` holds the historian's segments, `spool` what was written for this pin.
    """
    manifest = read_manifest(disk, spool, document)
    heads = document["heads"]
    assert isinstance(heads, list)
    elsewhere = {str(name): spool / str(name) for name in heads}
    store = Store(disk, folder, elsewhere=elsewhere)
    return Snapshot(store, manifest.segments, (), manifest.last, manifest.sequence)


def read_manifest(disk: Disk, spool: Path, document: Document) -> Manifest:
    """All segments of a pin and the newest samples of its points; Damaged or FileNotFoundError."""
    return decode_manifest(disk.read(spool / str(document["manifest"])))


def _part_of(view: HeadView, handles: npt.NDArray[np.uint32], to_ns: int | None) -> HeadView:
    """Rows and Blocks of these points that begin before `to_ns`."""
    kinds = tuple(_rows_of(rows, handles, to_ns) for rows in view.kinds)
    point = view.blocks.point
    items = view.blocks.items[: len(point)]
    is_wanted = np.isin(point, handles)
    if to_ns is not None and len(items):
        is_wanted &= np.array([item.block.t0_ns for item in items]) < to_ns
    index = np.flatnonzero(is_wanted)
    blocks = HeadBlocks(point[index], [items[n] for n in index.tolist()])
    return HeadView(kinds, view.after, view.sequence, blocks)


def _rows_of(rows: HeadRows, handles: npt.NDArray[np.uint32], to_ns: int | None) -> HeadRows:
    if not len(rows):
        return rows
    is_known = np.zeros(int(max(handles.max(initial=0), rows.point.max())) + 1, bool)
    is_known[handles] = True
    is_wanted = is_known[rows.point]
    if to_ns is not None:
        is_wanted &= rows.time_ns < to_ns
    if is_wanted.all():
        return rows
    index = np.flatnonzero(is_wanted)
    taken = rows.take(index)
    return HeadRows(
        rows.kind,
        rows.base,
        rows.point[index],
        taken.time_ns,
        taken.value,
        taken.quality,
        taken.flags,
        rows.sequence[index],
    )
