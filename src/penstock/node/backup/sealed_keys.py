"""The node's keys in a backup: sealed by a passphrase, because whoever has them is the node."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING

from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from penstock.codec.layout import Damaged
from penstock.model import Refused
from penstock.world import SystemDisk

if TYPE_CHECKING:
    from pathlib import Path

WHAT = "penstock keys"
FORMAT = 1
PASSPHRASE_MIN = 12
_MEMORY_KIB, _PASSES, _LANES = 65_536, 3, 4
_MEMORY_KIB_MAX, _PASSES_MAX, _LANES_MAX = 1_048_576, 64, 64
_KEY_BYTES, _SALT_BYTES, _NONCE_BYTES = 32, 16, 12


def seal_keys(folder: Path, passphrase: str) -> bytes:
    """keys.sealed of a key folder; FileNotFoundError without a node.key in it."""
    assert len(passphrase) >= PASSPHRASE_MIN
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    if "node.key" not in files:
        raise FileNotFoundError(2, "holds no keys", str(folder))
    plain = {name: base64.b64encode(data).decode() for name, data in files.items()}
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    key = _key(passphrase, salt, _MEMORY_KIB, _PASSES, _LANES)
    sealed = AESGCM(key).encrypt(nonce, json.dumps(plain).encode(), _bound(folder.name))
    document = {
        "what": WHAT,
        "format": FORMAT,
        "keys": folder.name,
        "salt": salt.hex(),
        "nonce": nonce.hex(),
        "memory_kib": _MEMORY_KIB,
        "passes": _PASSES,
        "lanes": _LANES,
        "sealed": base64.b64encode(sealed).decode(),
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def open_keys_file(data: bytes, passphrase: str) -> dict[str, bytes]:
    """File names and bytes; Refused for another passphrase, Damaged for another file."""
    try:
        document = json.loads(data)
        if (document["what"], document["format"]) != (WHAT, FORMAT):
            raise Damaged("keys.sealed is of an unknown format")
        memory, passes, lanes = (int(document[n]) for n in ("memory_kib", "passes", "lanes"))
        if memory > _MEMORY_KIB_MAX or passes > _PASSES_MAX or lanes > _LANES_MAX:
            raise Damaged("keys.sealed asks for more work than is sensible")
        key = _key(passphrase, bytes.fromhex(document["salt"]), memory, passes, lanes)
        sealed, nonce = base64.b64decode(document["sealed"]), bytes.fromhex(document["nonce"])
        plain = json.loads(AESGCM(key).decrypt(nonce, sealed, _bound(document["keys"])))
        return {name: base64.b64decode(text) for name, text in plain.items()}
    except InvalidTag as error:
        detail = "The passphrase does not open keys.sealed."
        raise Refused("wrong_credentials", detail) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"keys.sealed cannot be read: {error!r}") from error


def write_keys(folder: Path, files: dict[str, bytes]) -> None:
    """Into a folder that has no keys yet; the node's identity comes last."""
    disk = SystemDisk()
    disk.make_folder(folder)
    for name in sorted(files, key=lambda name: name == "node.key"):
        if "/" in name or name.startswith("."):
            raise Damaged(f"keys.sealed holds a file {name!r}")
        disk.write_whole(folder / name, [files[name]])


def _key(passphrase: str, salt: bytes, memory_kib: int, passes: int, lanes: int) -> bytes:
    secret = passphrase.encode()
    return hash_secret_raw(secret, salt, passes, memory_kib, lanes, _KEY_BYTES, Type.ID)


def _bound(name: str) -> bytes:
    return f"{WHAT} {name}".encode()
