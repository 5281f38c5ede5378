"""Tables: columns as numpy holds them, handed over as pandas, polars, Arrow or numpy.

Those libraries are yours: each is imported when its method is called, and a missing one
is named. A value is handed over bit for bit: integers stay integers of 64 bits, times
keep their nanoseconds and get their zone, no value is a null and not a 0.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from penstock.client.errors import Missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    import numpy.typing as npt
    import pandas as pd
    import polars as pl
    import pyarrow as pa

Kind = Literal["float", "int", "bool", "text", "time", "word", "object"]


@dataclass(frozen=True, slots=True)
class Texts:
    """UTF-8 texts end to end: `offset` i64[n + 1], `data` u8."""

    offset: npt.NDArray[np.int64]
    data: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.offset) - 1

    @classmethod
    def of(cls, texts: Sequence[str]) -> Texts:
        """From Python's."""
        parts = [text.encode() for text in texts]
        offset = np.zeros(len(parts) + 1, np.int64)
        np.cumsum([len(part) for part in parts], out=offset[1:])
        return cls(offset, np.frombuffer(b"".join(parts), np.uint8))

    @classmethod
    def joined(cls, parts: Sequence[Texts]) -> Texts:
        """All of them in order."""
        lengths = [np.diff(part.offset) for part in parts]
        offset = np.zeros(sum(map(len, lengths)) + 1, np.int64)
        if lengths:
            np.cumsum(np.concatenate(lengths), out=offset[1:])
        cut = [part.data[int(part.offset[0]) : int(part.offset[-1])] for part in parts]
        return cls(offset, np.concatenate(cut) if cut else np.zeros(0, np.uint8))

    def objects(self, is_there: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.object_]:
        """Python texts, None where there is no value."""
        data, ends = self.data.tobytes(), self.offset.tolist()
        found = np.empty(len(self), object)
        found[:] = [data[ends[row] : ends[row + 1]].decode() for row in range(len(self))]
        if is_there is not None:
            found[~is_there] = None
        return found


Data = Any  # an array, or Texts


@dataclass(frozen=True, slots=True)
class Column:
    """`data` by `kind`; `is_there` bool[n] or None for "all".

    A "time" is i64 nanoseconds since 1970 (UTC) shown in `zone`, or local without one; a
    "word" is a code into `words`; an "object" is what has no array of its own.
    """

    kind: Kind
    data: Data
    is_there: npt.NDArray[np.bool_] | None = None
    words: Sequence[str] = ()
    zone: str = "UTC"

    def __len__(self) -> int:
        return len(self.data)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of named columns; `notes` says what belongs to all of them, such as `sequence`."""

    columns: Mapping[str, Column]
    notes: Mapping[str, object] = field(default_factory=dict)

    def __len__(self) -> int:
        return next((len(column) for column in self.columns.values()), 0)

    def __repr__(self) -> str:
        return f"<table of {len(self)} rows: {', '.join(self.columns)}>"

    def numpy(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays by name. Times are datetime64[ns] in UTC; integers that may lack are masked."""
        return {name: _numpy(column) for name, column in self.columns.items()}

    def pandas(self) -> pd.DataFrame:
        """A pandas.DataFrame; integers are Int64, words are categories. Missing without pandas."""
        pandas = need("pandas")
        made = {name: _pandas(pandas, column) for name, column in self.columns.items()}
        frame: pd.DataFrame = pandas.DataFrame(made, copy=False)
        frame.attrs.update(self.notes)
        return frame

    def polars(self) -> pl.DataFrame:
        """A polars.DataFrame; words are Categorical. Missing without polars."""
        polars = need("polars")
        made = [_polars(polars, name, column) for name, column in self.columns.items()]
        frame: pl.DataFrame = polars.DataFrame(made)
        return frame

    def arrow(self) -> pa.Table:
        """A pyarrow.Table; words are dictionaries. Missing without pyarrow."""
        pyarrow = need("pyarrow")
        made = {name: _arrow(pyarrow, column) for name, column in self.columns.items()}
        return pyarrow.table(made)


def need(name: str) -> ModuleType:
    """The user's library; Missing says how to get it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise Missing(f"This needs {name}, which is not installed: pip install {name}") from error


def table_of(columns: Mapping[str, Sequence[object]]) -> Table:
    """From lists of Python values; a list of nothing but None counts as text."""
    return Table({name: _column_of(values) for name, values in columns.items()})


def _column_of(values: Sequence[object]) -> Column:
    there = np.array([value is not None for value in values], bool)
    kinds = {type(value) for value in values if value is not None}
    is_there = None if there.all() else there
    if kinds and kinds <= {bool}:
        return Column("bool", np.array([bool(value) for value in values]), is_there)
    if kinds and kinds <= {int}:
        return Column("int", np.array([value or 0 for value in values], np.int64), is_there)
    if kinds and kinds <= {int, float}:
        numbers = [np.nan if value is None else value for value in values]
        return Column("float", np.array(numbers, np.float64), is_there)
    texts = ["" if value is None else str(value) for value in values]
    return Column("text", Texts.of(texts), is_there)


# --- one column


def _numpy(column: Column) -> npt.NDArray[Any]:
    made: npt.NDArray[Any] = column.data
    if column.kind == "text":
        made = column.data.objects(column.is_there)
    elif column.kind == "word":
        made = np.array([*column.words], object)[column.data]
    elif column.kind == "time":
        made = column.data.view("datetime64[ns]")
        if column.is_there is not None:
            made = np.where(column.is_there, made, np.datetime64("NaT", "ns"))
    elif column.kind == "int":
        mask = np.ma.nomask if column.is_there is None else ~column.is_there
        made = np.ma.MaskedArray(column.data, mask)
    return made


def _pandas(pandas: ModuleType, column: Column) -> Any:
    if column.kind == "text":
        return pandas.array(column.data.objects(column.is_there), dtype="str")
    if column.kind == "word":
        return pandas.Categorical.from_codes(column.data, categories=[*column.words])
    if column.kind == "time":
        times = pandas.DatetimeIndex(_numpy(column), copy=False)
        if not column.zone:
            return times
        return times.tz_localize("UTC").tz_convert(column.zone)
    if column.kind == "int":
        mask = np.zeros(len(column), bool) if column.is_there is None else ~column.is_there
        return pandas.arrays.IntegerArray(column.data, mask)
    if column.kind == "bool" and column.is_there is not None:
        return pandas.arrays.BooleanArray(column.data, ~column.is_there)
    return column.data


def _arrow(pyarrow: ModuleType, column: Column) -> Any:
    if column.kind == "text":
        return _arrow_texts(pyarrow, column.data, column.is_there)
    if column.kind == "word":
        words = pyarrow.array([*column.words], pyarrow.string())
        return pyarrow.DictionaryArray.from_arrays(pyarrow.array(column.data), words)
    mask = None if column.is_there is None else ~column.is_there
    if column.kind == "time":
        kind = pyarrow.timestamp("ns", column.zone or None)
        return pyarrow.array(column.data, pyarrow.int64(), mask=mask).view(kind)
    return pyarrow.array(column.data, mask=mask, from_pandas=False)


def _arrow_texts(pyarrow: ModuleType, texts: Texts, is_there: Any) -> Any:
    validity = None if is_there is None else np.packbits(is_there, bitorder="little")
    buffers = [
        None if validity is None else pyarrow.py_buffer(validity),
        pyarrow.py_buffer(np.ascontiguousarray(texts.offset)),
        pyarrow.py_buffer(np.ascontiguousarray(texts.data)),
    ]
    return pyarrow.Array.from_buffers(pyarrow.large_string(), len(texts), buffers)


def _polars(polars: ModuleType, name: str, column: Column) -> Any:
    if column.kind == "text":
        return polars.Series(name, column.data.objects(column.is_there).tolist(), polars.String)
    if column.kind == "word":
        words = polars.Series(name, [*column.words], polars.Categorical)
        return words.gather(polars.Series(column.data))
    series = polars.Series(name, column.data)
    if column.is_there is not None:
        there = polars.Series(column.is_there)
        series = polars.select(polars.when(there).then(series).alias(name)).to_series()
    if column.kind == "time":
        local = series.cast(polars.Datetime("ns"))
        if not column.zone:
            return local
        return local.dt.replace_time_zone("UTC").dt.convert_time_zone(column.zone)
    return series
