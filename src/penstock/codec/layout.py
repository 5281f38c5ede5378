"""What the binary formats share: 8-byte sections, checks, and the error of damaged bytes."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

Buffer = bytes | bytearray | memoryview

_ZEROS = bytes(8)


class Damaged(ValueError):
    """Bytes that are not what their format says; the message names format and place."""


def padding(size: int) -> bytes:
    """Zero bytes from `size` to the next multiple of 8."""
    return _ZEROS[: -size % 8]


def padded(size: int) -> int:
    """`size` rounded up to a multiple of 8."""
    return (size + 7) & ~7


def crc(*buffers: Buffer) -> int:
    """crc32 (zlib) over the buffers in order."""
    value = 0
    for buffer in buffers:
        value = zlib.crc32(buffer, value)
    return value


def column_bytes(column: npt.NDArray[np.generic]) -> memoryview:
    """The bytes of a column, little-endian and contiguous, without a copy where possible."""
    array = np.ascontiguousarray(column, column.dtype.newbyteorder("<"))
    return array.view(np.uint8).data if len(array) else memoryview(b"")


class SectionReader:
    """Takes 8-byte aligned columns off a buffer; every overrun is Damaged."""

    def __init__(self, buffer: Buffer, what: str) -> None:
        self._buffer = memoryview(buffer)
        self._what = what
        self.offset = 0

    def skip(self, size: int) -> None:
        """Move on by `size` bytes."""
        self._check(size)
        self.offset += size

    def column(self, dtype: str, rows: int) -> npt.NDArray[np.generic]:
        """A read-only view of `rows` items; moves to the next multiple of 8 behind it."""
        kind = np.dtype(dtype)
        size = kind.itemsize * rows
        self._check(size)
        view = np.frombuffer(self._buffer, kind, rows, self.offset)
        if view.flags.writeable:
            view.flags.writeable = False
        self.offset += padded(size)
        return view

    def _check(self, size: int) -> None:
        if self.offset + size > len(self._buffer):
            raise Damaged(f"{self._what} ends early: {len(self._buffer)} bytes")
