"""Where things lie: one folder for configuration and data, another for keys.

data/FORMAT names the data's version and its key folder, so that data which is
moved on its machine finds its keys again.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from penstock.client.place import default_home, socket_folder

__all__ = ["FORMAT", "Home", "default_home", "lock", "lock_holder"]
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Home:
    """$PENSTOCK_HOME and the places in it."""

    root: Path

    @property
    def data(self) -> Path:
        """Log, segments, state: all that is backed up with the configuration."""
        return self.root / "data"

    @property
    def log(self) -> Path:
        """Partition 0 of the log."""
        return self.data / "log" / "0"

    @property
    def segments(self) -> Path:
        """The historian's files."""
        return self.data / "segments"

    @property
    def state_url(self) -> str:
        """Database of users, registry and projections."""
        return f"sqlite:///{(self.data / 'state.db').resolve()}"

    @property
    def logs(self) -> Path:
        """What the processes say."""
        return self.root / "logs"

    @property
    def ports_file(self) -> Path:
        """Written once everything listens."""
        return self.data / "ports.json"

    @property
    def sockets(self) -> Path:
        """Folder of the local socket: short, mode 0700 (a socket path has at most 108 bytes)."""
        return socket_folder(self.root)

    @property
    def socket(self) -> Path:
        """The local command line's socket."""
        return self.sockets / "api.sock"

    def key_name(self) -> str:
        """Name of the key folder, made at the first call."""
        path = self.data / "FORMAT"
        if path.exists():
            return _key_name_in(path)
        from penstock.world import SystemDisk  # noqa: PLC0415 - `penstock --help` imports this file

        name, disk = secrets.token_hex(4), SystemDisk()
        disk.make_folder(self.data)
        # Synced: a power cut that empties it would part the data from its keys for good.
        disk.write_whole(path, [json.dumps({"format": FORMAT, "keys": name}).encode() + b"\n"])
        return name


def _key_name_in(path: Path) -> str:
    """What the file says; ConfigError, because a guess would part the data from its keys."""
    from penstock.model import ConfigError, ConfigProblem  # noqa: PLC0415 - as above

    try:
        document = json.loads(path.read_bytes())
        number, name = document["format"], document["keys"]
        is_whole = isinstance(name, str) and re.fullmatch("[0-9a-f]{8}", name) is not None
    except (ValueError, KeyError, TypeError):
        is_whole, number = False, FORMAT
    if not is_whole:
        sentence = "is damaged; restore it from a backup, it names the folder of this data's keys."
        raise ConfigError([ConfigProblem(str(path), sentence)])
    if number != FORMAT:
        sentence = f"is of format {number}, not {FORMAT}; start the Penstock that wrote it."
        raise ConfigError([ConfigProblem(str(path), sentence)])
    return str(name)


def lock(home: Home, holder: int | None = None) -> int | None:
    """Take the data folder for this process (a descriptor to keep), None if another has it.

    `holder` is the process that others are told of, where it is not this one: the one to stop.
    """
    home.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(home.data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return None
    os.ftruncate(file, 0)
    os.pwrite(file, f"{holder or os.getpid()}\n".encode(), 0)
    return file


def is_locked(home: Home) -> bool:
    """Whether a process has the data folder; nothing is made and nothing is taken."""
    try:
        file = os.open(home.data / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def lock_holder(home: Home) -> str:
    """Process that holds the data folder, as far as it has said so."""
    try:
        return (home.data / "lock").read_text().strip() or "unknown"
    except OSError:
        return "unknown"
