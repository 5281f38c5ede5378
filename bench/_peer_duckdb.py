"""DuckDB: columns as they are into a table, then the whole written again by point and time.

Sorted, because a question for one point otherwise reads every row group; it is the table
that `./dev bench history` asks. What the unsorted one costs is told beside it.
"""

from __future__ import annotations

import time
from pathlib import Path

import duckdb
import numpy as np
from _peer_kit import Measured, blocks_of
from _rows import Block, Rows

LOST = [
    "int64 beside float64 in one column (counters are DOUBLE)",
    "a log for other readers, sequence of each row (as_of), corrections, doubled rows",
]
DROPS = {
    "bulk": ["fsync of each group: durable at the checkpoint of each block of 2 M rows", *LOST],
    "groups": LOST,
}
SETTINGS = {
    "storage_version": "latest",
    "insert": "INSERT ... SELECT from numpy columns, a transaction a block",
    "table": "CREATE TABLE AS SELECT ... ORDER BY point, time_ns, then CHECKPOINT",
    "row_group_size": "122,880 (1 M rows: 7 % fewer bytes, 8 % more CPU)",
    "compression": "automatic, the smallest for each segment; forced ALP, ALPRD, Zstd save nothing",
    "threads": "all cores",
}
COLUMNS = "point UINTEGER, time_ns BIGINT, value {kind}, quality UTINYINT"
USED = (
    "SELECT column_name || ' ' || compression, count(*) FROM pragma_storage_info('s.rows') "
    "WHERE segment_type <> 'VALIDITY' GROUP BY ALL ORDER BY ALL"
)


def run(rows: Rows, folder: Path, limit: int, way: str) -> Measured:
    """CPU of the whole process but for the reading of the rows."""
    arrived, ordered = folder / "arrived.duckdb", folder / "sorted.duckdb"
    sender = 0.0
    begin, mark = time.process_time(), time.thread_time()
    database = duckdb.connect()
    _attach(database, arrived, "a")
    kind = "BIGINT" if rows.is_int else "DOUBLE"
    database.execute(f"CREATE TABLE a.rows ({COLUMNS.format(kind=kind)})")
    for block in blocks_of(rows, limit, way):
        columns = _columns(block)
        sender += time.thread_time() - mark
        database.register("columns", columns)
        database.execute("INSERT INTO a.rows SELECT * FROM columns")
        database.unregister("columns")
        if way == "bulk":
            database.execute("CHECKPOINT a")
        mark = time.thread_time()
    database.execute("CHECKPOINT a")
    loaded = time.process_time() - begin - sender
    _attach(database, ordered, "s")
    database.execute("CREATE TABLE s.rows AS SELECT * FROM a.rows ORDER BY point, time_ns")
    database.execute("CHECKPOINT s")
    total = time.process_time() - begin - sender
    ((count,),) = database.execute("SELECT count(*) FROM s.rows").fetchall()
    used = dict(database.execute(USED).fetchall())
    database.close()
    facts = {
        "bytes_per_sample_unsorted": round(arrived.stat().st_size / limit, 2),
        "segments_by_compression": used,
    }
    cpu_s = {"load": loaded, "sort": total - loaded}
    stored = ordered.stat().st_size
    return Measured(cpu_s, sender, stored, count, duckdb.__version__, 0, facts)


def _attach(database: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    database.execute(f"ATTACH '{path}' AS {name} (STORAGE_VERSION 'latest')")


def _columns(block: Block) -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(block[name]) for name in block.dtype.names or ()}
