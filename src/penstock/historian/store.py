"""Store: segments as a query sees them; tables are cached, damage becomes a bad-quality gap.

A damaged chunk never answers with wrong numbers and never takes the others with
it: it turns into two bad rows over its span, and its file is named once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
import structlog

from penstock.codec.layout import Damaged, crc
from penstock.historian.block_chunk import decode_block
from penstock.historian.chunk import decode_chunk
from penstock.historian.columns import Columns, empty_values
from penstock.historian.segment import (
    HEADER_BYTES,
    ChunkTable,
    SegmentInfo,
    check_header,
    decode_table,
    kind_of,
)
from penstock.model import Flag, Quality, ValueKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from penstock.model import Block
    from penstock.world import Disk

TABLE_BYTES_MAX = 12 * 1024 * 1024
DAMAGE_MAX = 1_000

_log = structlog.get_logger(__name__)


class Store:
    """Reads segments; safe to use from several threads.

    Files named in `elsewhere` lie there and not in `folder` (the spool of a pin).
    """

    def __init__(
        self,
        disk: Disk,
        folder: Path,
        table_bytes_max: int = TABLE_BYTES_MAX,
        elsewhere: Mapping[str, Path] | None = None,
    ) -> None:
        self.folder = folder
        self._elsewhere = elsewhere or {}
        self.damage: dict[str, str] = {}
        self._disk = disk
        self._table_bytes_max = table_bytes_max
        self._tables: OrderedDict[str, ChunkTable] = OrderedDict()
        self._table_bytes = 0
        self._lock = threading.Lock()

    def path_of(self, name: str) -> Path:
        """Where a segment's file lies."""
        return self._elsewhere.get(name) or self.folder / name

    def table(self, info: SegmentInfo) -> ChunkTable | None:
        """The segment's chunk table; None (and a named damage) if it cannot be trusted."""
        name = info.name
        with self._lock:
            if name in self._tables:
                self._tables.move_to_end(name)
                return self._tables[name]
        path = self.path_of(name)
        try:
            check_header(self._disk.read(path, 0, HEADER_BYTES))
            table = decode_table(
                self._disk.read(path, info.table_offset, info.file_bytes - info.table_offset),
                info.table_offset,
            )
        except (Damaged, FileNotFoundError) as error:
            self._report(name, str(error))
            return None
        self._keep(name, table)
        return table

    def chunk(self, info: SegmentInfo, table: ChunkTable, chunk: int) -> Columns | None:
        """Rows of a chunk; None (and a named damage) if its bytes cannot be trusted."""
        kind, rows = kind_of(table, chunk), int(table.rows[chunk])
        first_ns = int(table.first_ns[chunk])
        sequence = int(table.first_sequence[chunk])
        try:
            data = self._read(info, table, chunk)
            return decode_chunk(data, kind, rows, first_ns, sequence)
        except (Damaged, FileNotFoundError) as error:
            self._report(f"{info.name}@{int(table.offset[chunk])}", str(error))
            return None

    def stretch(self, info: SegmentInfo, offset: int, size: int) -> bytes:
        """Bytes of a segment as they are, for whoever checks them; less if the file has less."""
        try:
            return self._disk.read(self.path_of(info.name), offset, size)
        except FileNotFoundError:
            return b""

    def block(self, info: SegmentInfo, table: ChunkTable, chunk: int) -> Block | None:
        """Block of a chunk of kind 4; None (and a named damage) if it cannot be trusted."""
        point, rows = int(table.point[chunk]), int(table.rows[chunk])
        try:
            data = self._read(info, table, chunk)
            return decode_block(data, point, rows, int(table.first_ns[chunk]))
        except (Damaged, FileNotFoundError) as error:
            self._report(f"{info.name}@{int(table.offset[chunk])}", str(error))
            return None

    def _read(self, info: SegmentInfo, table: ChunkTable, chunk: int) -> bytes:
        offset, size = int(table.offset[chunk]), int(table.bytes[chunk])
        data = self._disk.read(self.path_of(info.name), offset, size)
        check_chunk(data, size, int(table.crc[chunk]))
        return data

    def forget(self, name: str) -> None:
        """The file is gone: another may get its name, and must not be read by the old table."""
        with self._lock:
            table = self._tables.pop(name, None)
            self._table_bytes -= 0 if table is None else table.bytes_used()
            for place in [place for place in self.damage if place.partition("@")[0] == name]:
                del self.damage[place]

    def _keep(self, name: str, table: ChunkTable) -> None:
        with self._lock:
            if name not in self._tables:
                self._table_bytes += table.bytes_used()
            self._tables[name] = table
            while self._table_bytes > self._table_bytes_max and len(self._tables) > 1:
                _, oldest = self._tables.popitem(last=False)
                self._table_bytes -= oldest.bytes_used()

    def _report(self, place: str, detail: str) -> None:
        with self._lock:
            if place in self.damage or len(self.damage) >= DAMAGE_MAX:
                return
            self.damage[place] = detail
        path = str(self.path_of(place.partition("@")[0]))
        _log.error("segment_damaged", file=path, place=place, detail=detail)


def check_chunk(data: bytes, size: int, stored: int) -> None:
    """Damaged unless these are the bytes that were written."""
    if len(data) != size or crc(data) != stored:
        raise Damaged(f"chunk of {size} bytes has a wrong checksum")


def lost(kind: ValueKind, first_ns: int, last_ns: int, sequence: int) -> Columns:
    """Bad rows at both ends of a span whose data cannot be read."""
    time_ns = np.unique(np.array([first_ns, last_ns], np.int64))
    rows = len(time_ns)
    return Columns(
        time_ns,
        empty_values(kind, rows),
        np.full(rows, Quality.BAD_DATA_LOST, np.uint8),
        np.full(rows, Flag.NO_VALUE, np.uint8),
        np.full(rows, sequence, np.uint64),
    )
