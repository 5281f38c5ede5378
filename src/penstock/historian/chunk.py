"""Chunk: up to 16,384 rows of one point as bytes: docs/reference/formats/segment.md.

A chunk is five sections (time, value, quality, flags, sequence), each in the form
that fits it best; times and sequences count from the first, which the chunk table
has. Whoever holds the bytes has checked their crc32, so everything odd in here is a
fault of the writer and Damaged all the same. `encode.py` writes what this reads.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from penstock.codec.layout import Damaged
from penstock.historian.block_chunk import decode_block, expand
from penstock.historian.columns import Columns
from penstock.historian.packing import unpack
from penstock.model import TextColumn, ValueKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from penstock.model.frame import Values

CHUNK_ROWS_MAX = 16_384
CHUNK_TEXT_BYTES_MAX = 4 * 1024 * 1024
DECIMALS_MAX = 4
_SECTIONS = 5
_TABLE = struct.Struct("<" + "BBxxI" * _SECTIONS)
_SECTION = np.dtype([("form", "u1"), ("param", "u1"), ("zero", "<u2"), ("bytes", "<u4")])
_PADDINGS = [bytes(-rest % 8) for rest in range(8)]


class Encoding(IntEnum):
    """Whether a reader needs pcodec for the chunk."""

    RAW = 0
    PCODEC = 1


class Form(IntEnum):
    """How a section's bytes hold its column. A number is never reused."""

    RAW = 0
    PACKED = 1
    DECIMAL = 2
    LINEAR = 3
    CONSTANT = 4
    SPARSE = 5
    WORDS = 6


_FORMS = {int(form): form for form in Form}


class Section(NamedTuple):
    """One column of a chunk; `param` belongs to the form."""

    form: Form
    param: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Sections:
    """One column of many chunks: the form, its parameter and the bytes of each."""

    forms: npt.NDArray[np.uint8]
    params: npt.NDArray[np.uint8]
    data: list[bytes]

    @classmethod
    def of(cls, chunks: int) -> Sections:
        """Empty raw sections, to be filled."""
        return cls(np.zeros(chunks, np.uint8), np.zeros(chunks, np.uint8), [b""] * chunks)

    def put(self, chunk: int, form: Form, param: int, data: bytes) -> None:
        """One section."""
        self.forms[chunk] = form
        self.params[chunk] = param
        self.data[chunk] = data

    def put_linear(self, chosen: npt.NDArray[np.bool_], step: npt.NDArray[Any]) -> None:
        """Linear sections where chosen; the step's type is the column's."""
        self.forms[chosen] = Form.LINEAR
        size, steps = step.itemsize, step[chosen].tobytes()
        for place, chunk in enumerate(np.flatnonzero(chosen).tolist()):
            self.data[chunk] = steps[place * size : (place + 1) * size]


def join_sections(columns: Sequence[Sections]) -> list[bytes]:
    """The bytes of each chunk; their number is a multiple of 8."""
    assert len(columns) == _SECTIONS
    chunks = len(columns[0].data)
    table = np.zeros((chunks, _SECTIONS), _SECTION)
    for number, column in enumerate(columns):
        table["form"][:, number] = column.forms
        table["param"][:, number] = column.params
        table["bytes"][:, number] = list(map(len, column.data))
    heads, width = table.tobytes(), _TABLE.size
    parts: list[Sequence[bytes]] = [
        [heads[begin : begin + width] for begin in range(0, len(heads), width)]
    ]
    for number, column in enumerate(columns):
        size = table["bytes"][:, number]
        if size.any():
            parts += [column.data, [_PADDINGS[rest] for rest in (size % 8).tolist()]]
    return list(map(b"".join, zip(*parts, strict=True)))


def decode_chunk(
    data: bytes, kind: ValueKind, rows: int, first_ns: int, first_sequence: int
) -> Columns:
    """The chunk's rows; everything but `data` comes from the chunk table.

    A Block gives its samples as rows of float64.
    """
    if kind is ValueKind.WAVEFORM:
        return expand(decode_block(data, 0, rows, first_ns), first_sequence)
    times, value, quality, flags, sequence = _split(data)
    return Columns(
        _times(times, rows) + first_ns,
        _values(value, kind, rows),
        _bytes(quality, rows),
        _bytes(flags, rows),
        _offsets(sequence, rows) + np.uint64(first_sequence),
    )


def _split(data: bytes) -> list[Section]:
    offset = _TABLE.size
    if len(data) < offset:
        raise Damaged(f"chunk of {len(data)} bytes has no section table")
    table = _TABLE.unpack_from(data)
    sections: list[Section] = []
    for number, param, size in zip(table[::3], table[1::3], table[2::3], strict=True):
        form = _FORMS.get(number)
        if offset + size > len(data) or form is None:
            raise Damaged(f"chunk section of form {number} and {size} bytes at {offset}")
        sections.append(Section(form, param, data[offset : offset + size]))
        offset += size + -size % 8
    return sections


# --- numbers


def _times(section: Section, rows: int) -> npt.NDArray[np.int64]:
    """Nanoseconds after the first row; the parameter is the power of ten of the unit."""
    if section.form is not Form.PACKED:
        return _numbers(section, "<i8", rows)
    if section.param not in {0, 3, 6, 9}:
        raise Damaged(f"times have the unit 10^{section.param} ns")
    counted: npt.NDArray[np.int64] = unpack(section.data, "<i8", rows)
    return counted * 10**section.param if section.param else counted


def _offsets(section: Section, rows: int) -> npt.NDArray[np.uint32]:
    return _numbers(section, "<u4", rows)


def _numbers(section: Section, dtype: str, rows: int) -> npt.NDArray[Any]:
    form, data, size = section.form, section.data, np.dtype(dtype).itemsize
    if form is Form.PACKED:
        return unpack(data, dtype, rows)
    if form is Form.LINEAR and len(data) == size:
        line: npt.NDArray[Any] = np.arange(rows, dtype=dtype) * np.frombuffer(data, dtype)
        return line
    if form is not Form.RAW or len(data) != rows * size:
        raise Damaged(f"column of {rows} rows has form {form.name} and {len(data)} bytes")
    return np.frombuffer(data, dtype)


def _bytes(section: Section, rows: int) -> npt.NDArray[np.uint8]:
    if section.form is Form.CONSTANT:
        return np.full(rows, section.param, np.uint8)
    if section.form is not Form.SPARSE:
        return _numbers(section, "u1", rows)
    data = section.data
    count, rest = divmod(len(data), 3)
    column = np.full(rows, section.param, np.uint8)
    place = np.frombuffer(data, "<u2", count)
    if rest or (count and int(place.max()) >= rows):
        raise Damaged(f"sparse column of {rows} rows has {len(data)} bytes")
    column[place] = np.frombuffer(data, "u1", count, 2 * count)
    return column


# --- values


def _values(section: Section, kind: ValueKind, rows: int) -> Values:
    if kind is ValueKind.TEXT:
        return _texts(section, rows)
    if kind is ValueKind.INT:
        return _numbers(section, "<i8", rows)
    if section.form is not Form.DECIMAL:
        return _numbers(section, "<f8", rows)
    data, digits = section.data, section.param
    if digits > DECIMALS_MAX or data[:1] not in {b"\4", b"\10"}:
        raise Damaged(f"decimal column with {digits} digits and width {data[:1]!r}")
    whole = unpack(data[1:], f"<i{data[0]}", rows)
    scaled: npt.NDArray[np.float64] = whole / 10.0**digits
    return scaled


def _texts(section: Section, rows: int) -> TextColumn:
    form, data = section.form, section.data
    if form is Form.RAW:
        return _read_text(data, rows)
    if form is not Form.WORDS or len(data) < 8:
        raise Damaged(f"text column has form {form.name} and {len(data)} bytes")
    count, size = struct.unpack_from("<II", data)
    index = unpack(data[8 : 8 + size], "<u4", rows)
    words = _read_text(data[8 + size :], count)
    if rows and int(index.max()) >= count:
        raise Damaged(f"text column names word {int(index.max())} of {count}")
    return words.take(index.astype(np.intp))


def _read_text(data: bytes, rows: int) -> TextColumn:
    size = 4 * (rows + 1)
    if len(data) < size:
        raise Damaged(f"text column of {rows} rows has {len(data)} bytes")
    offset = np.frombuffer(data, "<u4", rows + 1)
    is_growing = bool((offset[1:] >= offset[:-1]).all())
    if int(offset[0]) or int(offset[-1]) != len(data) - size or not is_growing:
        raise Damaged(f"text column of {rows} rows has wrong offsets")
    return TextColumn(offset, np.frombuffer(data, np.uint8, offset=size))
