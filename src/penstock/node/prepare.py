"""What must be right before anything starts: `python -m penstock.node.prepare HOME`.

A process of its own, so that the supervisor, which lives for years, never holds
pydantic and Alembic in its memory. It answers with one JSON object on standard
output and binds nothing.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from sqlalchemy.exc import DatabaseError

from penstock.config.settings import FILE_NAME
from penstock.model import ConfigError, ConfigProblem
from penstock.node import last_good
from penstock.node.backup.stage import clear_stages
from penstock.node.check import Checked, check_home
from penstock.node.home import FORMAT, Home, lock, lock_holder
from penstock.security.keys import NodeKeys, key_folder, open_keys
from penstock.state import damage_of, needs_migration
from penstock.world import SystemDisk

EXIT_FAULT = 1
EXIT_CONFIG = 2
PYTHON_MIN = (3, 11)

Answer = dict[str, object]


def prepare(home: Home) -> tuple[Answer, int]:
    """Folders, keys, schema, check; the answer and the exit code."""
    _make_folders(home)
    held = lock(home)
    if held is None:
        sentence = (
            f"{home.root} is in use by process {lock_holder(home)}. "
            "Stop it first (Ctrl-C there), or give another folder with --home."
        )
        return {"fault": sentence}, EXIT_FAULT
    try:
        clear_stages(home.data)
        keys = open_node_keys(home)
        damage = database_damage(home)
        migrate_if_needed(home)
        checked = check_home(home, keys.node)
    except ConfigError as error:
        return {"problems": _documents(error.problems)}, EXIT_CONFIG
    finally:
        os.close(held)
    if checked.problems and not (last_good.exists(home) and _is_only_plant(checked)):
        return _refusal(checked), EXIT_CONFIG
    return {
        "node": str(keys.node),
        "points": checked.points,
        "warnings": _documents((*damage, *map(_held_back, checked.problems), *checked.warnings)),
        "simulator_port": checked.simulator_port,
    }, 0


def open_node_keys(home: Home) -> NodeKeys:
    """The keys of this home's node; ConfigError for data of another format."""
    path = home.data / "FORMAT"
    if path.exists():
        try:
            found = json.loads(path.read_text())["format"]
        except (ValueError, KeyError, TypeError) as error:
            message = "is damaged. Restore it from a backup; it names the folder of the keys."
            raise ConfigError([ConfigProblem(str(path), message)]) from error
        if found != FORMAT:
            message = f"says format {found}; this Penstock knows {FORMAT}. Install the newer one."
            raise ConfigError([ConfigProblem(str(path), message)])
    folder = key_folder(home.key_name())
    if (home.data / "state.db").is_file() and not (folder / "node.key").is_file():
        # New keys would be made in silence, and every user and audit entry refused from then on.
        message = (
            f"belongs to keys that are not in {folder}. Restore that folder from a backup, or "
            "start Penstock as the user who made this data."
        )
        raise ConfigError([ConfigProblem(str(home.data), message)])
    return open_keys(folder)


def database_damage(home: Home) -> tuple[ConfigProblem, ...]:
    """What SQLite finds wrong, as a warning: what can be read goes on, and a person decides.

    ConfigError when the file cannot be read at all. What is read as truth (users, registry)
    has checksums of its own and is refused where it is read.
    """
    path = home.data / "state.db"
    if not path.is_file():
        return ()
    remedy = "Stop Penstock and restore data/state.db from a backup."
    try:
        found = damage_of(home.state_url)
    except DatabaseError as error:
        message = f"cannot be read: {error.orig}. {remedy}"
        raise ConfigError([ConfigProblem(str(path), message)]) from error
    if found is None:
        return ()
    message = f"is damaged, SQLite says: {found.strip()}. {remedy}"
    return (ConfigProblem(str(path), message, is_warning=True),)


def migrate_if_needed(home: Home) -> None:
    """Bring the database to the newest schema; the data lock is held."""
    if needs_migration(home.state_url):
        from penstock.state.migrate import migrate  # noqa: PLC0415 - Alembic is slow, rarely needed

        migrate(home.state_url)


def main() -> int:
    """Argument: the home folder."""
    if sys.version_info < PYTHON_MIN:
        return _answer({"fault": "Penstock needs Python 3.11 or newer."}, EXIT_FAULT)
    home = Home(Path(sys.argv[1]))
    try:
        return _answer(*prepare(home))
    except BrokenPipeError:  # whoever asked has been stopped meanwhile
        return EXIT_FAULT
    except OSError as error:
        place = error.filename or home.root
        sentence = f"{place}: {error.strerror}. Penstock must be able to write there; mend this."
        return _answer({"fault": sentence}, EXIT_FAULT)


def _make_folders(home: Home) -> None:
    for folder in (home.root, home.data, home.log, home.segments, home.logs):
        SystemDisk().make_folder(folder)


def _refusal(checked: Checked) -> Answer:
    return {
        "problems": _documents(checked.problems),
        "warnings": _documents(checked.warnings),
    }


def _is_only_plant(checked: Checked) -> bool:
    """Whether penstock.toml itself is right: without it nothing can run."""
    return not any(item.place.startswith(FILE_NAME) for item in checked.problems)


def _held_back(problem: ConfigProblem) -> ConfigProblem:
    """A running plant is not stopped by a typo: what was applied last goes on."""
    message = f"{problem.message} (not applied; what was applied last runs)"
    return ConfigProblem(problem.place, message, is_warning=True)


def _documents(problems: tuple[ConfigProblem, ...]) -> list[dict[str, str]]:
    return [{"place": item.place, "message": item.message} for item in problems]


def _answer(answer: Answer, exit_code: int) -> int:
    sys.stdout.write(json.dumps(answer) + "\n")
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
