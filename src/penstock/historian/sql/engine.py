"""Engine: one query on a DuckDB of its own that can reach nothing but what it is given.

`Query.plan` reads the SQL and says which points and times it can need; with a snapshot
of these `Query.run` gives the answer as a stream. DuckDB is imported here, late: only a
process that answers SQL pays for it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.historian.piece import TIME_MAX, TIME_MIN
from penstock.historian.sql.arrow import Column, batch_of, repeated, schema_of, stream
from penstock.historian.sql.bounds import POINT_COLUMNS, TRIAL, Bounds, Box
from penstock.historian.sql.catalogue import FACTS, NUMBERS, TEXTS
from penstock.historian.sql.guard import nodes, parse
from penstock.historian.sql.scan import COLUMNS, Counters, Samples, Selection
from penstock.model import Refused

if TYPE_CHECKING:
    import numpy.typing as npt
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    from penstock.historian.query import Snapshot
    from penstock.historian.sql.catalogue import Catalogue
    from penstock.historian.sql.config import SqlSettings
    from penstock.historian.sql.guard import Node

MESSAGE_CHARACTERS_MAX = 2_000
# What DuckDB says of a moment that its nanoseconds cannot hold.
_OUT_OF_RANGE = re.compile(
    r"(?i)timestamp field value out of range|timestamp to higher precision|value \d{4,}-\d\d-\d\d"
)
_SPAN_OF_TIME = (
    "`time` counts nanoseconds and reaches from 1677-09-22 to 2262-04-11: "
    "compare it with a moment in between, or leave the condition out."
)
_ALL = frozenset(name for name, _ in COLUMNS)


def open_locked(memory_bytes: int) -> DuckDBPyConnection:
    """An empty database in memory without files, network, extensions or Python variables."""
    import duckdb  # noqa: PLC0415 - 40 MB that only a query needs

    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": 1,
            "memory_limit": f"{memory_bytes}B",
            "max_temp_directory_size": "0B",
            "temp_directory": "",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "python_enable_replacements": False,
            "python_scan_all_frames": False,
            # So that the sink sees UUIDs and integers of 128 bits as such.
            "arrow_lossless_conversion": True,
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    # Last: it also forbids to change where files would go.
    connection.execute("SET enable_external_access = false")
    return connection


class Query:
    """One SELECT of one caller; `catalogue` holds the points that the caller may see, no other."""

    def __init__(self, sql: str, catalogue: Catalogue, settings: SqlSettings) -> None:
        self.sql = sql
        self.catalogue = catalogue
        self.settings = settings
        self.boxes: list[Box] = []
        self.selection = Selection()
        self.counters = Counters()
        self._names: frozenset[str] = frozenset()
        self._samples: Samples | None = None
        self._is_late = False
        self._connection = open_locked(settings.memory_bytes_max)
        self._trials = self._connection.cursor()
        self._timer = threading.Timer(settings.time_s_max, self._interrupt)
        self._timer.daemon = True

    # --- what it can need

    def plan(self) -> Selection:
        """Points and spans that the query can need; Refused if it is not ours to run."""
        self._timer.start()
        with self._errors():
            tree = parse(self._connection, self.sql)
            self._make_tables()
            self._connection.begin()
            bounds = Bounds(self._connection, self._trials, len(self.catalogue), self._check_time)
            self.boxes = bounds.boxes(tree)
        self._names = mentioned(tree)
        self.selection = Selection.of(self.boxes, len(self.catalogue))
        return self.selection

    @property
    def handles(self) -> npt.NDArray[np.uint32]:
        """Points that the query can need."""
        return self.catalogue.handle[np.array(self.selection.rows, np.intp)]

    # --- the answer

    @contextmanager
    def run(self, snapshot: Snapshot) -> Iterator[DuckDBPyRelation]:
        """The answer, not yet pulled."""
        samples = Samples(
            snapshot, self.catalogue, self.selection, self._names, self.settings.rows_read_max
        )
        samples.counters, self._samples = self.counters, samples
        with self._errors():
            rows = samples.rows_expected() if self.boxes else 0
            if rows > self.settings.rows_read_max:
                raise self._too_wide(rows)
            samples.check = self._check_time
            _register(self._connection, "samples", samples, rows)
            self._connection.execute("SET lock_configuration = true")
            yield self._connection.sql(self.sql)

    def close(self) -> None:
        """Give the memory back, and end whatever still runs."""
        self._timer.cancel()
        self._trials.close()
        self._connection.close()

    def _make_tables(self) -> None:
        """`points` for the query, `_trial` for the conditions about points in it."""
        connection, catalogue = self._connection, self.catalogue
        connection.register("_catalogue", _Points(catalogue))
        columns = ", ".join(_point_column(name) for name in (*TEXTS, *NUMBERS, *FACTS))
        connection.execute(f"CREATE TABLE points AS SELECT {columns} FROM _catalogue")  # noqa: S608
        connection.unregister("_catalogue")
        trial = ", ".join("id AS point" if name == "point" else name for name in POINT_COLUMNS)
        connection.execute(
            f"CREATE VIEW {TRIAL} AS SELECT rowid AS _row, {trial} FROM points"  # noqa: S608
        )

    # --- limits

    def _interrupt(self) -> None:
        """In the timer's thread: from the plan on, everything has `time_s_max` together."""
        self._is_late = True
        self._trials.interrupt()
        self._connection.interrupt()

    def _check_time(self) -> None:
        if self._is_late:
            raise self._too_slow()

    def _too_slow(self) -> Refused:
        return Refused(
            "too_slow",
            f"The query was ended after {self.settings.time_s_max} s; "
            f"it had read {self.counters.rows_read} samples. "
            "Ask for a shorter span or fewer points.",
        )

    def _too_wide(self, rows: int) -> Refused:
        limit = self.settings.rows_read_max
        has_time = all(box.span[0] > TIME_MIN and box.span[1] < TIME_MAX for box in self.boxes)
        has_points = all(box.points is not None for box in self.boxes)
        wanted = [
            *([] if has_time else ["a time span, for example time >= now() - INTERVAL 1 DAY"]),
            *([] if has_points else ["points, for example path LIKE 'plant/area/%'"]),
        ]
        bound = " and ".join(wanted) or "a shorter span or fewer points"
        more = "at least " if rows > limit else ""
        return Refused(
            "sql_too_wide",
            f"The query would read {more}{rows} samples, and {limit} are allowed (rows_read_max). "
            f"Add {bound} to the WHERE beside each `samples`.",
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """DuckDB's errors as refusals; what stopped a scan comes first."""
        import duckdb  # noqa: PLC0415

        try:
            yield
        except duckdb.Error as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> Refused:
        import duckdb  # noqa: PLC0415

        scan = None if self._samples is None else self._samples.error
        if isinstance(scan, Refused):
            return self._too_wide(self.counters.rows_read) if scan.code == "sql_too_wide" else scan
        if scan is not None:
            raise scan
        if self._is_late or isinstance(error, duckdb.InterruptException):
            return self._too_slow()
        message = str(error)[:MESSAGE_CHARACTERS_MAX]
        if isinstance(error, duckdb.OutOfMemoryException):
            return Refused("sql_too_large", f"The query needs too much memory. {message}")
        if isinstance(error, duckdb.PermissionException):
            return Refused("sql_refused", message)
        if isinstance(error, duckdb.ConversionException) and _OUT_OF_RANGE.search(message):
            return Refused("sql_invalid", f"{_SPAN_OF_TIME} {message}")
        return Refused("sql_invalid", message)


class _Points:
    """The catalogue as Arrow."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._columns = [
            *((name, "text") for name in TEXTS),
            *((name, "f64") for name in NUMBERS),
            *((name, "bool") for name in FACTS),
        ]

    def __arrow_c_schema__(self) -> object:
        import nanoarrow as na  # noqa: PLC0415

        return na.c_schema(schema_of(self._columns)).__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        batch = batch_of(
            schema_of(self._columns),
            len(self._catalogue),
            [self._column(name, kind) for name, kind in self._columns],
        )
        return stream(schema_of(self._columns), iter([batch]), lambda _error: None)

    def _column(self, name: str, kind: str) -> Column:
        cells = self._catalogue.columns[name]
        is_there = np.array([cell is not None for cell in cells], bool)
        if kind == "text":
            return Column(kind, repeated(self._catalogue.texts(name), [1] * len(cells)), is_there)
        if kind == "bool":
            return Column(kind, np.array([bool(cell) for cell in cells], bool))
        numbers = [np.nan if cell is None else float(cell) for cell in cells]
        return Column(kind, np.array(numbers, np.float64), is_there)


def _point_column(name: str) -> str:
    if name == "id":
        return "id::UUID AS id"
    return "decimals::TINYINT AS decimals" if name == "decimals" else name


def _register(connection: DuckDBPyConnection, name: str, table: Samples, rows: int) -> None:
    """Register a table with its size, without which DuckDB would hash the larger side of a join.

    The size has no public way in yet; where this one is gone, queries are right and
    joins need more memory.
    """
    try:
        from duckdb._sources.arrow import ArrowScanSource  # noqa: PLC0415

        class Sized(ArrowScanSource):
            schema_is_stable = True

            def __arrow_c_schema__(self) -> object:
                return self.obj.__arrow_c_schema__()

            def rows(self) -> int:
                return rows

        connection._register_arrow_source(name, Sized(table))  # noqa: SLF001
    except (ImportError, AttributeError):
        connection.register(name, table)


def mentioned(tree: Node) -> frozenset[str]:
    """Columns of `samples` that the query can use: every name in it, or all behind a star."""
    names: set[str] = set()
    aliases = {"samples"}
    for node in nodes(tree):
        if node.get("type") == "STAR" or node.get("ref_type") == "NATURAL":
            return _ALL
        if node.get("type") == "BASE_TABLE":
            aliases.add(str(node.get("alias") or "samples").casefold())
            if node.get("column_name_alias"):
                return _ALL
        names.update(str(name).casefold() for name in node.get("column_names") or ())
        names.update(str(name).casefold() for name in node.get("using_columns") or ())
    # `SELECT s FROM samples s` is the whole row.
    return _ALL if any(_is_row(node, aliases) for node in nodes(tree)) else _ALL & names


def _is_row(node: Node, aliases: set[str]) -> bool:
    names: list[Any] = node.get("column_names") or []
    return node.get("type") == "COLUMN_REF" and str(names[-1]).casefold() in aliases
