"""Look: what a file is, what it leaves open, and which names are in it. For compute's thread.

The whole file is read once for its names, their rows and its words for quality; everything
else rests on a sample, and a check refuses each row that does not keep to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.historian.imports.options import (
    NAMES_MAX,
    QUALITY_WORDS_MAX,
    Choice,
    Example,
    Options,
    Question,
)
from penstock.historian.imports.quality import quality_codes
from penstock.historian.imports.roles import Roles, roles_of
from penstock.historian.imports.sample import Sample, encoding_of, write_utf8
from penstock.historian.imports.settle import Look, settle_decimal, settle_time
from penstock.historian.imports.settled import SeriesPlan, Settled
from penstock.historian.imports.source import Source, connected, name_sql, parquet_types
from penstock.historian.imports.table import Heading, Table, delimiters_of, table_of
from penstock.model import Refused

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SOURCE, UTF8 = "source", "source.utf8"
PREVIEW_ROWS = 5
_MEMORY_BYTES = 512 * 1024 * 1024


def look_at(
    folder: Path,
    options: Options,
    plant_zone: str,
    check: Callable[[], None] = lambda: None,
    memory_bytes: int = _MEMORY_BYTES,
) -> Look:
    """Look at `folder/source`. Refused("import_unreadable") with the place when it is no table."""
    with (folder / SOURCE).open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    found = Look()
    with connected(folder, memory_bytes) as connection:
        if is_parquet:
            table, types = (
                _parquet_table(connection, folder / SOURCE),
                parquet_types(connection, folder / SOURCE),
            )
            facts: dict[str, Any] = {"file": SOURCE, "is_parquet": True, "types": types}
        else:
            table, facts = _csv_table(folder, options, found, check)
        found.settled = facts
        found.preview = {"columns": table.names, "rows": table.rows[:PREVIEW_ROWS]}
        if found.questions:
            return found
        roles = roles_of(table, options)
        found.questions += roles.questions
        found.proposals += roles.proposals
        if roles.layout == "open":
            return found
        _settle_roles(found, roles, options)
        settle_time(found, roles, table, options, plant_zone)
        settle_decimal(found, roles, table, options)
        _count(connection, folder, found, roles, options)
    return found


# --- tables


def _parquet_table(connection: DuckDBPyConnection, path: Path) -> Table:
    """A sample of the rows, as texts."""
    types = parquet_types(connection, path)
    cells = ", ".join(
        f"coalesce(CAST({name_sql(name)} AS VARCHAR), '') AS {name_sql(name)}" for name in types
    )
    source = Source(path, types, is_parquet=True)
    rows = connection.execute(f"SELECT {cells} FROM {source.from_sql()} LIMIT 2000").fetchall()  # noqa: S608
    headings = [Heading(name) for name in types]
    return Table("", headings, 0, 1, [[*row] for row in rows], [*range(1, len(rows) + 1)])


def _csv_table(
    folder: Path, options: Options, found: Look, check: Callable[[], None]
) -> tuple[Table, dict[str, Any]]:
    file = _as_utf8(folder, options, found, check)
    sample = Sample.of(folder / file)
    if not sample.head.strip():
        raise Refused("import_unreadable", "The file is empty.")
    best = [options.delimiter] if options.delimiter else delimiters_of(sample)
    table = table_of(sample, options, best[0] or ",")
    if len(best) > 1:
        found.questions.append(
            Question(
                id="delimiter",
                text="Which sign divides the cells of a line?",
                choices=[Choice(value=str(d), meaning=f"{d!r}") for d in best],
                examples=[Example(row=1, column="", text=sample.head.splitlines()[0][:80])],
            )
        )
    elif options.delimiter is None:
        found.propose("delimiter", table.delimiter, f"{len(table.headings)} columns in each line")
    if options.first_row is None:
        found.propose("first_row", str(table.first_row), "the first line with a time")
    facts = {
        "file": file,
        "is_parquet": False,
        "types": dict.fromkeys(table.names, "VARCHAR"),
        "delimiter": table.delimiter,
        "skipped_lines": table.first_row - 1,
        "header_row": table.header_row,
    }
    return table, facts


def _as_utf8(folder: Path, options: Options, found: Look, check: Callable[[], None]) -> str:
    """Name of the file as UTF-8."""
    encoding: str = options.encoding or ""
    if not encoding:
        seen = encoding_of(folder / SOURCE, check)
        encoding = seen.name
        found.propose("encoding", encoding, seen.because)
    if encoding == "utf-8":
        return SOURCE
    try:
        write_utf8(folder / SOURCE, encoding, folder / UTF8, check)
    except (UnicodeError, LookupError) as error:
        raise Refused("import_unreadable", f"The file is not {encoding}: {error}") from error
    return UTF8


# --- what the columns mean


def _settle_roles(found: Look, roles: Roles, options: Options) -> None:
    types = found.settled["types"]
    extra = {}
    if roles.layout == "long":
        extra = {name: name for name in ("value_int", "value_text") if name in types}
    found.settled |= {
        "layout": roles.layout,
        "time": list(roles.time),
        "name": roles.name,
        "value": roles.value,
        "quality": roles.quality,
        "series": [SeriesPlan(column=s.column, time=s.time).model_dump() for s in roles.series],
        "double_hour": options.double_hour or "order",
        **extra,
    }
    if options.layout is None:
        meaning = {
            "long": f"names in {roles.name!r}, values in {roles.value!r}",
            "wide": f"{len(roles.series)} columns of values",
            "pairs": f"{len(roles.series)} pairs of a time and a value",
        }
        found.propose("layout", roles.layout, meaning[roles.layout])
    if not options.time_columns:
        found.propose("time_columns", " + ".join(roles.time), "it holds times")


# --- the whole file


def _count(
    connection: DuckDBPyConnection, folder: Path, found: Look, roles: Roles, options: Options
) -> None:
    """Names with their rows, and words for quality."""
    source = _source(folder, found.settled)
    if roles.layout == "long":
        name = source.cell(roles.name)
        rows = connection.execute(
            f"SELECT coalesce({name}, ''), count(*) FROM {source.from_sql()} "  # noqa: S608 - quoted
            f"GROUP BY 1 ORDER BY 1 LIMIT {NAMES_MAX + 1}"
        ).fetchall()
        found.names = [{"name": text, "unit": "", "rows": count} for text, count in rows]
        found.rows = sum(count for _, count in rows)
    else:
        counts = ", ".join(
            f"count(nullif({source.cell(series.column)}, ''))" for series in roles.series
        )
        (row,) = connection.execute(
            f"SELECT count(*), {counts or '0'} FROM {source.from_sql()}"  # noqa: S608 - quoted
        ).fetchall()
        found.rows = row[0]
        found.names = [
            {"name": series.name, "unit": series.unit, "rows": count}
            for series, count in zip(roles.series, row[1:], strict=False)
        ]
    if len(found.names) > NAMES_MAX:
        raise Refused(
            "import_unreadable", f"Column {roles.name!r} has more than {NAMES_MAX} names."
        )
    if roles.quality:
        _settle_quality(connection, source, found, roles.quality, options.quality_words)


def _settle_quality(
    connection: DuckDBPyConnection,
    source: Source,
    found: Look,
    column: str,
    said: Mapping[str, str],
) -> None:
    rows = connection.execute(
        f"SELECT DISTINCT coalesce({source.cell(column)}, '') FROM {source.from_sql()} "  # noqa: S608
        f"LIMIT {QUALITY_WORDS_MAX + 1}"
    ).fetchall()
    if len(rows) > QUALITY_WORDS_MAX:
        raise Refused(
            "import_unreadable",
            f"Column {column!r} has more than {QUALITY_WORDS_MAX} words for quality.",
        )
    codes, question = quality_codes((row[0] for row in rows), said)
    found.settled["quality_codes"] = codes
    if question is not None:
        found.questions.append(question)


def _source(folder: Path, settled: Mapping[str, Any]) -> Source:
    return Source(
        folder / settled["file"],
        settled["types"],
        settled["is_parquet"],
        settled.get("delimiter", ","),
        settled.get("skipped_lines", 0),
    )


def settled_of(document: Mapping[str, Any]) -> Settled:
    """What a look has settled."""
    return Settled.model_validate(document)
