"""Paths below `system`, which belong to the node: no file may name a point there.

They say whether a device answers: `system/<node>/<connector>/<device>/connected`.
"""

from __future__ import annotations

SYSTEM = "system"
CONNECTED = "connected"


def is_system_path(path: str) -> bool:
    """Whether an asset or a point belongs to the node and not to the plant."""
    return path == SYSTEM or path.startswith(f"{SYSTEM}/")


def connected_path(node: str, connector: str, device: str) -> str:
    """Path of the point that says whether a device answers."""
    return f"{SYSTEM}/{node}/{connector}/{device}/{CONNECTED}"


def split_connected(path: str) -> tuple[str, str, str] | None:
    """Node, connector and device of such a path; None for any other path."""
    parts = path.split("/")
    if len(parts) != 5 or parts[0] != SYSTEM or parts[4] != CONNECTED:
        return None
    return parts[1], parts[2], parts[3]
