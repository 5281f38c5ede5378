"""Rows of the ingest bench from a Parquet file: point, time_ns, value, quality.

The file's order is taken for the order of arrival. Points are numbers or texts and get
handles in the order in which they first come. Integer values stay int64 to the last
digit; what does not fit is refused in one sentence, never rounded.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
from _rows import INT_ROW, ROW, note

PAGE_ROWS = 1_000_000
COLUMNS = ("point", "time_ns", "value", "quality")
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
WIDE = ("UBIGINT", "HUGEINT", "UHUGEINT")
NUMBERS = ("FLOAT", "DOUBLE", "BOOLEAN", "DECIMAL")
TIMES = ("TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE")


def from_parquet(folder: Path, source: Path) -> None:
    """Pages of rows in `folder`; SystemExit with one sentence for a file that cannot be taken."""
    connection = duckdb.connect()
    types = _types(connection, source)
    is_int = types["value"] in (*INTEGERS, *WIDE)
    _check(connection, source, types)
    time = "time_ns" if types["time_ns"] not in TIMES else "epoch_ns(time_ns)"
    query = (
        f"SELECT point, {time}::BIGINT AS time_ns, "
        f"value::{'BIGINT' if is_int else 'DOUBLE'} AS value, quality::UTINYINT AS quality "
        "FROM read_parquet($file, file_row_number = true) "
        "WHERE file_row_number >= $begin AND file_row_number < $begin + $rows "
        "ORDER BY file_row_number"
    )
    handles: dict[object, int] = {}
    written = 0
    while True:
        facts = {"file": str(source), "begin": written, "rows": PAGE_ROWS}
        columns = connection.execute(query, facts).fetchnumpy()
        block = np.empty(len(columns["point"]), INT_ROW if is_int else ROW)
        if not len(block):
            break
        block["point"] = _handles(np.asarray(columns["point"]), handles)
        for name in COLUMNS[1:]:
            block[name] = columns[name]
        block.tofile(folder / f"{written // PAGE_ROWS:06d}.rows")
        written += len(block)
    note(folder, written, [], source.name, is_int=is_int)


def _types(connection: duckdb.DuckDBPyConnection, source: Path) -> dict[str, str]:
    try:
        found = connection.execute(
            "DESCRIBE SELECT * FROM read_parquet($file)", {"file": str(source)}
        ).fetchall()
    except duckdb.Error as error:
        raise SystemExit(f"{source.name} cannot be read: {str(error).splitlines()[0]}") from error
    types = {str(name): str(kind).partition("(")[0] for name, kind, *_ in found}
    for name in COLUMNS:
        if name not in types:
            raise SystemExit(f"{source.name} has no column {name}; it needs {', '.join(COLUMNS)}.")
    return types


def _check(connection: duckdb.DuckDBPyConnection, source: Path, types: dict[str, str]) -> None:
    """SystemExit, with the row, for the first thing that could not be taken as it is."""
    allowed = {
        "point": (*INTEGERS, *WIDE, "VARCHAR", "UUID"),
        "time_ns": (*INTEGERS, *WIDE, *TIMES),
        "value": (*INTEGERS, *WIDE, *NUMBERS),
        "quality": (*INTEGERS, *WIDE),
    }
    for name, kinds in allowed.items():
        if types[name] not in kinds:
            raise SystemExit(
                f"{source.name}: {name} is {types[name]}, which the bench cannot take."
            )
    spans = {"value": (-(2**63), 2**63 - 1), "time_ns": (-(2**63), 2**63 - 1), "quality": (0, 255)}
    for name in COLUMNS:
        wrong = f"{name} IS NULL"
        if name in spans and types[name] in (*INTEGERS, *WIDE):
            low, high = spans[name]
            wrong += f" OR {name}::HUGEINT NOT BETWEEN {low}::HUGEINT AND {high}::HUGEINT"
        found = connection.execute(
            f"SELECT file_row_number, {name}::VARCHAR "
            f"FROM read_parquet($file, file_row_number = true) WHERE {wrong} LIMIT 1",
            {"file": str(source)},
        ).fetchone()
        if found is None:
            continue
        said = "is missing" if found[1] is None else f"is {found[1]}, beyond what Penstock keeps"
        raise SystemExit(f"{source.name}: {name} in row {found[0]} {said}.")


def _handles(points: npt.NDArray[np.generic], known: dict[object, int]) -> npt.NDArray[np.uint32]:
    """Handles from 1 on; new points get the next ones, in the order in which they come."""
    distinct, first, inverse = np.unique(points, return_index=True, return_inverse=True)
    names = distinct.tolist()
    for place in np.argsort(first).tolist():
        known.setdefault(names[place], len(known) + 1)
    return np.array([known[name] for name in names], np.uint32)[inverse]
