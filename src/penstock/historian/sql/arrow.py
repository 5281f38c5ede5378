"""Arrow from numpy columns: record batches, and a C stream that pulls them one by one.

nanoarrow has no stream over a Python iterator, so the five callbacks of the C stream
interface are written here; a consumer such as DuckDB then decodes as it goes and
never holds more than one batch. The callbacks take the GIL by themselves.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import nanoarrow as na
import numpy as np
import numpy.typing as npt
from nanoarrow.c_array_stream import allocate_c_array_stream

from penstock.model import TextColumn

_SCHEMA_BYTES, _SCHEMA_RELEASE = 72, 56
_ARRAY_BYTES, _ARRAY_RELEASE = 80, 64

UUID_TYPE = "uuid"
TYPES: Mapping[str, Callable[[], Any]] = {
    "bool": na.bool_,
    "u8": na.uint8,
    "u32": na.uint32,
    "i64": na.int64,
    "f64": na.float64,
    "text": na.string,
    "time": lambda: na.timestamp("ns", "UTC"),
    UUID_TYPE: lambda: na.extension_type(na.fixed_size_binary(16), "arrow.uuid"),
}
"""Types of columns by their short names."""


class _Stream(ctypes.Structure):
    """`struct ArrowArrayStream`."""


_Pointer = ctypes.POINTER(_Stream)
_Get = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, ctypes.c_void_p)
_Error = ctypes.CFUNCTYPE(ctypes.c_void_p, _Pointer)
_Release = ctypes.CFUNCTYPE(None, _Pointer)
_Stream._fields_ = [
    ("get_schema", _Get),
    ("get_next", _Get),
    ("get_last_error", _Error),
    ("release", _Release),
    ("private_data", ctypes.c_void_p),
]
_RELEASE_OFFSET = _Stream.release.offset

# Callbacks of the streams that a consumer holds: C knows their addresses only.
_live: dict[int, _Callbacks] = {}


class _Callbacks:
    """The five functions of one stream; `error` is what stopped it."""

    def __init__(
        self, schema: Any, batches: Iterator[Any], note_error: Callable[[Exception], None]
    ) -> None:
        self._schema = schema
        self._batches = batches
        self._note_error = note_error
        self._text = ctypes.create_string_buffer(b"")
        self.pointers = (
            _Get(self._get_schema),
            _Get(self._get_next),
            _Error(lambda _stream: ctypes.addressof(self._text)),
            _Release(self._release),
        )

    def _get_schema(self, _stream: object, out: int) -> int:
        _move(na.c_schema(self._schema).__deepcopy__(), out, _SCHEMA_BYTES, _SCHEMA_RELEASE)
        return 0

    def _get_next(self, _stream: object, out: int) -> int:
        try:
            batch = next(self._batches, None)
        except Exception as error:  # noqa: BLE001 - C takes no exception; it is raised again behind it
            self._note_error(error)
            self._text = ctypes.create_string_buffer(str(error).encode())
            return errno.EIO
        if batch is None:
            ctypes.memset(out, 0, _ARRAY_BYTES)
        else:
            _move(batch, out, _ARRAY_BYTES, _ARRAY_RELEASE)
        return 0

    def _release(self, stream: Any) -> None:
        address = ctypes.addressof(stream.contents)
        number = stream.contents.private_data
        ctypes.c_void_p.from_address(address + _RELEASE_OFFSET).value = None
        _live.pop(number, None)


def stream(schema: Any, batches: Iterator[Any], note_error: Callable[[Exception], None]) -> object:
    """Capsule of an ArrowArrayStream over `batches` (struct arrays of `schema`)."""
    owner = allocate_c_array_stream()
    raw = _Stream.from_address(owner._addr())  # noqa: SLF001 - the documented way to fill one
    callbacks = _Callbacks(schema, batches, note_error)
    raw.get_schema, raw.get_next, raw.get_last_error, raw.release = callbacks.pointers
    number = id(callbacks)
    raw.private_data = number
    _live[number] = callbacks
    return owner.__arrow_c_stream__()


def _move(source: Any, target: int, size: int, release: int) -> None:
    """Move a C struct: the target owns it now, and the source counts as released."""
    address = source._addr()  # noqa: SLF001
    ctypes.memmove(target, address, size)
    ctypes.c_void_p.from_address(address + release).value = None


def schema_of(columns: Sequence[tuple[str, str]]) -> Any:
    """Struct schema of (name, short name of a type)."""
    return na.struct({name: TYPES[kind]() for name, kind in columns})


class Column:
    """One column of a batch: `kind` of TYPES, its values, and which of them are there."""

    __slots__ = ("data", "is_valid", "kind")

    def __init__(
        self,
        kind: str,
        data: npt.NDArray[Any] | TextColumn,
        is_valid: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self.kind = kind
        self.data = data
        self.is_valid = None if is_valid is None or is_valid.all() else is_valid


def batch_of(schema: Any, rows: int, columns: Sequence[Column]) -> Any:
    """One struct array; the buffers of the columns are used where they lie."""
    return na.c_array_from_buffers(
        schema, rows, [None], children=[_array(column, rows) for column in columns]
    )


def _array(column: Column, rows: int) -> Any:
    validity = None if column.is_valid is None else _bits(column.is_valid)
    data = column.data
    if isinstance(data, TextColumn):
        begin, end = int(data.offset[0]), int(data.offset[-1])
        offset = (data.offset - np.uint32(begin)).astype(np.int32)
        buffers = [validity, offset, np.ascontiguousarray(data.data[begin:end])]
    elif column.kind == "bool":
        buffers = [validity, _bits(data)]
    else:
        buffers = [validity, np.ascontiguousarray(data)]
    return na.c_array_from_buffers(TYPES[column.kind](), rows, buffers)


def _bits(flags: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Arrow's bitmaps: the first row is the lowest bit."""
    return np.packbits(flags, bitorder="little")


def repeated(texts: Sequence[str], counts: Sequence[int]) -> TextColumn:
    """Each text so often, without a Python object a row."""
    encoded = [text.encode() for text in texts]
    length = np.repeat(np.array([len(item) for item in encoded], np.int64), counts)
    offset = np.zeros(len(length) + 1, np.uint32)
    np.cumsum(length, out=offset[1:])
    data = b"".join(item * count for item, count in zip(encoded, counts, strict=True))
    return TextColumn(offset, np.frombuffer(data, np.uint8))
