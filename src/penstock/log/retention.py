"""Which files of the log may be deleted, and who still holds them.

A blocking reader (historian, projections) holds its files for ever; any other holds
them until it lags more than its limit or the log has no room, and that loss is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from penstock.log.files import LogFile


@dataclass(slots=True, eq=False)
class ReaderHandle:
    """A declared reader of the log; it has read nothing until it says so.

    `dropped` counts records that its lag limit cost it.
    """

    name: str
    blocks: bool
    lag_bytes_max: int | None
    on_close: Callable[[ReaderHandle], None]
    position: int = 0
    dropped: int = 0

    def advance(self, sequence: int) -> None:
        """The effects of all records up to `sequence` are durable at the reader."""
        self.position = max(self.position, sequence)

    def close(self) -> None:
        """The reader is gone for good and holds nothing."""
        self.on_close(self)


def deletable(
    files: Sequence[LogFile],
    sizes: Mapping[LogFile, int],
    readers: Sequence[ReaderHandle],
    *,
    bytes_keep: int,
    bytes_max: int,
) -> list[LogFile]:
    """Oldest files that go now. Nothing goes before the first reader has been declared."""
    total = sum(sizes.values())
    chosen: list[LogFile] = []
    if not readers:
        return chosen
    for file, following in pairwise(files):
        if total <= bytes_keep:
            break
        behind = [reader for reader in readers if reader.position < following.first - 1]
        if any(_holds(reader, total, is_short=total > bytes_max) for reader in behind):
            break
        chosen.append(file)
        total -= sizes.get(file, 0)
    return chosen


def drop_from(readers: Sequence[ReaderHandle], file: LogFile, following: LogFile) -> None:
    """Count what the deletion of `file` takes from readers that had not read it."""
    for reader in readers:
        first = max(reader.position + 1, file.first)
        lost = following.first - first
        if lost > 0:
            reader.dropped += lost
            reader.position = following.first - 1


def _holds(reader: ReaderHandle, lag_bytes: int, *, is_short: bool) -> bool:
    """`lag_bytes` counts from the oldest file, which is the one asked for."""
    if reader.blocks:
        return True
    if reader.lag_bytes_max is None or is_short:
        return False
    return lag_bytes <= reader.lag_bytes_max
