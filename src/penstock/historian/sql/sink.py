"""Sink: the answer of a query as a file of JSON, CSV, Arrow or Parquet.

The answer is pulled batch by batch out of the caller's locked DuckDB into one of ours,
which alone may write files and runs only what is written here. So nobody's SQL is near a
file, and no format needs more memory than a few batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from penstock.historian.answer import FORMULA
from penstock.historian.sql.arrow import stream
from penstock.model import Refused

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SAMPLES_CSV = "samples.csv"
"""Samples of an export as CSV; the other kinds write every column that comes."""
FORMATS = ("json", "csv", "arrow", "parquet")
SUFFIX = {"json": ".json", "csv": ".csv", "arrow": ".arrows", "parquet": ".parquet"}
MEDIA_TYPE = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}
ROW_GROUP_ROWS = 131_072
_JSON_ROWS = 4_096
_CSV_OPTIONS = "FORMAT csv, HEADER true, DELIMITER ',', NULLSTR ''"
_SINK_MEMORY = "1GB"
_UTC = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")
_LOCAL = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")
_JSON_AS_IT_IS = frozenset(
    {
        "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER", "FLOAT",
        "DOUBLE", "VARCHAR",
    }
)  # fmt: skip
_NUMBERS = _JSON_AS_IT_IS - {"BOOLEAN", "VARCHAR"} | {"BIGINT", "UBIGINT", "HUGEINT", "UHUGEINT"}


@dataclass(frozen=True, slots=True)
class Written:
    """What the file holds; `is_truncated`: there were more rows than the limit."""

    rows: int
    is_truncated: bool
    columns: tuple[tuple[str, str], ...]


class _Counted:
    """Passes an Arrow stream on and counts its rows."""

    def __init__(self, source: Any, limit: int, on_rows: Callable[[int], None]) -> None:
        import nanoarrow as na  # noqa: PLC0415

        self._stream = na.c_array_stream(source)
        self._schema = self._stream._get_cached_schema()  # noqa: SLF001 - no copy of it is public
        self._limit = limit
        self._on_rows = on_rows
        self._batches = iter(self._stream)
        self.rows = 0
        self.error: Exception | None = None

    def __arrow_c_schema__(self) -> object:
        return self._schema.__deepcopy__().__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return stream(self._schema, self._counted(), self._note)

    def is_more(self) -> bool:
        """After the limit was reached: is there another row?"""
        return self.rows > self._limit or any(batch.length for batch in self._batches)

    def _note(self, error: Exception) -> None:
        self.error = error

    def _counted(self) -> Iterator[Any]:
        for batch in self._batches:
            self.rows += batch.length
            self._on_rows(min(self.rows, self._limit))
            yield batch


def write(
    source: Any, kind: str, path: Path, limit: int, on_rows: Callable[[int], None] = lambda _: None
) -> Written:
    """Write up to `limit` rows of an Arrow stream; Refused when the file cannot hold them."""
    assert kind in _WRITERS
    counted = _Counted(source, limit, on_rows)
    with _files(counted) as connection:
        answer = connection.sql("SELECT * FROM answer LIMIT $limit", params={"limit": limit})
        columns = tuple(zip(answer.columns, [str(type_) for type_ in answer.types], strict=True))
        _WRITERS[kind](connection, columns, path, limit)
        rows = min(counted.rows, limit)
        return Written(rows, counted.is_more(), columns)


@contextmanager
def _files(counted: _Counted) -> Iterator[DuckDBPyConnection]:
    """The database that writes; an error of the source is raised as it was."""
    import duckdb  # noqa: PLC0415

    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": 1,
            "memory_limit": _SINK_MEMORY,
            "temp_directory": "",
            "autoload_known_extensions": False,
            "autoinstall_known_extensions": False,
            "python_enable_replacements": False,
        },
    )
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("answer", counted)
        yield connection
    except duckdb.Error as error:
        if counted.error is not None:
            raise counted.error from error
        if isinstance(error, duckdb.IOException):
            raise unwritten(str(error)) from error
        raise
    except OSError as error:
        raise unwritten(str(error)) from error
    finally:
        connection.close()


def unwritten(detail: str) -> Refused:
    """The answer is larger than a file may be, or the disk is full."""
    if "No space left" in detail:
        return Refused("disk_full", detail)
    return Refused("sql_too_large", f"The answer is larger than is allowed. {detail}")


def _write_table(connection: DuckDBPyConnection, select: str, path: Path, options: str) -> None:
    target = str(path).replace("'", "''")
    connection.execute(f"COPY ({select}) TO '{target}' ({options})")


def _select(expressions: Sequence[tuple[str, str]], limit: int) -> str:
    columns = ", ".join(f"{text} AS {_quoted(name)}" for name, text in expressions)
    return f"SELECT {columns} FROM answer LIMIT {limit}"  # noqa: S608 - names are quoted


def _parquet(
    connection: DuckDBPyConnection, columns: Sequence[tuple[str, str]], path: Path, limit: int
) -> None:
    select = _select([(name, _exact(name, type_)) for name, type_ in columns], limit)
    options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS}"
    _write_table(connection, select, path, options)


def _csv(
    connection: DuckDBPyConnection, columns: Sequence[tuple[str, str]], path: Path, limit: int
) -> None:
    select = _select([(name, _csv_text(name, type_)) for name, type_ in columns], limit)
    _write_table(connection, select, path, _CSV_OPTIONS)


def _samples_csv(
    connection: DuckDBPyConnection, columns: Sequence[tuple[str, str]], path: Path, limit: int
) -> None:
    """Samples as `GET /trend.csv` has them, cell by cell; lines end with LF, there with CR LF."""
    assert {"time", "path", "unit", "value_text"} <= {name for name, _ in columns}
    value = (
        f"coalesce(nullif({_guarded('value_text')}, ''), CAST(value_int AS VARCHAR), "
        "CAST(value AS VARCHAR))"
    )
    expressions = [
        ("time", _text("time", _UTC[1])),
        ("point", _guarded("path")),
        ("value", value),
        ("quality", "quality"),
        ("unit", f"nullif({_guarded('unit')}, '')"),
        ("simulated", "simulated"),
    ]
    _write_table(connection, _select(expressions, limit), path, _CSV_OPTIONS)


def _arrow(
    connection: DuckDBPyConnection, columns: Sequence[tuple[str, str]], path: Path, limit: int
) -> None:
    from nanoarrow.ipc import StreamWriter  # noqa: PLC0415

    select = _select([(name, _exact(name, type_)) for name, type_ in columns], limit)
    with path.open("wb") as file, StreamWriter.from_writable(file) as writer:
        writer.write_stream(connection.sql(select))


def _json(
    connection: DuckDBPyConnection, columns: Sequence[tuple[str, str]], path: Path, limit: int
) -> None:
    """Two members: columns and rows; the facts of the query are added by `finish_json`."""
    connection.execute(_select([(name, _json_text(name, t)) for name, t in columns], limit))
    floats = [place for place, (_, type_) in enumerate(columns) if type_ in {"FLOAT", "DOUBLE"}]
    with path.open("wb") as file:
        head = [{"name": name, "type": type_} for name, type_ in columns]
        file.write(b'{"columns":' + orjson.dumps(head) + b',"rows":[')
        is_first = True
        while rows := connection.fetchmany(_JSON_ROWS):
            data = orjson.dumps([_finite(row, floats) for row in rows])
            file.write((b"" if is_first else b",") + data[1:-1])
            is_first = False
        file.write(b"]}")


_WRITERS: dict[str, Callable[..., None]] = {
    "json": _json, "csv": _csv, "arrow": _arrow, "parquet": _parquet, SAMPLES_CSV: _samples_csv,
}  # fmt: skip


def finish_json(path: Path, facts: dict[str, Any]) -> None:
    """Put the facts of the query behind the rows."""
    with path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"," + orjson.dumps(facts)[1:])


def _exact(name: str, type_: str) -> str:
    """Parquet and Arrow have no integers of 128 bits; as DOUBLE they would be rounded."""
    column = _quoted(name)
    return f"CAST({column} AS DECIMAL(38, 0))" if type_ in {"HUGEINT", "UHUGEINT"} else column


def _json_text(name: str, type_: str) -> str:
    """As it is where JSON keeps it exact; else as text."""
    return _quoted(name) if type_ in _JSON_AS_IT_IS else _text(name, type_)


def _csv_text(name: str, type_: str) -> str:
    """Exact, and no text that a spreadsheet would run as a formula."""
    if type_ in _NUMBERS or type_.startswith("DECIMAL"):
        return _quoted(name)
    return _guarded(_text(name, type_))


def _guarded(text: str) -> str:
    """SQL of a text with an apostrophe before what a spreadsheet would run."""
    signs = ", ".join(f"chr({ord(sign)})" for sign in FORMULA)
    return f"CASE WHEN left({text}, 1) IN ({signs}) THEN chr(39) || {text} ELSE {text} END"


def _text(name: str, type_: str) -> str:
    column = _quoted(name)
    if type_ in _UTC:
        return f"strftime({column}, '%Y-%m-%dT%H:%M:%S.%nZ')"
    if type_ in _LOCAL:
        return f"strftime({column}, '%Y-%m-%dT%H:%M:%S.%n')"
    return f"to_base64({column})" if type_ == "BLOB" else f"CAST({column} AS VARCHAR)"


def _finite(row: tuple[Any, ...], floats: Sequence[int]) -> list[Any]:
    """JSON knows no NaN and no infinity: as the texts that JavaScript and Python read back."""
    cells = list(row)
    for place in floats:
        cell = cells[place]
        if cell is not None and not math.isfinite(cell):
            cells[place] = "NaN" if math.isnan(cell) else "Infinity" if cell > 0 else "-Infinity"
    return cells


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
