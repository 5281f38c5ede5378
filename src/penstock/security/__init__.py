"""Who may do what, and the proof of who did it: users, sessions, roles, audit, keys.

Other capabilities import `penstock.security.routes` in their own routes.py and
the nouns below elsewhere; FastAPI stays out of everything but routes.py. A noun is
read from the disk when it is first asked for: the field process checks signatures
with `keys` and must not carry SQLAlchemy (30 MB, 0.6 s) for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.security.audit import Audit, ChainStatus, Entry
    from penstock.security.desk import Security
    from penstock.security.keys import NodeKeys, key_folder, open_keys
    from penstock.security.permissions import PERMISSIONS, ROLES
    from penstock.security.principal import Grant, Principal, local_principal
    from penstock.security.settings import PasswordSettings, SecuritySettings, SessionSettings
    from penstock.security.setup import setup_link

__all__ = [
    "PERMISSIONS",
    "ROLES",
    "Audit",
    "ChainStatus",
    "Entry",
    "Grant",
    "NodeKeys",
    "PasswordSettings",
    "Principal",
    "Security",
    "SecuritySettings",
    "SessionSettings",
    "key_folder",
    "local_principal",
    "open_keys",
    "setup_link",
]

_MODULE_BY_NAME = {
    "PERMISSIONS": "permissions",
    "ROLES": "permissions",
    "Audit": "audit",
    "ChainStatus": "audit",
    "Entry": "audit",
    "Grant": "principal",
    "NodeKeys": "keys",
    "PasswordSettings": "settings",
    "Principal": "principal",
    "Security": "desk",
    "SecuritySettings": "settings",
    "SessionSettings": "settings",
    "key_folder": "keys",
    "local_principal": "principal",
    "open_keys": "keys",
    "setup_link": "setup",
}


if not TYPE_CHECKING:  # the type checker sees the imports above, and misspelt names

    def __getattr__(name: str) -> object:
        """The noun, from its module."""
        if name not in _MODULE_BY_NAME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULE_BY_NAME[name]}"), name)
        globals()[name] = value
        return value
