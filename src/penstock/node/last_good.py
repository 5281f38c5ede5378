"""The plant folder as it was applied last, so that a typo and a restart do not stop a plant.

Kept as one file, because one file is replaced atomically and a folder is not.
"""

from __future__ import annotations

import base64
import json
import shutil
from typing import TYPE_CHECKING

from penstock.config.loader import FOLDER

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.node.home import Home
    from penstock.world import Disk

SUFFIXES = (".toml", ".csv")


def save(home: Home, disk: Disk) -> None:
    """Remember the plant folder; called once it has been applied."""
    root = home.root / FOLDER
    files = {
        path.relative_to(root).as_posix(): base64.b64encode(path.read_bytes()).decode()
        for path in sorted(root.rglob("*"))
        if path.suffix in SUFFIXES and path.is_file()
    }
    disk.make_folder(home.data)
    disk.write_whole(_path(home), [json.dumps(files).encode()])


def exists(home: Home) -> bool:
    """Whether anything was ever applied."""
    return _path(home).is_file()


def restore(home: Home) -> Path | None:
    """A folder that holds the remembered plant/, None when there is none or it is damaged."""
    try:
        files = json.loads(_path(home).read_bytes())
        contents = {name: base64.b64decode(text) for name, text in files.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return None
    folder = home.data / "applied"
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in contents.items():
        path = folder / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def _path(home: Home) -> Path:
    return home.data / "applied.json"
