"""Piece: some rows of one point, wherever they lie; what queries are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.historian.block_chunk import HeldBlock
from penstock.historian.columns import Columns
from penstock.model import ValueKind

if TYPE_CHECKING:
    from penstock.historian.segment import ChunkTable, SegmentInfo

TIME_MIN, TIME_MAX = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """A chunk that has not been read; its statistics are in the table."""

    info: SegmentInfo
    table: ChunkTable
    chunk: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of one point: a chunk on disk or rows in memory.

    `order` decides between rows of one moment and one log record: replaced rows (side
    chunk, `is_side`) come before those that replaced them.
    """

    first_ns: int
    last_ns: int
    rows: int
    order: int
    source: ChunkRef | Columns | HeldBlock
    is_side: bool = False

    @property
    def is_block(self) -> bool:
        """A whole Block of a waveform."""
        source = self.source
        if isinstance(source, ChunkRef):
            return int(source.table.kind[source.chunk]) == ValueKind.WAVEFORM
        return isinstance(source, HeldBlock)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page begins: at `time_ns`, behind the first `skip` rows of that moment."""

    time_ns: int
    skip: int

    def __str__(self) -> str:
        return f"{self.time_ns}.{self.skip}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """ValueError for anything that str() did not give."""
        time_ns, _, skip = text.partition(".")
        cursor = cls(int(time_ns), int(skip))
        if str(cursor) != text or cursor.skip < 0 or not TIME_MIN <= cursor.time_ns <= TIME_MAX:
            raise ValueError(f"{text!r} is not a cursor")
        return cursor


def may_hold(info: SegmentInfo, handle: int, from_ns: int, to_ns: int) -> bool:
    """May the segment have rows of the point with from <= time < to?"""
    return (
        info.first_point <= handle <= info.last_point
        and info.first_ns < to_ns
        and info.last_ns >= from_ns
    )
