"""Start of a historian: the newest manifest, or how to go on when it is damaged.

Two manifests are kept, and with them everything the older one needs: its files and the
log behind its position. So one damaged manifest loses nothing: the older one counts
and the log is replayed. Where the log has less (it was removed, or restored from
elsewhere), a segment that continues the manifest is listed by its own header; and
rows that are nowhere are named, never passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import structlog

from penstock.codec.layout import Damaged
from penstock.historian.block_chunk import held
from penstock.historian.columns import Columns, take_values
from penstock.historian.head import rms_frame
from penstock.historian.last import LastTable
from penstock.historian.manifest import (
    KEPT_MAX,
    Manifest,
    decode_manifest,
    empty_manifest,
    manifest_names,
)
from penstock.historian.segment import (
    FOOTER_BYTES,
    HEADER_BYTES,
    SegmentInfo,
    decode_header,
    decode_table,
    kind_of,
    table_offset_of,
)
from penstock.historian.store import Store
from penstock.model import ConfigError, ConfigProblem, Frame, ValueKind

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.world import Disk

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """What counts, what the older manifest lists besides, and the position that it needs."""

    manifest: Manifest
    older_names: frozenset[str]
    older_sequence: int


def start_from(disk: Disk, folder: Path, log_span: tuple[int, int] | None) -> Start:
    """State to go on from; files that no kept manifest lists are removed.

    `log_span` is (oldest, newest) sequence of the log, None where there is no log.
    ConfigError when the newest manifest is damaged and rows would be missing.
    """
    whole, damage = _read_kept(disk, folder)
    newest = whole[0] if whole else empty_manifest()
    if damage:
        newest = _recovered(disk, folder, newest, damage, log_span)
        whole = [newest]
    older = whole[1] if len(whole) > 1 else newest
    names = frozenset(info.name for info in older.segments)
    _remove_left_over(disk, folder, names | {info.name for info in newest.segments})
    return Start(newest, names, older.sequence)


def _read_kept(disk: Disk, folder: Path) -> tuple[list[Manifest], dict[str, str]]:
    """(whole manifests, newest first, down to the second; the damaged ones before the first)."""
    whole: list[Manifest] = []
    damage: dict[str, str] = {}
    for name in reversed(manifest_names(disk, folder)):
        try:
            whole.append(decode_manifest(disk.read(folder / name)))
        except Damaged as error:
            if not whole:
                damage[name] = str(error)
        if len(whole) == KEPT_MAX:
            break
    return whole, damage


def _remove_left_over(disk: Disk, folder: Path, listed: frozenset[str]) -> None:
    for name in disk.list(folder):
        if name.endswith((".seg", ".tmp")) and name not in listed:
            _log.info("segment_left_over", file=str(folder / name))
            disk.remove(folder / name)


# --- a damaged manifest


def _recovered(
    disk: Disk,
    folder: Path,
    older: Manifest,
    damage: dict[str, str],
    log_span: tuple[int, int] | None,
) -> Manifest:
    """The older manifest and what continues it; the damaged files are removed."""
    first, last = log_span or (0, 0)
    unlisted = _unlisted(disk, folder, older)
    manifest = older
    while (info := _following(unlisted, manifest, first, last)) is not None:
        manifest = _with_segment(disk, folder, manifest, info)
    missing = _missing(folder, disk, manifest, first, log_span)
    if missing:
        raise ConfigError(
            [
                ConfigProblem(f"{folder / name}: {detail}", missing)
                for name, detail in damage.items()
            ]
        )
    for name, detail in damage.items():
        disk.remove(folder / name)
        _log.error(
            "manifest_damaged",
            file=str(folder / name),
            detail=detail,
            recovered_from=older.version,
            replayed_from=manifest.sequence + 1,
        )
    return manifest


def _missing(
    folder: Path,
    disk: Disk,
    manifest: Manifest,
    first: int,
    log_span: tuple[int, int] | None,
) -> str:
    """What would be lost, as a sentence with its remedy; empty when nothing is."""
    files = set(disk.list(folder))
    gone = [info.name for info in manifest.segments if info.name not in files]
    if gone:
        what = f"the manifest before it lists {', '.join(gone)}, which is not there"
    elif log_span is None:
        what = f"without the log nothing says what came after record {manifest.sequence}"
    elif first > manifest.sequence + 1:
        lost = f"{manifest.sequence + 1} to {first - 1}"
        what = f"log records {lost} are in no segment that can be listed and not in the log"
    else:
        return ""
    return (
        f"The rows cannot be recovered: {what}. Restore the folder from a backup, or "
        "remove the file to go on without them."
    )


def _unlisted(disk: Disk, folder: Path, manifest: Manifest) -> list[SegmentInfo]:
    """Flushed segments with a sound header and table that the manifest does not know."""
    listed = {info.name for info in manifest.segments}
    found: list[SegmentInfo] = []
    for name in disk.list(folder):
        if name.endswith(".seg") and name not in listed:
            try:
                info = _info_of(disk, folder, name)
            except Damaged as error:
                _log.info("segment_not_whole", file=str(folder / name), detail=str(error))
                continue
            if info.generation % 2 == 0:
                found.append(info)
    return found


def _info_of(disk: Disk, folder: Path, name: str) -> SegmentInfo:
    """What a manifest would say of a file, from the file itself."""
    path = folder / name
    size = disk.size(path)
    header = decode_header(disk.read(path, 0, HEADER_BYTES))
    if size < HEADER_BYTES + FOOTER_BYTES:
        raise Damaged(f"segment of {size} bytes has no footer")
    offset = table_offset_of(disk.read(path, size - FOOTER_BYTES))
    table = decode_table(disk.read(path, offset, size - offset), offset)
    return SegmentInfo.of_table(
        table,
        day=header.day,
        generation=header.generation,
        first_sequence=int(name.split("-")[1]),
        after=header.after,
        until=header.until,
        table_offset=offset,
        file_bytes=size,
    )


def _following(
    unlisted: list[SegmentInfo], manifest: Manifest, first: int, last: int
) -> SegmentInfo | None:
    """The segment that continues the manifest where the log cannot."""
    for info in unlisted:
        is_next = info.after == manifest.sequence and info.until > info.after
        if is_next and not (first <= info.after + 1 and info.until <= last):
            return info
    return None


def _with_segment(disk: Disk, folder: Path, manifest: Manifest, info: SegmentInfo) -> Manifest:
    """The manifest with one more flushed segment, its newest samples among the newest."""
    header = decode_header(disk.read(folder / info.name, 0, HEADER_BYTES))
    store, last = Store(disk, folder), LastTable()
    last.load(manifest.last)
    table = store.table(info)
    assert table is not None
    for chunk in range(len(table)):
        if kind_of(table, chunk) is ValueKind.WAVEFORM:
            block = store.block(info, table, chunk)
            if block is not None:
                sequence = int(table.last_sequence[chunk])
                frame = rms_frame([held(block, sequence)])
                last.update(frame, sequence, ValueKind.WAVEFORM)
            continue
        rows = store.chunk(info, table, chunk)
        if rows is not None:
            _update(last, int(table.point[chunk]), rows)
    following = manifest.following(info, info.until, header.incarnation, last.all_rows())
    return replace(following, version=manifest.version)


def _update(last: LastTable, point: int, rows: Columns) -> None:
    """Rows of the newest moment, in the order in which they came."""
    newest = np.flatnonzero(rows.time_ns == rows.time_ns[-1])
    for row in newest[np.argsort(rows.sequence[newest], kind="stable")].tolist():
        index = np.array([row])
        frame = Frame(
            np.array([point], np.uint32),
            rows.time_ns[index],
            take_values(rows.value, index),
            rows.quality[index],
            rows.flags[index],
        )
        last.update(frame, int(rows.sequence[row]))
