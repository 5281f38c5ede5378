"""Where a node of this computer lies and at which socket it answers."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path


def default_home() -> Path:
    """$PENSTOCK_HOME, else a service's or the user's own folder."""
    named = os.environ.get("PENSTOCK_HOME")
    if named:
        return Path(named)
    if os.geteuid() == 0 and Path("/var/lib/penstock").is_dir():
        return Path("/var/lib/penstock")
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "penstock"


def socket_folder(home: Path) -> Path:
    """Folder of the local socket: short, mode 0700 (a socket path has at most 108 bytes)."""
    digest = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:8]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / f"penstock-{digest}"
    return Path(tempfile.gettempdir()) / f"penstock-{os.getuid()}-{digest}"


def socket_of(home: Path) -> Path:
    """The socket at which the node of this home answers its owner."""
    return socket_folder(home) / "api.sock"
