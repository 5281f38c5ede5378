"""Manifest: which segments count, the newest sample of each point, and the log position.

The three belong together: after a crash the log is replayed from the position
into an empty head, so a row is in a listed segment or is replayed, never both.
Pages: docs/reference/formats/segment.md, "Manifest".
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.codec.layout import Buffer, Damaged, SectionReader, column_bytes, crc, padding
from penstock.historian.last import LastRows, LastTable
from penstock.historian.segment import SegmentInfo
from penstock.model import TextColumn, ValueKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from penstock.world import Disk

MAGIC = b"PMAN"
VERSION = 1
_HEADER = struct.Struct("<4sHHIIQQQQII")
_CRC = struct.Struct("<I4x")
KEPT_MAX = 2
_PREFIX = "manifest-"
_INFO_DTYPES = {
    field.name: "<i8" if field.name in {"first_ns", "last_ns"} else "<u8"
    for field in fields(SegmentInfo)
}
_LAST_DTYPES = {
    "time_ns": "<i8",
    "bits": "<u8",
    "sequence": "<u8",
    "point": "<u4",
    "kind": "u1",
    "quality": "u1",
    "flags": "u1",
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """State of the historian on disk as of log record `sequence`."""

    version: int
    incarnation: int
    sequence: int
    segments: tuple[SegmentInfo, ...]
    last: LastRows

    def following(
        self, segment: SegmentInfo | None, sequence: int, incarnation: int, last: LastRows
    ) -> Manifest:
        """The next manifest after a flush."""
        assert incarnation > self.incarnation or sequence >= self.sequence
        added = () if segment is None else (segment,)
        return replace(
            self,
            version=self.version + 1,
            incarnation=incarnation,
            sequence=sequence,
            segments=(*self.segments, *added),
            last=last,
        )

    def swapped(self, proposal: Proposal) -> Manifest:
        """The next manifest after a compaction: the new files stand where the first old one did.

        The order decides only between rows of one moment and one sequence, which a
        log that lost its end may have given twice.
        """
        removed = set(proposal.remove)
        places = [n for n, info in enumerate(self.segments) if info.name in removed]
        assert len(places) == len(removed)
        place = places[0] if places else len(self.segments)
        kept = [info for info in self.segments[place:] if info.name not in removed]
        segments = (*self.segments[:place], *proposal.add, *kept)
        return replace(self, version=self.version + 1, segments=segments)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a compaction asks core to commit: these listed files are replaced by those."""

    manifest_version: int
    remove: tuple[str, ...]
    add: tuple[SegmentInfo, ...]

    def to_document(self) -> dict[str, object]:
        """For the link between compute and core."""
        return {
            "manifest_version": self.manifest_version,
            "remove": list(self.remove),
            "add": [asdict(info) for info in self.add],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Proposal:
        """Back from the link; KeyError or TypeError for anything else."""
        return cls(
            document["manifest_version"],
            tuple(document["remove"]),
            tuple(SegmentInfo(**info) for info in document["add"]),
        )


def empty_manifest() -> Manifest:
    """Of a historian that has seen nothing."""
    return Manifest(0, 0, 0, (), LastTable().all_rows())


def manifest_name(version: int) -> str:
    """File name; the highest version counts."""
    return f"{_PREFIX}{version:020d}"


def encode_manifest(manifest: Manifest) -> list[Buffer]:
    """Header, segments, newest samples, texts; one crc32 over each of header and body."""
    segments, last = manifest.segments, manifest.last
    text = TextColumn.of(last.text[place] for place in sorted(last.text))
    body: list[Buffer] = []
    for name, dtype in _INFO_DTYPES.items():
        _add(body, np.array([getattr(info, name) for info in segments], dtype))
    for name, dtype in _LAST_DTYPES.items():
        _add(body, getattr(last, name).astype(dtype, copy=False))
    _add(body, text.offset)
    _add(body, text.data)
    size = sum(len(buffer) for buffer in body)
    head = _HEADER.pack(
        MAGIC,
        VERSION,
        0,
        len(segments),
        len(last),
        manifest.version,
        manifest.incarnation,
        manifest.sequence,
        size,
        len(text),
        crc(*body),
    )
    return [head, _CRC.pack(crc(head)), *body]


def decode_manifest(data: Buffer) -> Manifest:
    """Damaged unless it is one whole manifest of a known version."""
    start = _HEADER.size + _CRC.size
    head = memoryview(data)[: _HEADER.size]
    if bytes(memoryview(data)[_HEADER.size : start]) != _CRC.pack(crc(head)):
        raise Damaged("manifest header has a wrong checksum")
    magic, known, _, segments, points, version, incarnation, sequence, size, texts, body_crc = (
        _HEADER.unpack(head)
    )
    if magic != MAGIC or known != VERSION:
        raise Damaged(f"manifest begins with {magic!r}, version {known}")
    body = memoryview(data)[start:]
    if len(body) != size or crc(body) != body_crc:
        raise Damaged("manifest body has a wrong length or checksum")
    reader = SectionReader(body, "manifest")
    columns = {name: reader.column(dtype, segments) for name, dtype in _INFO_DTYPES.items()}
    infos = zip(*(column.tolist() for column in columns.values()), strict=True)
    last: dict[str, Any] = {
        name: reader.column(dtype, points) for name, dtype in _LAST_DTYPES.items()
    }
    offset: npt.NDArray[Any] = reader.column("<u4", texts + 1)
    words = TextColumn(offset, reader.column("u1", int(offset[-1]))).to_list()  # type: ignore[arg-type]
    places = np.flatnonzero(last["kind"] == ValueKind.TEXT).tolist()
    rows = LastRows(text=dict(zip(places, words, strict=True)), **last)
    return Manifest(
        version, incarnation, sequence, tuple(SegmentInfo(*info) for info in infos), rows
    )


def manifest_names(disk: Disk, folder: Path) -> list[str]:
    """Manifests in the folder, oldest first."""
    return [name for name in disk.list(folder) if _is_manifest(name)]


def read_newest(disk: Disk, folder: Path) -> tuple[Manifest, list[str]]:
    """(newest manifest that is whole, sentences about those that are not)."""
    damage: list[str] = []
    for name in reversed(manifest_names(disk, folder)):
        try:
            return decode_manifest(disk.read(folder / name)), damage
        except Damaged as error:
            damage.append(f"{folder / name}: {error}")
    return empty_manifest(), damage


def commit(disk: Disk, folder: Path, manifest: Manifest) -> None:
    """Make the manifest the one that counts; keep the one before it."""
    disk.write_whole(folder / manifest_name(manifest.version), encode_manifest(manifest))
    for name in manifest_names(disk, folder)[:-KEPT_MAX]:
        disk.remove(folder / name)


def _is_manifest(name: str) -> bool:
    return name.startswith(_PREFIX) and name.removeprefix(_PREFIX).isdigit()


def _add(body: list[Buffer], column: npt.NDArray[Any]) -> None:
    data = bytes(column_bytes(column))
    body += [data, padding(len(data))]
