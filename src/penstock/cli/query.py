"""`penstock query`: one SELECT, answered as a table for people or as a file for programs."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from penstock.cli.client import Client
from penstock.cli.document import items, rows, text, whole
from penstock.cli.outcome import EXIT_FAULT, EXIT_OK, UsageFault
from penstock.cli.output import say_error, say_table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Container, Iterator
    from pathlib import Path

    from penstock.cli.document import Document

TABLE_ROWS = 1_000
FILE_ROWS = 100_000_000
BY_ENDING = {
    ".csv": "csv",
    ".json": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
}
NO_VALUE = "-"


def run(options: argparse.Namespace) -> int:
    """Answer on standard output or in --out; what was read on standard error."""
    if options.limit is not None and options.limit < 1:
        raise UsageFault("--limit is greater than 0.")
    kind = _kind(options)
    if options.out is not None:
        check_target(options.out, is_forced=options.force)
    sql = sys.stdin.read() if options.sql == "-" else options.sql
    limit = options.limit or (TABLE_ROWS if kind == "table" else FILE_ROWS)
    client = Client(options.home)
    if kind == "table":
        answer = client.post("/sql", {"sql": sql, "limit": limit})
        _say(answer)
        _say_facts({name: text(answer[name]) for name in ("row_count", "rows_read", "sequence")})
        _say_cut(bool(answer["is_truncated"]), whole(answer["row_count"]), limit)
        return EXIT_OK
    body: Document = {"sql": sql, "format": kind, "limit": limit}
    with _target(options.out, kind) as out:
        headers = client.fetch("POST", "/sql", out, body)
    names = {"row_count": "row-count", "rows_read": "rows-read", "sequence": "sequence"}
    facts = {name: headers.get(f"penstock-{header}", "") for name, header in names.items()}
    if options.out is not None:
        _say_facts(facts)
    is_truncated = headers.get("penstock-is-truncated") == "true"
    _say_cut(is_truncated, whole(facts["row_count"] or "0"), limit)
    is_short = is_truncated and options.out is not None and options.limit is None
    return EXIT_FAULT if is_short else EXIT_OK


def check_target(path: Path, *, is_forced: bool) -> None:
    """What stands there is nobody's to lose by a slip of the hand."""
    if path.is_dir():
        raise UsageFault(f"{path} is a folder; name a file in it.")
    if path.exists() and not is_forced:
        raise UsageFault(f"{path} exists; take another name, or say --force to replace it.")
    if not path.parent.is_dir():
        raise UsageFault(f"The folder {path.parent} does not exist; make it first.")


def _kind(options: argparse.Namespace) -> str:
    if options.json:
        return "json"
    if options.format:
        return str(options.format)
    return "table" if options.out is None else kind_of(options.out)


def kind_of(path: Path, known: Container[str] = frozenset(BY_ENDING.values())) -> str:
    """Format by the ending of a file name; never a guess."""
    found = BY_ENDING.get(path.suffix.casefold())
    if found is None or found not in known:
        endings = ", ".join(ending for ending, kind in BY_ENDING.items() if kind in known)
        raise UsageFault(
            f"Which format is {path.name}? Say --format, or use one of the endings {endings}."
        )
    return found


@contextmanager
def _target(path: Path | None, kind: str) -> Iterator[BinaryIO]:
    if path is not None:
        part = path.with_name(path.name + ".part")
        try:
            with part.open("wb") as file:
                yield file
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return
    if kind in {"arrow", "parquet"} and sys.stdout.isatty():
        raise UsageFault(f"{kind} is not for a terminal; say --out FILE.")
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


def _say(answer: Document) -> None:
    header = [text(column["name"]) for column in rows(answer["columns"])]
    lines = [[_cell(cell) for cell in items(line)] for line in items(answer["rows"])]
    say_table(header, lines)


def _cell(cell: object) -> str:
    if cell is None:
        return NO_VALUE
    return cell if isinstance(cell, str) else json.dumps(cell)


def _say_facts(facts: dict[str, str]) -> None:
    say_error(
        f"{facts['row_count']} rows; {facts['rows_read']} samples were read, "
        f"as of log record {facts['sequence']}."
    )


def _say_cut(is_truncated: bool, count: int, limit: int) -> None:
    if is_truncated and count < limit:
        say_error(
            f"The answer was cut at {count} rows (rows_max of [sql] in penstock.toml); "
            "`penstock export` has no such limit."
        )
    elif is_truncated:
        say_error(f"There are more rows than these {count}; ask for more with --limit.")
