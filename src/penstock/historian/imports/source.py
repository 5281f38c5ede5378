"""Source: a file of CSV or Parquet as DuckDB reads it, in chunks of numpy columns.

The connection may reach this one folder and nothing else, has one thread and a limit of
memory. Every column that is asked for has a value in each row, so that the buffers of
Arrow are the columns of numpy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.model import Refused, TextColumn

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    Column = np.ndarray[Any, np.dtype[Any]] | TextColumn

MESSAGE_CHARACTERS_MAX = 600
OVERFLOW = ("_over1", "_over2", "_over3")
"""Columns behind the last that has a name: a row with cells there has too many."""
LINE_BYTES_MAX = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rows are; `types` are the DuckDB types of the columns by their names, in order."""

    path: Path
    types: Mapping[str, str]
    is_parquet: bool
    delimiter: str = ","
    skipped_lines: int = 0

    def from_sql(self) -> str:
        """The FROM clause."""
        path = text_sql(str(self.path))
        if self.is_parquet:
            return f"read_parquet({path})"
        names = [*self.types, *OVERFLOW]
        columns = ", ".join(f"{text_sql(name)}: 'VARCHAR'" for name in names)
        return (
            f"read_csv({path}, delim={text_sql(self.delimiter)}, skip={self.skipped_lines}, "
            f"columns={{{columns}}}, header=false, auto_detect=false, null_padding=true, "
            "strict_mode=false, parallel=false, quote='\"', escape='\"', "
            f"max_line_size={LINE_BYTES_MAX})"
        )

    def cell(self, name: str) -> str:
        """SQL of a column as trimmed text."""
        column = name_sql(name)
        return f"trim({column})" if self.types[name] == "VARCHAR" else f"CAST({column} AS VARCHAR)"

    def overflow_sql(self) -> str:
        """BOOLEAN: the row has more cells than there are columns."""
        if self.is_parquet:
            return "false"
        return " OR ".join(f"{name_sql(name)} IS NOT NULL" for name in OVERFLOW)


@contextmanager
def connected(folder: Path, memory_bytes: int) -> Iterator[DuckDBPyConnection]:
    """A DuckDB that reads files of this folder; its errors about them are refusals."""
    import duckdb  # noqa: PLC0415 - 40 MB that only an import needs

    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": 1,
            "memory_limit": f"{memory_bytes}B",
            "temp_directory": "",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "python_enable_replacements": False,
        },
    )
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET allowed_directories = [{text_sql(str(folder) + '/')}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection
    except (duckdb.OutOfMemoryException, duckdb.FatalException) as error:
        raise Refused("import_unreadable", _short(error, folder)) from error
    except duckdb.Error as error:
        raise Refused("import_unreadable", _short(error, folder)) from error
    finally:
        connection.close()


def parquet_types(connection: DuckDBPyConnection, path: Path) -> dict[str, str]:
    """Types of the columns of a Parquet file."""
    rows = connection.execute(
        f"DESCRIBE SELECT * FROM read_parquet({text_sql(str(path))})"  # noqa: S608 - quoted
    ).fetchall()
    return {str(row[0]): str(row[1]) for row in rows}


def chunks(connection: DuckDBPyConnection, sql: str) -> Iterator[dict[str, Column]]:
    """Rows of a query as columns, some 100,000 at a time; no column may hold NULL."""
    import nanoarrow as na  # noqa: PLC0415

    relation = connection.sql(sql)
    names = relation.columns
    for batch in na.c_array_stream(relation):
        if batch.length:
            yield dict(zip(names, _columns(batch), strict=True))


def _columns(batch: Any) -> list[Column]:
    return [_column(batch.child(place), batch.offset) for place in range(batch.n_children)]


_DTYPES = {
    "l": np.int64, "i": np.int32, "g": np.float64, "C": np.uint8, "I": np.uint32, "L": np.uint64,
}  # fmt: skip


def _column(array: Any, shift: int) -> Column:
    begin, rows = array.offset + shift, array.length
    kind = array.schema.format
    buffers = [*array.view().buffers]
    if kind == "u":
        offset = np.frombuffer(buffers[1], np.int32)[begin : begin + rows + 1]
        data = np.frombuffer(buffers[2], np.uint8) if rows and offset[-1] else _NOTHING
        return TextColumn(offset.view(np.uint32), data)
    return np.frombuffer(buffers[1], _DTYPES[kind])[begin : begin + rows]


_NOTHING = np.zeros(0, np.uint8)


def name_sql(name: str) -> str:
    """An identifier."""
    return '"' + name.replace('"', '""') + '"'


def text_sql(text: str) -> str:
    """A literal."""
    return "'" + text.replace("'", "''") + "'"


def select(
    expressions: Sequence[tuple[str, str]], inner: Sequence[tuple[str, str]], source: Source
) -> str:
    """Expressions over cells that are trimmed once."""
    cells = ", ".join(f"{sql} AS {name_sql(name)}" for name, sql in inner)
    columns = ", ".join(f"{sql} AS {name_sql(name)}" for name, sql in expressions)
    return f"SELECT {columns} FROM (SELECT {cells} FROM {source.from_sql()})"  # noqa: S608 - quoted


def _short(error: Exception, folder: Path) -> str:
    """What DuckDB says, without where the file lies: that is nobody's business."""
    text = str(error)
    for path in {str(folder), str(folder.resolve())}:
        text = text.replace(f"{path}/", "")
    return text.replace("\n", " ")[:MESSAGE_CHARACTERS_MAX]
