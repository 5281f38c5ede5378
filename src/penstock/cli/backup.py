"""`penstock backup`: the node goes on meanwhile; what is not inside is said loudly."""

from __future__ import annotations

import getpass
import json
import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from penstock.cli.client import Client, is_running
from penstock.cli.outcome import EXIT_OK, Fault, UsageFault
from penstock.cli.output import say_error, say_json
from penstock.node.home import lock, lock_holder

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from penstock.cli.document import Document
    from penstock.node.backup.make import Made
    from penstock.node.home import Home

MB = 1_000_000
PASSPHRASE_MIN = 12
SAY_EVERY_S = 0.5


def run(options: argparse.Namespace) -> int:
    """Exit code 0 means: whole, durable, under its own name."""
    home: Home = options.home
    if not (home.data / "FORMAT").is_file():
        raise Fault(f"{home.root} holds no data of Penstock; say which home with --home.")
    if options.mb_per_s < 0:
        raise UsageFault("--mb-per-s is 0 or more.")
    if options.base is not None and str(options.to).endswith(".tar"):
        raise UsageFault("--base needs a folder; an archive shares nothing.")
    passphrase = read_passphrase(options, is_new=True) if options.with_keys else None
    running = is_running(home)
    with _held(home, running=running):
        made = _make(options, passphrase, running=running)
        note = _note_of(options, made)
        if not running:
            write_note(home, note)
    if running:
        _tell(home, note)
    if options.verify:
        _verify(options.to)
    _say(options, made)
    return EXIT_OK


def read_passphrase(options: argparse.Namespace, *, is_new: bool) -> str:
    """From standard input or the terminal, there twice when it is new."""
    if options.passphrase_stdin:
        found = sys.stdin.readline().rstrip("\n")
    else:
        found = getpass.getpass("Passphrase of the keys: ")
        if is_new and found != getpass.getpass("Once more: "):
            raise UsageFault("The two passphrases differ.")
    if is_new and len(found) < PASSPHRASE_MIN:
        raise UsageFault(f"Use at least {PASSPHRASE_MIN} characters, for example four words.")
    return found


def progress(what: str) -> Callable[[int, int], None]:
    """One line that is written over; nothing where standard error is a file."""
    said = 0.0

    def report(done: int, total: int) -> None:
        nonlocal said
        if not sys.stderr.isatty():
            return
        if time.monotonic() - said >= SAY_EVERY_S or done == total:
            said = time.monotonic()
            share, end = done / max(1, total), "\n" if done == total else ""
            line = f"\r{what} {share:4.0%}  {done / MB:,.0f} of {total / MB:,.0f} MB"
            sys.stderr.write(line + end)
            sys.stderr.flush()

    return report


def write_note(home: Home, note: Document) -> None:
    """The last backup, for the System page of a node that is off now."""
    from penstock.world import SystemDisk  # noqa: PLC0415 - only where it is needed

    document = {**note, "sequence": str(note["sequence"])}
    SystemDisk().write_whole(home.data / "backup.json", [json.dumps(document).encode()])


@contextmanager
def _held(home: Home, *, running: bool) -> Iterator[None]:
    """The lock of a node that is off."""
    if running:
        yield
        return
    held = lock(home)
    if held is None:
        raise Fault(
            f"Process {lock_holder(home)} holds {home.data} and does not answer; "
            "it may be starting or stopping. Try again in a moment."
        )
    try:
        yield
    finally:
        os.close(held)


def _make(options: argparse.Namespace, passphrase: str | None, *, running: bool) -> Made:
    from penstock.codec.layout import Damaged  # noqa: PLC0415 - numpy is slow to read
    from penstock.node.backup.collect import Moved  # noqa: PLC0415
    from penstock.node.backup.make import Order, make_backup  # noqa: PLC0415
    from penstock.world import SystemDisk  # noqa: PLC0415

    sealed = None if passphrase is None else _sealed(options.home, passphrase)
    order = Order(options.to.absolute(), options.base, sealed, options.mb_per_s)
    report = progress("backup")
    try:
        return make_backup(options.home, SystemDisk(), order, report, is_running=running)
    except Damaged as error:
        raise Fault(f"{error}. No backup was made.") from error
    except Moved as error:
        raise Fault(f"The node changes too much just now ({error}). Try again.") from error
    except OSError as error:
        place = error.filename or options.to
        raise Fault(
            f"{place}: {error.strerror or error}. No backup was made and nothing is left of it."
        ) from error


def _sealed(home: Home, passphrase: str) -> bytes:
    from penstock.node.backup.sealed_keys import seal_keys  # noqa: PLC0415
    from penstock.security.keys import key_folder  # noqa: PLC0415

    folder = key_folder(home.key_name())
    try:
        return seal_keys(folder, passphrase)
    except OSError as error:
        raise Fault(
            f"{folder}: {error.strerror}. Run this as the user who runs Penstock."
        ) from error


def _note_of(options: argparse.Namespace, made: Made) -> Document:
    document = made.document
    return {
        "made_ns": str(document.made_ns),
        "sequence": document.sequence,
        "file_bytes": document.file_bytes,
        "files": len(document.files),
        "name": options.to.name,
        "has_keys": document.has_keys,
    }


def _tell(home: Home, note: Document) -> None:
    """The running node audits it and shows its age; a node that is gone meanwhile need not."""
    try:
        Client(home).post("/backups", {**note, "sequence": str(note["sequence"])})
    except Fault as fault:
        say_error(f"The backup is whole, but the node has not noted it: {fault}")


def _verify(place: Path) -> None:
    from penstock.cli.restore import verify_only  # noqa: PLC0415

    verify_only(place)


def _say(options: argparse.Namespace, made: Made) -> None:
    document = made.document
    if options.json:
        note = {**_note_of(options, made), "sequence": str(document.sequence)}
        say_json({**note, "shared_bytes": made.shared_bytes, "verified": options.verify})
    else:
        shared = f", {made.shared_bytes / MB:,.1f} MB of them shared" if made.shared_bytes else ""
        say_error(
            f"{options.to}: {len(document.files)} files, {document.file_bytes / MB:,.1f} MB"
            f"{shared}; all data up to log record {document.sequence} is inside."
        )
    if not document.has_keys:
        from penstock.security.keys import key_folder  # noqa: PLC0415

        say_error(
            "NOT inside: the node's keys. Without them nobody can log in to what is restored. "
            f"Copy {key_folder(document.keys)} to another place, once, "
            "or use --with-keys, which seals them by a passphrase."
        )
