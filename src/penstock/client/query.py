"""Answers of SQL: the Arrow stream as it came, and its columns for numpy and pandas."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.client.table import Column, Table, Texts, need

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_NUMBERS = {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
_UNIT_NS = {"SECOND": 1_000_000_000, "MILLI": 1_000_000, "MICRO": 1_000, "NANO": 1}


@dataclass(frozen=True, slots=True)
class SqlAnswer:
    """Rows of a SELECT; `is_truncated`: there were more than the limit.

    `sequence` is the log record up to which the history was complete, `rows_read` how
    many samples were decoded.
    """

    stream: bytes
    sequence: int
    row_count: int
    is_truncated: bool
    rows_read: int

    def __len__(self) -> int:
        return self.row_count

    def __repr__(self) -> str:
        return f"<answer of {self.row_count} rows>"

    def arrow(self) -> pa.Table:
        """A pyarrow.Table. Missing without pyarrow."""
        return need("pyarrow").ipc.open_stream(self.stream).read_all()

    def polars(self) -> pl.DataFrame:
        """A polars.DataFrame. Missing without polars."""
        frame: pl.DataFrame = need("polars").read_ipc_stream(io.BytesIO(self.stream))
        return frame

    def pandas(self) -> pd.DataFrame:
        """A pandas.DataFrame; integers are nullable. Missing without pandas."""
        return self.table().pandas()

    def numpy(self) -> dict[str, Any]:
        """Arrays by name."""
        return self.table().numpy()

    def table(self) -> Table:
        """Columns; a type that has no array of its own is Python objects."""
        import nanoarrow as na  # noqa: PLC0415 - it takes 20 ms to import
        from nanoarrow.ipc import InputStream  # noqa: PLC0415

        with InputStream.from_readable(io.BytesIO(self.stream)) as source:
            whole = na.ArrayStream(source).read_all()
        names = [field.name for field in whole.schema.fields]
        columns = {
            name: _column(whole.child(place), field)
            for place, (name, field) in enumerate(zip(names, whole.schema.fields, strict=True))
        }
        return Table(columns, {"sequence": self.sequence})


def _column(array: Any, field: Any) -> Column:
    """One column over all its chunks."""
    kind = field.type.name.lower()
    views = [*array.iter_chunk_views()]
    is_there = _joined([_bits(view, 0) for view in views], np.bool_)
    known = None if is_there.all() else is_there
    if kind in _NUMBERS:
        return Column("int", _joined([_numbers(view) for view in views], kind), known)
    if kind in {"float", "double"}:
        numbers = _joined([_numbers(view) for view in views], np.float64)
        return Column("float", np.where(is_there, numbers, np.nan), known)
    if kind == "bool":
        return Column("bool", _joined([_bits(view, 1) for view in views], np.bool_), known)
    if kind == "string":
        return Column("text", Texts.joined([_texts(view) for view in views]), known)
    if kind == "timestamp":
        times = _joined([_numbers(view) for view in views], np.int64)
        zone = str(field.timezone or "")
        return Column("time", times * _UNIT_NS[field.unit.name], known, zone=zone)
    objects = np.empty(len(array), object)
    objects[:] = [*array.iter_py()]
    return Column("object", objects)


def _joined(parts: Sequence[Any], dtype: Any) -> Any:
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.zeros(0, dtype)


def _bits(view: Any, number: int) -> npt.NDArray[np.bool_]:
    """A bitmap as bools; one that is left out is all ones."""
    bitmap = np.frombuffer(view.buffer(number), np.uint8)
    begin, end = view.offset, view.offset + view.length
    if not len(bitmap):
        return np.ones(view.length, bool)
    return np.unpackbits(bitmap, count=end, bitorder="little")[begin:].view(np.bool_)


def _numbers(view: Any) -> npt.NDArray[Any]:
    return np.asarray(view.buffer(1))[view.offset : view.offset + view.length]


def _texts(view: Any) -> Texts:
    offset = np.asarray(view.buffer(1))[view.offset : view.offset + view.length + 1]
    return Texts(offset.astype(np.int64), np.frombuffer(view.buffer(2), np.uint8))
