"""Which names of segments are taken: whatever is known by its name must not mean another file.

A file that was replaced is gone from the newest manifest, but the one before it still
lists it (and counts when the newest is damaged), a reader holds it, or the quarantine
keeps a copy under its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.codec.layout import Damaged
from penstock.historian.manifest import decode_manifest, manifest_names

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from penstock.world import Disk

QUARANTINE = "quarantine"


def taken_names(disk: Disk, folder: Path, listed: Iterable[str] = ()) -> set[str]:
    """`listed`, all files in the folder, all of its manifests, all copies in the quarantine."""
    names = {*listed, *disk.list(folder)}
    for name in manifest_names(disk, folder):
        try:
            names.update(info.name for info in decode_manifest(disk.read(folder / name)).segments)
        except (Damaged, FileNotFoundError):
            continue
    try:
        kept = disk.list(folder.parent / QUARANTINE)
    except FileNotFoundError:
        return names
    return names | {name.partition("-")[2] for name in kept}
