"""SQLite: a table without rowid by (point, time), a hundred rows a statement, rows sorted first.

A statement of a hundred rows costs half of `executemany` with one; a plain table with
an index beside it, as many programs have it, costs 2.5 times the CPU and twice the bytes.
Sorting by point and making Python's lists is the sender's work, and is counted apart.
"""

from __future__ import annotations

import itertools
import sqlite3
import time
from pathlib import Path

from _peer_kit import Measured, blocks_of, sorted_by_point
from _rows import Block, Rows

STATEMENT_ROWS = 100
DROPS = {
    "bulk": [
        "fsync of each group: one transaction a block of 2 M rows",
        "int64 beside float64 (the column is REAL)",
        "a log for other readers, sequence of each row (as_of), corrections",
    ],
    "groups": [
        "int64 beside float64 (the column is REAL)",
        "a log for other readers, sequence of each row (as_of), corrections",
    ],
}
SETTINGS = {
    "table": "PRIMARY KEY (point, time_ns), WITHOUT ROWID",
    "journal_mode": "WAL, truncated after each block; synchronous = FULL",
    "page_size": 8192,
    "cache": "1 GB",
    "insert": f"sorted by point and time, {STATEMENT_ROWS} rows a statement, a transaction a block",
    "after": "VACUUM",
}
TABLE = """
CREATE TABLE rows (
    point INTEGER, time_ns INTEGER, value {kind}, quality INTEGER, PRIMARY KEY (point, time_ns)
) WITHOUT ROWID
"""
PRAGMAS = (
    "page_size = 8192",
    "journal_mode = WAL",
    "synchronous = FULL",
    "cache_size = -1000000",
    "wal_autocheckpoint = 100000",
)
ONE = "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)"
MANY = ONE + ", (?, ?, ?, ?)" * (STATEMENT_ROWS - 1)


def run(rows: Rows, folder: Path, limit: int, way: str) -> Measured:
    """CPU of the whole process but for reading the rows, sorting them and making lists."""
    path, sender = folder / "rows.sqlite", 0.0
    begin, mark = time.process_time(), time.thread_time()
    database = sqlite3.connect(path, isolation_level=None)
    for pragma in PRAGMAS:
        database.execute(f"PRAGMA {pragma}")
    database.execute(TABLE.format(kind="INTEGER" if rows.is_int else "REAL"))
    for block in blocks_of(rows, limit, way):
        many, rest = statements(sorted_by_point(block))
        sender += time.thread_time() - mark
        insert(database, many, rest)
        if way == "bulk":
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        mark = time.thread_time()
        del many, rest
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    loaded = time.process_time() - begin - sender
    loaded_bytes = path.stat().st_size
    database.execute("VACUUM")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    total = time.process_time() - begin - sender
    (count,) = database.execute("SELECT count(*) FROM rows").fetchone()
    database.close()
    return Measured(
        {"load": loaded, "vacuum": total - loaded},
        sender,
        path.stat().st_size,
        count,
        sqlite3.sqlite_version,
        0,
        {"bytes_per_sample_before_vacuum": round(loaded_bytes / limit, 2)},
    )


Lists = list[list[float]]


def statements(block: Block) -> tuple[Lists, Lists]:
    """What is bound: lists of a hundred rows, flat, and the rows that are left."""
    columns = [block[name].tolist() for name in block.dtype.names or ()]
    flat = list(itertools.chain.from_iterable(zip(*columns, strict=True)))
    width = STATEMENT_ROWS * len(columns)
    cells = len(flat) - len(flat) % width
    many = [flat[at : at + width] for at in range(0, cells, width)]
    rest = [flat[at : at + len(columns)] for at in range(cells, len(flat), len(columns))]
    return many, rest


def insert(database: sqlite3.Connection, many: Lists, rest: Lists) -> None:
    """One transaction."""
    database.execute("BEGIN")
    database.executemany(MANY, many)
    database.executemany(ONE, rest)
    database.execute("COMMIT")
