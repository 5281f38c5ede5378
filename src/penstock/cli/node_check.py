"""What the doctor can see with Penstock's own eyes: keys, certificates, configuration, schema."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

from sqlalchemy.exc import DatabaseError

from penstock.cli.notice import Notice, fault, look, ok
from penstock.config.settings import load_settings
from penstock.model import ConfigError
from penstock.node.check import check_home
from penstock.node.settings import ListenSettings, Settings
from penstock.security import key_folder
from penstock.security.certificates import Certificates
from penstock.state import needs_migration
from penstock.world import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.node.home import Home

KEY_NAMES = ("node.key", "node.id", "rows.key")
OTHERS = stat.S_IRWXG | stat.S_IRWXO
DAYS_LOOK = 14


def configuration(home: Home) -> Notice:
    """The same as `penstock check`, in one line."""
    if not home.root.is_dir():
        return ok("configuration", "not there yet")
    checked = check_home(home)
    if checked.problems:
        detail = f"{len(checked.problems)} errors; the first: {checked.problems[0]}"
        return fault("configuration", detail, f"See them all: `penstock check --home {home.root}`.")
    if checked.warnings:
        detail = f"{len(checked.warnings)} warnings; the first: {checked.warnings[0]}"
        return look("configuration", detail, f"See `penstock check --home {home.root}`.")
    return ok("configuration", f"{checked.points} points, {checked.rules} rules")


def listen_settings(home: Home) -> ListenSettings:
    """Addresses a start would use; the defaults when the file is wrong."""
    try:
        return load_settings(home.root, Settings).server
    except ConfigError:
        return ListenSettings()


def schema(home: Home) -> Notice:
    """Whether the next start migrates."""
    if not (home.data / "state.db").is_file():
        return ok("schema", "not there yet")
    try:
        is_old = needs_migration(home.state_url)
    except DatabaseError as error:
        return fault("schema", str(error.orig), "Restore data/state.db from a backup.")
    return ok("schema", "is brought up to date at the next start" if is_old else "newest")


def keys(home: Home) -> Notice:
    """All there, and readable by nobody else."""
    folder = _key_folder(home)
    if folder is None:
        return ok("keys", "not there yet")
    missing = [name for name in KEY_NAMES if not (folder / name).is_file()]
    if missing:
        remedy = "Restore the folder from a backup; without it nobody can log in."
        return fault("keys", f"{', '.join(missing)} missing in {folder}", remedy)
    open_ones = [
        path
        for path in (folder, *folder.iterdir())
        if path.stat().st_mode & OTHERS and _is_secret(path)
    ]
    if open_ones:
        remedy = f"chmod -R go= {folder}"
        return fault("keys", f"{open_ones[0]} is open to other users", remedy)
    return ok("keys", str(folder))


def certificates(home: Home) -> list[Notice]:
    """How long each certificate lasts; those of the built-in authority renew themselves."""
    folder = _key_folder(home)
    if folder is None or not folder.is_dir():
        return []
    settings = listen_settings(home)
    if settings.certificate:
        return []
    found = []
    for status in Certificates(folder, settings.names, SystemClock()).status():
        name, detail = f"certificate {status.name}", f"ends in {status.days_left} days"
        if status.days_left < 0:
            remedy = "Start Penstock: it makes a new one."
            found.append(look(name, f"ended {-status.days_left} days ago", remedy))
        elif status.days_left < DAYS_LOOK:
            found.append(look(name, detail, "It should have been renewed; see the log of core."))
        else:
            found.append(ok(name, detail))
    return found


def _key_folder(home: Home) -> Path | None:
    """Without making one: a doctor changes nothing."""
    path = home.data / "FORMAT"
    if not path.is_file():
        return None
    try:
        return key_folder(str(json.loads(path.read_text("utf-8"))["keys"]))
    except (ValueError, KeyError):
        return None


def _is_secret(path: Path) -> bool:
    return path.is_dir() or path.suffix in {".key", ".id"}
