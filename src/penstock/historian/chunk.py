"""Chunk: up to 16,384 rows of one point as bytes: docs/reference/formats/segment.md.

A chunk is five sections (time, value, quality, flags, sequence), each in the form
that fits it best. Whoever holds the bytes has checked their crc32, so everything
odd in here is a fault of the writer and Damaged all the same.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.codec.layout import Buffer, Damaged, column_bytes, padding
from penstock.historian.columns import Columns
from penstock.historian.packing import pack, unpack
from penstock.model import TextColumn, ValueKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from penstock.model.frame import Values

CHUNK_ROWS_MAX = 16_384
CHUNK_TEXT_BYTES_MAX = 4 * 1024 * 1024
# Below this a pcodec header is as long as what it saves.
PACKED_ROWS_MIN = 24
_SECTION = struct.Struct("<BBHI")
_SECTIONS = 5
DECIMALS_MAX = 4
_EXACT = 2.0**53


class Encoding(IntEnum):
    """Whether a reader needs pcodec for the chunk."""

    RAW = 0
    PCODEC = 1


class Form(IntEnum):
    """How a section's bytes hold its column. A number is never reused."""

    RAW = 0
    PACKED = 1
    DECIMAL = 2
    CONSTANT = 3
    SPARSE = 4
    WORDS = 5


_FORMS = frozenset(int(form) for form in Form)
Section = tuple[Form, int, bytes]


def encode_chunk(rows: Columns, *, is_packed: bool, decimals: int = 0) -> tuple[bytes, int]:
    """(bytes padded to 8, decimals that were used, to be handed in for the point's next chunk)."""
    assert 0 < len(rows) <= CHUNK_ROWS_MAX
    is_packed = is_packed and len(rows) >= PACKED_ROWS_MIN
    value = _value_section(rows.value, is_packed, decimals)
    sections = [
        _number_section(rows.time_ns, is_packed),
        value,
        _byte_section(rows.quality),
        _byte_section(rows.flags),
        _sequence_section(rows.sequence, is_packed),
    ]
    head = b"".join(_SECTION.pack(form, param, 0, len(data)) for form, param, data in sections)
    body = b"".join(data + padding(len(data)) for _, _, data in sections)
    return head + body, value[1] if value[0] is Form.DECIMAL else decimals


def decode_chunk(data: Buffer, kind: ValueKind, rows: int, first_sequence: int) -> Columns:
    """The chunk's rows; `rows` and `first_sequence` come from the chunk table."""
    sections = _split(data)
    times, value, quality, flags, sequence = sections
    offset = _numbers(sequence, "<u4", rows)
    return Columns(
        _numbers(times, "<i8", rows),
        _values(value, kind, rows),
        _bytes(quality, rows),
        _bytes(flags, rows),
        offset + np.uint64(first_sequence),
    )


def _split(data: Buffer) -> list[Section]:
    offset = _SECTION.size * _SECTIONS
    if len(data) < offset:
        raise Damaged(f"chunk of {len(data)} bytes has no section table")
    sections: list[Section] = []
    for form, param, _, size in _SECTION.iter_unpack(memoryview(data)[:offset]):
        if offset + size > len(data) or form not in _FORMS:
            raise Damaged(f"chunk section of form {form} and {size} bytes at {offset}")
        sections.append((Form(form), param, bytes(memoryview(data)[offset : offset + size])))
        offset += size + -size % 8
    return sections


# --- numbers


def _number_section(column: npt.NDArray[Any], is_packed: bool) -> Section:
    if is_packed:
        return Form.PACKED, 0, pack(column)
    return Form.RAW, 0, bytes(column_bytes(column))


def _sequence_section(sequence: npt.NDArray[np.uint64], is_packed: bool) -> Section:
    first, last = int(sequence.min()), int(sequence.max())
    assert last - first < 2**32
    if first == last:
        return Form.CONSTANT, 0, b""
    return _number_section((sequence - np.uint64(first)).astype(np.uint32), is_packed)


def _numbers(section: Section, dtype: str, rows: int) -> npt.NDArray[Any]:
    form, param, data = section
    if form is Form.PACKED:
        return unpack(data, dtype, rows)
    if form is Form.CONSTANT:
        return np.full(rows, param, dtype)
    if form is not Form.RAW or len(data) != rows * np.dtype(dtype).itemsize:
        raise Damaged(f"column of {rows} rows has form {form.name} and {len(data)} bytes")
    return np.frombuffer(data, dtype)


# --- quality and flags: nearly always one byte for all rows


def _byte_section(column: npt.NDArray[np.uint8]) -> Section:
    """One byte for all rows; else the rows that differ from the best of them; else all."""
    usual = int(column.max())
    odd = np.flatnonzero(column != usual)
    if not len(odd):
        return Form.CONSTANT, usual, b""
    if len(odd) * 3 >= len(column):
        return Form.RAW, 0, column.tobytes()
    return Form.SPARSE, usual, odd.astype("<u2").tobytes() + column[odd].tobytes()


def _bytes(section: Section, rows: int) -> npt.NDArray[np.uint8]:
    form, param, data = section
    if form is not Form.SPARSE:
        return _numbers(section, "u1", rows)
    count, rest = divmod(len(data), 3)
    column = np.full(rows, param, np.uint8)
    place = np.frombuffer(data, "<u2", count)
    if rest or (count and int(place.max()) >= rows):
        raise Damaged(f"sparse column of {rows} rows has {len(data)} bytes")
    column[place] = np.frombuffer(data, "u1", count, 2 * count)
    return column


# --- values


def _value_section(value: Values, is_packed: bool, decimals: int) -> Section:
    if isinstance(value, TextColumn):
        return _text_section(value, is_packed)
    if not is_packed:
        return Form.RAW, 0, bytes(column_bytes(value))
    if value.dtype != np.float64:
        return Form.PACKED, 0, pack(value)
    return _decimal_section(value.view(np.float64), decimals) or (Form.PACKED, 0, pack(value))


def _decimal_section(value: npt.NDArray[np.float64], decimals: int) -> Section | None:
    """Integers of value x 10^d if that is exact for every bit, -0.0 and NaN included."""
    probe = value[:8]
    for digits in dict.fromkeys([decimals, *range(DECIMALS_MAX + 1)]):
        if not _is_decimal(probe, digits) or not _is_decimal(value, digits):
            continue
        whole = np.rint(value * 10.0**digits)
        fits = bool((np.abs(whole) < 2**31).all())
        return Form.DECIMAL, digits, _width(fits) + pack(whole.astype("<i4" if fits else "<i8"))
    return None


def _is_decimal(value: npt.NDArray[np.float64], digits: int) -> bool:
    scale = 10.0**digits
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.rint(value * scale)
        back = (whole + 0.0) / scale
        return bool(
            ((back.view(np.int64) == value.view(np.int64)) & (np.abs(whole) < _EXACT)).all()
        )


def _width(is_narrow: bool) -> bytes:
    return b"\4" if is_narrow else b"\10"


def _values(section: Section, kind: ValueKind, rows: int) -> Values:
    form, digits, data = section
    if kind is ValueKind.TEXT:
        return _texts(section, rows)
    if kind is ValueKind.INT:
        return _numbers(section, "<i8", rows)
    if form is not Form.DECIMAL:
        return _numbers(section, "<f8", rows)
    if digits > DECIMALS_MAX or data[:1] not in {b"\4", b"\10"}:
        raise Damaged(f"decimal column with {digits} digits and width {data[:1]!r}")
    whole = unpack(data[1:], f"<i{data[0]}", rows)
    scaled: npt.NDArray[np.float64] = whole / 10.0**digits
    return scaled


# --- texts


def _text_section(value: TextColumn, is_packed: bool) -> Section:
    if is_packed:
        texts = value.to_list()
        words = list(dict.fromkeys(texts))
        if len(words) * 4 <= len(texts):
            return Form.WORDS, 0, _words(texts, words)
    return Form.RAW, 0, _raw_text(value)


def _raw_text(value: TextColumn) -> bytes:
    first, last = int(value.offset[0]), int(value.offset[-1])
    return (value.offset - np.uint32(first)).astype("<u4").tobytes() + bytes(
        column_bytes(value.data[first:last])
    )


def _words(texts: list[str], words: list[str]) -> bytes:
    place = {word: number for number, word in enumerate(words)}
    index = pack(np.array([place[text] for text in texts], np.uint32))
    head = struct.pack("<II", len(words), len(index))
    return head + index + _raw_text(TextColumn.of(words))


def _texts(section: Section, rows: int) -> TextColumn:
    form, _, data = section
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
    if int(offset[-1]) != len(data) - size or (np.diff(offset.astype(np.int64)) < 0).any():
        raise Damaged(f"text column of {rows} rows has wrong offsets")
    return TextColumn(offset, np.frombuffer(data, np.uint8, offset=size))
