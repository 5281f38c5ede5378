"""Prepared: batches of an import as they will be sent, in one file that is written once.

A record is a header (magic, rows, bytes, crc32) and the payload of a Batch, whose points
are places in the import's list of points. The n-th record is sequence n of the import's
own origin, whoever sends it and however often.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np

from penstock.codec.batch import decode_batch, encode_batch
from penstock.codec.layout import crc
from penstock.historian.columns import slice_values
from penstock.model import Batch, Frame, Origin, Refused, TextColumn, ValueKind
from penstock.model.frame import concatenate

if TYPE_CHECKING:
    import numpy.typing as npt

    from penstock.world import Disk

MAGIC = b"PIMB"
_HEADER = struct.Struct("<4sIII")
BATCH_ROWS = 32_768
"""Rows of one batch: few enough that core's other work is not held up by one."""
TEXT_BATCH_BYTES = 2 * 1024 * 1024
_NOBODY = Origin(UUID(int=0), 0, 0)


class PreparedWriter:
    """Writes frames as batches."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self._file = disk.append_to(path)
        self._waiting: dict[ValueKind, list[Frame]] = {}
        self.batches = 0
        self.rows = 0
        self.size = 0

    def write(self, frame: Frame) -> None:
        """Cut into batches and append; what fills none waits for more of its kind."""
        waiting = self._waiting.setdefault(frame.kind, [])
        waiting.append(frame)
        if sum(map(len, waiting)) >= BATCH_ROWS or frame.kind is ValueKind.TEXT:
            self._append_waiting(frame.kind)

    def finish(self) -> None:
        """Return when all of it is durable."""
        for kind in [*self._waiting]:
            self._append_waiting(kind)
        self._file.sync()

    def close(self) -> None:
        """Whether it is finished or not."""
        self._file.close()

    def _append_waiting(self, kind: ValueKind) -> None:
        waiting = self._waiting.pop(kind)
        frame = concatenate(waiting)
        begin = 0
        while begin < len(frame):
            end = _end_of(frame, begin)
            self._append(_cut(frame, begin, end))
            begin = end

    def _append(self, frame: Frame) -> None:
        buffers = encode_batch(Batch(_NOBODY, self.batches + 1, (frame,)))
        size = sum(len(buffer) for buffer in buffers)
        header = _HEADER.pack(MAGIC, len(frame), size, crc(*buffers))
        self.size += self._file.append([header, *buffers])
        self.batches += 1
        self.rows += len(frame)


def batches_of(path: Path, origin: Origin, after: int = 0) -> Iterator[Batch]:
    """Batches with a sequence above `after`; Refused("data_damaged") where the file is."""
    with path.open("rb") as file:
        sequence = 0
        while header := file.read(_HEADER.size):
            sequence += 1
            magic, _, size, checksum = _HEADER.unpack(header.ljust(_HEADER.size, b"\0"))
            if magic != MAGIC:
                raise Refused("data_damaged", f"Batch {sequence} of the import is damaged.")
            if sequence <= after:
                file.seek(size, 1)
                continue
            payload = file.read(size)
            if len(payload) != size or crc(payload) != checksum:
                raise Refused("data_damaged", f"Batch {sequence} of the import is damaged.")
            yield decode_batch(payload, origin, sequence)


def with_handles(batch: Batch, handles: npt.NDArray[np.uint32]) -> Batch:
    """The batch with handles instead of places."""
    frames = tuple(frame.with_points(handles[frame.point]) for frame in batch.frames)
    return Batch(batch.origin, batch.sequence, frames)


@dataclass(slots=True)
class PointCount:
    """Samples of one point in an import, and their span."""

    count: int = 0
    first_ns: int = 0
    last_ns: int = 0


def count_points(
    counts: Sequence[PointCount], point: npt.NDArray[np.uint32], time_ns: npt.NDArray[np.int64]
) -> None:
    """Add rows that are ordered by point."""
    if not len(point):
        return
    starts = np.flatnonzero(np.diff(point.astype(np.int64), prepend=-1))
    sizes = np.diff(np.append(starts, len(point)))
    columns = zip(
        point[starts].tolist(),
        sizes.tolist(),
        np.minimum.reduceat(time_ns, starts).tolist(),
        np.maximum.reduceat(time_ns, starts).tolist(),
        strict=True,
    )
    for place, size, first_ns, last_ns in columns:
        item = counts[place]
        item.first_ns = first_ns if not item.count else min(item.first_ns, first_ns)
        item.last_ns = last_ns if not item.count else max(item.last_ns, last_ns)
        item.count += size


def _end_of(frame: Frame, begin: int) -> int:
    end = min(len(frame), begin + BATCH_ROWS)
    if isinstance(frame.value, TextColumn):
        offset = frame.value.offset
        limit = int(offset[begin]) + TEXT_BATCH_BYTES
        end = min(end, max(begin + 1, int(np.searchsorted(offset, limit, "right")) - 1))
    return end


def _cut(frame: Frame, begin: int, end: int) -> Frame:
    cut = slice(begin, end)
    value = slice_values(frame.value, begin, end)
    if isinstance(value, TextColumn):
        low, high = int(value.offset[0]), int(value.offset[-1])
        value = TextColumn(value.offset - np.uint32(low), value.data[low:high])
    return Frame(frame.point[cut], frame.time_ns[cut], value, frame.quality[cut], frame.flags[cut])
