"""Verbs about keeping data: backup, restore, delete, size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from penstock.cli.verb import Verb, shared

if TYPE_CHECKING:
    from penstock.cli.verb import Parser


def _backup(parser: Parser) -> None:
    parser.add_argument(
        "to", type=Path, metavar="PLACE", help="a new folder, or a new file that ends with .tar"
    )
    parser.add_argument(
        "--base",
        type=Path,
        metavar="BACKUP",
        help="earlier backup beside it; what never changes is shared with it by hard links",
    )
    parser.add_argument(
        "--with-keys", action="store_true", help="put the node's keys in, sealed by a passphrase"
    )
    parser.add_argument(
        "--passphrase-stdin",
        action="store_true",
        help="read the passphrase from standard input instead of asking for it",
    )
    parser.add_argument(
        "--mb-per-s", type=float, default=50.0, metavar="N", help="read so fast (0: no limit)"
    )
    parser.add_argument(
        "--verify", action="store_true", help="read the whole backup once more and check it"
    )
    shared(parser)


def _restore(parser: Parser) -> None:
    parser.add_argument("backup", type=Path, metavar="BACKUP", help="folder or .tar file")
    parser.add_argument(
        "--verify-only", action="store_true", help="check every byte and restore nothing"
    )
    parser.add_argument(
        "--replace", action="store_true", help="move a home that is there aside; nothing is deleted"
    )
    parser.add_argument(
        "--passphrase-stdin",
        action="store_true",
        help="read the passphrase of sealed keys from standard input instead of asking for it",
    )
    parser.add_argument(
        "--without-keys", action="store_true", help="leave sealed keys in the backup alone"
    )
    shared(parser)


def _delete(parser: Parser) -> None:
    parser.add_argument("--path", metavar="PATH", help="a point, or everything below an asset")
    parser.add_argument(
        "--from", dest="begin", metavar="TIME", help="RFC 3339, or a span back from now such as 7d"
    )
    parser.add_argument("--to", dest="end", metavar="TIME", help="end, not included")
    parser.add_argument("--reason", metavar="TEXT", help="why; goes into the audit")
    parser.add_argument(
        "--confirm", metavar="PHRASE", help="the phrase that is asked for otherwise"
    )
    parser.add_argument("--list", action="store_true", help="show deletions and their state")
    parser.add_argument("--undo", metavar="ID", help="show the data of a deletion again")
    shared(parser)


def _size(parser: Parser) -> None:
    parser.add_argument(
        "--by",
        choices=("kind", "type", "connector", "point"),
        default="kind",
        help="what to share it out by (default: kind, the class of values)",
    )
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many lines")
    shared(parser)


BACKUP = Verb(
    "backup",
    "Write a whole backup of this node, while it runs or while it is off.",
    (
        "penstock backup /mnt/nas/penstock-2026-11-26",
        "penstock backup /mnt/nas/penstock-2026-11-27 --base /mnt/nas/penstock-2026-11-26",
        "penstock backup /mnt/stick/penstock.tar --with-keys --verify",
    ),
    _backup,
    "It has its name only once it is whole. Data is taken and shown all the while.",
)

RESTORE = Verb(
    "restore",
    "Make a home from a backup, after every checksum in it was verified.",
    (
        "penstock restore /mnt/nas/penstock-2026-11-26 --home /var/lib/penstock",
        "penstock restore /mnt/stick/penstock.tar --verify-only",
    ),
    _restore,
    "A home that is there already is left alone without --replace.",
)

DELETE = Verb(
    "delete",
    "Delete samples of a span by hand.",
    (
        "penstock delete --path 'Works/Door 3' --from 7d --to 1h --reason 'asked by the visitor'",
        "penstock delete --undo 0d9f6c1e-5d0e-4f34-9b5a-6f0a3f6f8f5d",
    ),
    _delete,
    "They are hidden at once and can be shown again until the grace is over, a day by default.",
)

SIZE = Verb(
    "size",
    "Show what takes the space on disk, and when it is full at today's rate.",
    ("penstock size", "penstock size --by point --limit 50"),
    _size,
)
