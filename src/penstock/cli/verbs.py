"""The table of verbs: what each does, examples, arguments. Parser, help and docs come from it."""

from __future__ import annotations

from pathlib import Path

from penstock import __version__
from penstock.cli.import_verb import IMPORT
from penstock.cli.keeping_verbs import BACKUP, DELETE, RESTORE, SIZE
from penstock.cli.verb import Parser, Verb, shared

ROLES = ("viewer", "operator", "engineer", "auditor", "administrator")
EXIT_CODES = "Exit codes: 0 done, 1 fault, 2 wrong usage."


def build_parser() -> Parser:
    """The parser of all verbs."""
    parser = Parser(
        prog="penstock",
        description="Penstock carries a machine's data to a decision, "
        "and the decision back to the machine.",
        epilog=EXIT_CODES,
        allow_abbrev=False,
    )
    parser.examples = ("penstock up --demo",)
    parser.add_argument("--version", action="version", version=f"penstock {__version__}")
    commands = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        one = commands.add_parser(
            verb.name,
            help=verb.summary,
            description=f"{verb.summary} {verb.about}".strip(),
            epilog=EXIT_CODES,
            allow_abbrev=False,
        )
        one.examples = verb.examples
        verb.add_arguments(one)
    return parser


def module_of(name: str) -> str:
    """Module of the verb `name`."""
    return next(verb.module for verb in VERBS if verb.name == name)


def _up(parser: Parser) -> None:
    parser.add_argument(
        "--demo",
        action="store_true",
        help="run the demonstration plant; an empty home gets its plant folder",
    )
    parser.add_argument("--http", metavar="ADDR", help="address of plain HTTP; loopback only")
    parser.add_argument("--https", metavar="ADDR", help="address of HTTPS")
    parser.add_argument(
        "--no-simulator", action="store_true", help="with --demo: do not start its simulator"
    )
    parser.add_argument(
        "--ready-fd",
        type=int,
        metavar="N",
        help="descriptor that gets one JSON line once everything listens",
    )
    shared(parser)


def _apply(parser: Parser) -> None:
    parser.add_argument("--plan", action="store_true", help="show what would change")
    shared(parser)


def _read(parser: Parser) -> None:
    parser.add_argument("path", nargs="*", metavar="PATH", help="point, or pattern with * ? [ ]")
    parser.add_argument("--all", action="store_true", help="every point")
    parser.add_argument(
        "--from",
        dest="begin",
        metavar="TIME",
        help="history from here: RFC 3339, or a span back from now such as 15m, 6h, 7d",
    )
    parser.add_argument("--to", dest="end", metavar="TIME", help="end of the history")
    parser.add_argument("--csv", action="store_true", help="print CSV (UTC)")
    parser.add_argument(
        "--aggregate",
        default="",
        metavar="NAME[,NAME]",
        help="mean, min, max, time_mean, total, ...: docs/reference/aggregates.md",
    )
    parser.add_argument(
        "--every",
        default="all",
        metavar="WIDTH",
        help="interval of --aggregate: 15m, 1h, hour, day, week, month, or all",
    )
    parser.add_argument(
        "--zone",
        default="",
        metavar="ZONE",
        help="time zone of hour, day, week and month (default: the plant's)",
    )
    parser.add_argument("--at", default="", metavar="TIME[,TIME]", help="values at these moments")
    parser.add_argument(
        "--sloped", action="store_true", help="a line between samples, for --aggregate and --at"
    )
    parser.add_argument(
        "--as-of",
        default="",
        metavar="WHEN",
        help="as it was known then: a log sequence, or an RFC 3339 time of receipt",
    )
    shared(parser)


def _write(parser: Parser) -> None:
    parser.add_argument("path", metavar="PATH", help="path of the point")
    parser.add_argument("value", metavar="VALUE", help="number, text, or a label such as RUN")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why; goes into the audit")
    parser.add_argument("--yes", action="store_true", help="do not ask before sending")
    shared(parser)


def _query(parser: Parser) -> None:
    parser.add_argument("sql", metavar="SQL", help="one SELECT; - reads it from standard input")
    parser.add_argument(
        "--format",
        choices=("table", "csv", "json", "arrow", "parquet"),
        help="of the answer (default: by the ending of --out, else table)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the answer to a file")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    parser.add_argument(
        "--limit", type=int, metavar="N", help="at most so many rows (table: 1,000)"
    )
    shared(parser)


def _export(parser: Parser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--path", metavar="PATH", help="a point, or everything below an asset")
    which.add_argument(
        "--points", nargs="+", metavar="PATTERN", help="points, or patterns with * ? [ ]"
    )
    parser.add_argument(
        "--from",
        dest="begin",
        required=True,
        metavar="TIME",
        help="RFC 3339, or a span back from now such as 15m, 6h, 7d",
    )
    parser.add_argument("--to", dest="end", metavar="TIME", help="end, not included (default: now)")
    parser.add_argument(
        "--format",
        choices=("csv", "arrow", "parquet"),
        help="of the file (default: by its ending)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", required=True, help="file to write")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    shared(parser)


def _watch(parser: Parser) -> None:
    parser.add_argument("path", nargs="+", metavar="PATH", help="point, or pattern with * ? [ ]")
    parser.add_argument("--hz", type=float, default=5.0, help="at most so many updates a second")
    parser.add_argument("--count", type=int, metavar="N", help="end after N lines")
    shared(parser)


def _doctor(parser: Parser) -> None:
    parser.add_argument(
        "--repair",
        action="store_true",
        help="rebuild damaged files of the history from the log; the old ones are kept",
    )
    shared(parser)


def _audit(parser: Parser) -> None:
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="everything from here on: RFC 3339, or a span back from now such as 6h, 7d "
        "(default: the newest 100 entries)",
    )
    shared(parser)


def _user(parser: Parser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="make a user", allow_abbrev=False)
    add.add_argument("name", metavar="NAME", help="name to log in with")
    add.add_argument(
        "--role", required=True, choices=ROLES, metavar="ROLE", help=f"one of {', '.join(ROLES)}"
    )
    add.add_argument("--display-name", default="", metavar="TEXT", help="name on the screen")
    password = actions.add_parser("password", help="set a new password", allow_abbrev=False)
    password.add_argument("name", metavar="NAME", help="name of the user")
    for action in (add, password):
        action.add_argument(
            "--password-stdin",
            action="store_true",
            help="read the password from standard input instead of asking for it",
        )
    remove = actions.add_parser("remove", help="delete a user", allow_abbrev=False)
    remove.add_argument("name", metavar="NAME", help="name of the user")
    for action in (add, password, remove, actions.add_parser("list", help="show all users")):
        shared(action)


VERBS = (
    Verb(
        "up",
        "Start Penstock and stay until Ctrl-C.",
        ("penstock up --demo", "penstock up --home /var/lib/penstock --https 0.0.0.0:8443"),
        _up,
    ),
    Verb(
        "check",
        "Find everything that is wrong in penstock.toml and the plant folder, without connecting.",
        ("penstock check --home /var/lib/penstock",),
        shared,
    ),
    Verb(
        "apply",
        "Make the running Penstock as the plant folder says.",
        ("penstock apply --plan", "penstock apply"),
        _apply,
    ),
    Verb(
        "read",
        "Show the newest values, or the history.",
        (
            "penstock read 'Lakeside Water/Intake/*'",
            "penstock read 'Lakeside Water/Intake/P-101/speed' --from 1h --csv",
            "penstock read '*/speed' --from 7d --aggregate mean,max --every day",
        ),
        _read,
    ),
    Verb(
        "query",
        "Ask the history in SQL.",
        (
            "penstock query \"SELECT path, avg(value) FROM samples WHERE unit = 'bar' GROUP BY 1\"",
            'penstock query "SELECT * FROM points" --out points.csv',
        ),
        _query,
        "Tables: samples and points; docs/reference/sql.md describes them. "
        "Exit code 1 also when the file of --out had to be cut without a --limit.",
    ),
    Verb(
        "export",
        "Write samples to a file.",
        (
            "penstock export --path 'Lakeside Water/Intake' --from 7d --out week.parquet",
            "penstock export --points '*/speed' --from 2026-11-01T00:00:00Z --out speed.csv",
        ),
        _export,
    ),
    Verb(
        "write",
        "Send a command to a point and wait until the device has confirmed it.",
        ("penstock write 'Lakeside Water/Intake/P-101/run-command' STOP --reason 'seal leaks'",),
        _write,
        "The command goes through the same desk as one from the screen: checked, asked, audited. "
        "What the device cannot hold is said with what it will hold instead, before it asks. "
        "Exit code 0 means confirmed by read-back, and nothing else does.",
    ),
    Verb(
        "watch",
        "Show values as they change, one line a change.",
        ("penstock watch 'Lakeside Water/*/pressure'",),
        _watch,
    ),
    Verb(
        "doctor",
        "Look at this machine and this home, and say what to do about each fault.",
        ("penstock doctor", "penstock doctor --repair"),
        _doctor,
    ),
    IMPORT,
    BACKUP,
    RESTORE,
    DELETE,
    SIZE,
    Verb(
        "user",
        "Make, list and remove users.",
        (
            "penstock user add ada --role operator --password-stdin < password.txt",
            "penstock user list",
        ),
        _user,
        "Works with and without a running Penstock.",
    ),
    Verb(
        "audit",
        "Show who changed what, with the old and the new value.",
        ("penstock audit --since 7d",),
        _audit,
    ),
    Verb(
        "setup-link",
        "Print a new one-time link for the first administrator.",
        ("penstock setup-link",),
        shared,
    ),
    Verb("ports", "Show where the running Penstock listens.", ("penstock ports --json",), shared),
)
