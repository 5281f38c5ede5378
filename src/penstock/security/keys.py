"""The node's own keys: identity, signature, row seal. They lie outside the data.

A copied data folder or backup is therefore not enough to forge a user or an
audit entry. Losing the folder loses the ability to prove, not the data.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from penstock.model import ConfigError, ConfigProblem
from penstock.model.identity import new_id
from penstock.world import SystemDisk

if TYPE_CHECKING:
    from penstock.world import Disk

_SEAL_BYTES = 32


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """Identity of a node; `folder` also holds its certificates."""

    folder: Path
    node: UUID
    private: Ed25519PrivateKey
    seal: bytes

    @property
    def public_bytes(self) -> bytes:
        """The 32 bytes by which others check this node's signatures."""
        return self.private.public_key().public_bytes_raw()

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of the public key's SHA-256; names the key in audit entries."""
        return hashlib.sha256(self.public_bytes).hexdigest()[:16]

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature, 64 bytes."""
        return self.private.sign(message)

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether this node signed `message`."""
        return verify_signature(self.public_bytes, signature, message)


def verify_signature(public_bytes: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the holder of the Ed25519 key signed `message`."""
    try:
        Ed25519PublicKey.from_public_bytes(public_bytes).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def key_folder(name: str) -> Path:
    """Where the keys of node `name` lie: /etc for root, else the user's configuration folder.

    `name` must be unique on the machine; two nodes with one folder would have
    one identity.
    """
    assert name
    assert "/" not in name
    if os.geteuid() == 0 and Path("/etc/penstock").is_dir():
        return Path("/etc/penstock/keys") / name
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "penstock" / "keys" / name


def open_keys(folder: Path, disk: Disk | None = None) -> NodeKeys:
    """The keys in `folder`, made at the first call; all files are 0600, the folder 0700."""
    disk = disk or SystemDisk()
    disk.make_folder(folder)
    names = ("node.key", "node.id", "rows.key")
    missing = [name for name in names if not (folder / name).is_file()]
    if len(missing) == len(names):
        _make(folder, disk)
    elif missing:
        raise ConfigError([_lost(folder, name) for name in missing])
    _check_modes(folder, names)
    return _read(folder, disk)


def _make(folder: Path, disk: Disk) -> None:
    """`node.key` last but one file would look like a loss, so a cut start leaves a clear error."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    disk.write_whole(folder / "rows.key", [secrets.token_bytes(_SEAL_BYTES)])
    disk.write_whole(folder / "node.id", [f"{new_id(time.time_ns())}\n".encode()])
    disk.write_whole(folder / "node.key", [pem])


def _read(folder: Path, disk: Disk) -> NodeKeys:
    seal = disk.read(folder / "rows.key")
    private = load_pem_private_key(disk.read(folder / "node.key"), None)
    if len(seal) != _SEAL_BYTES or not isinstance(private, Ed25519PrivateKey):
        raise ConfigError([_lost(folder, "rows.key or node.key")])
    return NodeKeys(folder, UUID(disk.read(folder / "node.id").decode().strip()), private, seal)


def _check_modes(folder: Path, names: tuple[str, ...]) -> None:
    """Others must not read a key; what is only too open is closed and nothing is said."""
    for path in (folder, *(folder / name for name in names)):
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            path.chmod(mode & 0o700)


def _lost(folder: Path, name: str) -> ConfigProblem:
    return ConfigProblem(
        str(folder / name),
        "is missing or damaged. Restore the key folder from a backup; "
        "without it users and audit entries of this node cannot be checked.",
    )
