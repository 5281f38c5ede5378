"""The verb `import` in the table of verbs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from penstock.cli.verb import Verb, shared

if TYPE_CHECKING:
    from penstock.cli.verb import Parser

TIME_FORMATS = ("ymd", "dmy", "mdy", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns")


def _import(parser: Parser) -> None:
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="CSV or Parquet")
    parser.add_argument("--resume", metavar="ID", help="go on with an import that was begun")
    parser.add_argument("--zone", metavar="ZONE", help="of times without an offset: Europe/Berlin")
    parser.add_argument("--time-format", choices=TIME_FORMATS, help="how times are written")
    parser.add_argument(
        "--double-hour",
        choices=("order", "first", "second"),
        help="which of the two hours at the end of daylight saving (order: as the rows stand)",
    )
    parser.add_argument("--decimal", choices=("dot", "comma"), help="decimal sign")
    parser.add_argument("--encoding", metavar="NAME", help="of a CSV file: utf-8, cp1252, ...")
    parser.add_argument("--delimiter", metavar="SIGN", help="of a CSV file; tab is a word")
    parser.add_argument("--header-row", type=int, metavar="N", help="line of the column names")
    parser.add_argument("--first-row", type=int, metavar="N", help="line of the first sample")
    parser.add_argument("--layout", choices=("long", "wide", "pairs"), help="what a row is")
    parser.add_argument(
        "--time-column", action="append", default=[], metavar="NAME", help="once, or date and time"
    )
    for column in ("name", "value", "quality"):
        parser.add_argument(f"--{column}-column", metavar="NAME", help=f"column of the {column}")
    parser.add_argument(
        "--ignore-column", action="append", default=[], metavar="NAME", help="no point (wide)"
    )
    parser.add_argument(
        "--quality-word",
        action="append",
        default=[],
        metavar="WORD=good|uncertain|bad",
        help="what a word for quality means",
    )
    parser.add_argument(
        "--map", type=Path, metavar="CSV", help="two columns: name in the file, path of the point"
    )
    parser.add_argument("--asset", default="", metavar="PATH", help="names are looked for below it")
    parser.add_argument("--skip-unknown", action="store_true", help="leave out unknown names")
    parser.add_argument(
        "--ignore-units", action="store_true", help="take values whose unit is not the point's"
    )
    parser.add_argument("--skip-bad", action="store_true", help="leave out rows that do not fit")
    parser.add_argument(
        "--replace", action="store_true", help="values replace those of the same time"
    )
    parser.add_argument("--dry-run", action="store_true", help="check all rows, import none")
    shared(parser)


IMPORT = Verb(
    "import",
    "Bring history in from a file.",
    (
        "penstock import archive.csv --zone Europe/Berlin --asset 'Lakeside Water/Intake'",
        "penstock import year.parquet --dry-run",
    ),
    _import,
    "What the file leaves open is asked on a terminal; elsewhere the exit code is 2, and the "
    "option to add is named. Every row is checked before the first one is imported.",
)
