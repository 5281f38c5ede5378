"""Many chunks to columns at once: a chunk costs its pcodec calls and little more.

`chunk.decode_chunk` is for a query that needs a few chunks; here thousands of small
ones of one value kind go into columns that are there already, all five for compaction
(`Filled`), times and values for aggregates (`pieces`). Section tables are
read and constant columns filled for all chunks together. What is checked is the same.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from pcodec.standalone import simple_decompress_into

from penstock.codec.layout import Damaged
from penstock.historian.chunk import CHUNK_ROWS_MAX, DECIMALS_MAX, Form, decode_chunk
from penstock.historian.columns import Columns, empty_columns, join
from penstock.model import ValueKind

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from penstock.historian.segment import ChunkTable

_SECTION = np.dtype([("form", "u1"), ("param", "u1"), ("zero", "<u2"), ("bytes", "<u4")])
_SECTIONS = 5
_TABLE_BYTES = _SECTIONS * _SECTION.itemsize
_RAMP = np.arange(CHUNK_ROWS_MAX, dtype=np.int64)
_UNITS = {0, 3, 6, 9}


class Filled:
    """Columns of `rows` rows that chunks are decoded into; `damaged` names those that were not."""

    def __init__(self, kind: ValueKind, rows: int) -> None:
        assert kind in {ValueKind.FLOAT, ValueKind.INT}
        self.damaged: list[int] = []
        self.time_ns = np.empty(rows, np.int64)
        self.value: npt.NDArray[np.float64] | npt.NDArray[np.int64] = (
            np.empty(rows, np.float64) if kind is ValueKind.FLOAT else np.empty(rows, np.int64)
        )
        self.quality = np.empty(rows, np.uint8)
        self.flags = np.empty(rows, np.uint8)
        self.offset = np.empty(rows, np.uint32)

    def fill(
        self,
        data: bytes,
        table: ChunkTable,
        place: npt.NDArray[np.int64],
        begin: npt.NDArray[np.intp],
    ) -> None:
        """Decode the chunks of `table`, which lie at `place` in `data`, to the rows from `begin`.

        The numbers of chunks (within `table`) that cannot be trusted go to `damaged`;
        their rows hold anything.
        """
        self.damaged = []
        chosen, sections, offset = intact(data, table, place)
        good = chosen.tolist()
        if len(good) < len(table):
            self.damaged = sorted(set(range(len(table))) - set(good))
        columns = (
            good,
            begin[chosen].tolist(),
            table.rows[chosen].tolist(),
            offset.tolist(),
            sections["form"].tolist(),
            sections["param"].tolist(),
            sections["bytes"].tolist(),
        )
        for chunk, first, rows, places, forms, params, sizes in zip(*columns, strict=True):
            span = slice(first, first + rows)
            parts = [data[a : a + n] for a, n in zip(places, sizes, strict=True)]
            try:
                fill_times(self.time_ns[span], forms[0], params[0], parts[0])
                fill_values(self.value[span], forms[1], params[1], parts[1])
                _bytes(self.quality[span], rows, forms[2], params[2], parts[2])
                _bytes(self.flags[span], rows, forms[3], params[3], parts[3])
                _numbers(self.offset[span], rows, forms[4], parts[4])
            except (Damaged, RuntimeError, TypeError, ValueError):
                self.damaged.append(chunk)

    def columns(self, first_ns: npt.NDArray[np.int64], sequence: npt.NDArray[np.uint64]) -> Columns:
        """The rows, given the first time and the first sequence of each row's chunk."""
        self.time_ns += first_ns
        return Columns(self.time_ns, self.value, self.quality, self.flags, sequence + self.offset)


def fill_times(column: npt.NDArray[np.int64], form: int, unit: int, data: bytes) -> None:
    """Nanoseconds after the chunk's first row, from its first section; Damaged if it is odd."""
    _numbers(column, len(column), form, data)
    if form == Form.PACKED and unit:
        if unit not in _UNITS:
            raise Damaged(f"times have the unit 10^{unit} ns")
        column *= 10**unit


def fill_values(column: npt.NDArray[Any], form: int, digits: int, data: bytes) -> None:
    """Values, float64 or int64, from a chunk's second section; Damaged if it is odd."""
    rows = len(column)
    if form != Form.DECIMAL or column.dtype == np.int64:
        _numbers(column, rows, form, data)
        return
    if digits > DECIMALS_MAX or data[:1] not in {b"\4", b"\10"}:
        raise Damaged(f"decimal column with {digits} digits and width {data[:1]!r}")
    whole = np.empty(rows, np.int32 if data[0] == 4 else np.int64)
    _unpack(data[1:], whole, rows)
    np.divide(whole, 10.0**digits, out=column)


def intact(
    data: bytes, table: ChunkTable, place: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Chunks of `table` at `place` that can be trusted: (number, sections, where each begins)."""
    chosen = _sound(data, table, place)
    sections, offset = sections_of(data, place[chosen])
    ends = (place + table.bytes)[chosen]
    is_whole = ((offset + sections["bytes"]) <= ends[:, None]).all(axis=1)
    return chosen[is_whole], sections[is_whole], offset[is_whole]


def _sound(data: bytes, table: ChunkTable, place: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Chunks with the checksum that the table has for them."""
    view = memoryview(data)
    columns = place.tolist(), table.bytes.tolist(), table.crc.tolist()
    sound = [
        chunk
        for chunk, (at, size, stored) in enumerate(zip(*columns, strict=True))
        if size >= _TABLE_BYTES and zlib.crc32(view[at : at + size]) == stored
    ]
    return np.array(sound, np.intp)


def sections_of(
    data: bytes, place: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Section tables of all chunks (chunks x 5), and where each section begins."""
    everything = np.frombuffer(data, np.uint8)
    index = place[:, None] + np.arange(_TABLE_BYTES)
    sections = everything[index].view(_SECTION)
    size = sections["bytes"].astype(np.int64)
    padded = size + -size % 8
    offset = place[:, None] + _TABLE_BYTES + np.cumsum(padded, axis=1) - padded
    return sections, offset


def _unpack(data: bytes, column: npt.NDArray[Any], rows: int) -> None:
    progress = simple_decompress_into(data, column)
    if progress.n_processed != rows or not progress.finished:
        raise Damaged(f"packed column has not its {rows} rows")


def _numbers(column: npt.NDArray[Any], rows: int, form: int, data: bytes) -> None:
    if form == Form.PACKED:
        _unpack(data, column, rows)
    elif form == Form.LINEAR and len(data) == column.itemsize:
        np.multiply(
            _RAMP[:rows], int.from_bytes(data, "little", signed=True), out=column, casting="unsafe"
        )
    elif form == Form.RAW and len(data) == rows * column.itemsize:
        column[:] = np.frombuffer(data, column.dtype)
    else:
        raise Damaged(f"column of {rows} rows has form {form} and {len(data)} bytes")


def _bytes(column: npt.NDArray[np.uint8], rows: int, form: int, usual: int, data: bytes) -> None:
    if form == Form.CONSTANT:
        column[:] = usual
    elif form == Form.SPARSE:
        count, rest = divmod(len(data), 3)
        place = np.frombuffer(data, "<u2", count)
        if rest or (count and int(place.max()) >= rows):
            raise Damaged(f"sparse column of {rows} rows has {len(data)} bytes")
        column[:] = usual
        column[place] = np.frombuffer(data, "u1", count, 2 * count)
    else:
        _numbers(column, rows, form, data)


def decode_texts(
    chunks: list[tuple[bytes, int, int, int, int]], on_damage: Callable[[int], None]
) -> Columns:
    """Text chunks one by one: (data, crc, rows, first_ns, first_sequence) each.

    The rows of a damaged one are missing; `on_damage` is told its number.
    """
    pieces = [empty_columns(ValueKind.TEXT)]
    for number, (data, stored, rows, first_ns, sequence) in enumerate(chunks):
        if zlib.crc32(data) != stored:
            on_damage(number)
            continue
        try:
            pieces.append(decode_chunk(data, ValueKind.TEXT, rows, first_ns, sequence))
        except (Damaged, ValueError):
            on_damage(number)
    return join(pieces)
