"""`penstock restore`: verified first, then under its name; what is missing is said."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.cli.backup import progress, read_passphrase
from penstock.cli.outcome import EXIT_OK, Fault
from penstock.cli.output import say_error, say_json

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from penstock.node.backup.document import BackupDocument
    from penstock.node.backup.restore import BackupDamaged, Restored
    from penstock.node.backup.sources import Source

NAMED_MAX = 20


def run(options: argparse.Namespace) -> int:
    """Exit code 0: the home is what the backup held (or the backup is whole)."""
    if options.verify_only:
        document = verify_only(options.backup)
        if options.json:
            say_json(_facts(document))
        else:
            say_error(f"{options.backup} is whole: {_words(document)}")
        return EXIT_OK
    with open_backup(options.backup) as source:
        passphrase = None
        if source.document.has_keys and not options.without_keys:
            passphrase = read_passphrase(options, is_new=False)
        done, document = _restore(options, source, passphrase), source.document
    if options.json:
        aside = None if done.moved_aside is None else str(done.moved_aside)
        more = {"keys": str(done.keys), "has_keys": done.has_keys, "moved_aside": aside}
        say_json({**_facts(document), **more})
    else:
        _say(options, document, done)
    return EXIT_OK


@contextmanager
def open_backup(place: Path) -> Iterator[Source]:
    """A Fault where there is no whole backup, or one that is damaged."""
    from penstock.codec.layout import Damaged  # noqa: PLC0415 - numpy is slow to read
    from penstock.node.backup.restore import BackupDamaged  # noqa: PLC0415
    from penstock.node.backup.sources import open_source  # noqa: PLC0415

    try:
        with open_source(place) as source:
            yield source
    except Damaged as error:
        raise Fault(f"{error}. It cannot be restored.") from error
    except BackupDamaged as error:
        raise _damaged(place, error) from error


def verify_only(place: Path) -> BackupDocument:
    """Every checksum of a backup; a Fault names what is damaged."""
    from penstock.node.backup import restore  # noqa: PLC0415
    from penstock.world import SystemDisk  # noqa: PLC0415

    disk, report = SystemDisk(), progress("verify")
    with open_backup(place) as source:
        if place.is_dir():
            restore.verify_in_place(source, place, disk, report)
        else:
            with tempfile.TemporaryDirectory(dir=place.absolute().parent) as folder:
                restore.verify_backup(source, disk, Path(folder), report)
        return source.document


def _restore(options: argparse.Namespace, source: Source, passphrase: str | None) -> Restored:
    from penstock.model import Refused  # noqa: PLC0415
    from penstock.node.backup import restore  # noqa: PLC0415
    from penstock.world import SystemDisk  # noqa: PLC0415

    try:
        return restore.restore(
            source,
            options.home,
            SystemDisk(),
            progress("restore"),
            is_replacing=options.replace,
            passphrase=passphrase,
        )
    except Refused as refusal:
        raise Fault(f"{refusal.detail} Nothing was restored.") from refusal
    except OSError as error:
        place = error.filename or options.home.root
        raise Fault(f"{place}: {error.strerror or error}. Nothing was restored.") from error


def _damaged(place: Path, error: BackupDamaged) -> Fault:
    more = [f"and {len(error.places) - NAMED_MAX} more"] if len(error.places) > NAMED_MAX else []
    return Fault(
        f"{place} is damaged and is not restored. Take another backup.",
        [*error.places[:NAMED_MAX], *more],
    )


def _say(options: argparse.Namespace, document: BackupDocument, done: Restored) -> None:
    say_error(f"{options.home.root} is restored: {_words(document)}")
    if done.moved_aside is not None:
        say_error(f"What was there is in {done.moved_aside}.")
    if not done.has_keys:
        say_error(
            f"MISSING: the keys. Copy the key folder of the node to {done.keys}, "
            "with its modes, before you start Penstock."
        )
    say_error(
        "It is the same node: let the original not run beside it. "
        f"Start it with `penstock up --home {options.home.root}`."
    )


def _words(document: BackupDocument) -> str:
    from penstock.model.time import format_ns  # noqa: PLC0415

    return (
        f"made at {format_ns(document.made_ns)[:19]}Z, "
        f"all data up to log record {document.sequence}."
    )


def _facts(document: BackupDocument) -> dict[str, object]:
    return {
        "made_ns": str(document.made_ns),
        "sequence": str(document.sequence),
        "files": len(document.files),
        "file_bytes": document.file_bytes,
        "node": document.node,
    }
