"""Who may do what, and the proof of who did it: users, sessions, roles, audit, keys.

Other capabilities import `penstock.security.routes` in their own routes.py and
the nouns below elsewhere; FastAPI stays out of everything but routes.py.
"""

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
