"""The one-time set-up token: who holds the link becomes the first administrator.

There is no default password anywhere; before the link is used nobody can do
anything. Only the newest token counts, and only for a day.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select

from penstock.model import Refused
from penstock.security.tables import setup_tokens
from penstock.state import DEFAULT_TENANT

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from penstock.security.seal import Cell, RowSeal

TOKEN_BYTES = 16
_TABLE = "setup_tokens"


class SetupStore:
    """At most one sealed row, within a given transaction."""

    def __init__(self, seal: RowSeal, lifetime_ns: int, tenant: str = DEFAULT_TENANT) -> None:
        self._seal = seal
        self._lifetime_ns = lifetime_ns
        self._tenant = tenant

    def issue(self, connection: Connection, now_ns: int) -> str:
        """A new token in clear text, told once; older ones are void."""
        token = secrets.token_hex(TOKEN_BYTES)
        row: dict[str, Cell] = {
            "tenant": self._tenant,
            "id": _hash(token),
            "expires_ns": now_ns + self._lifetime_ns,
        }
        self.clear(connection)
        connection.execute(insert(setup_tokens).values(self._seal.sealed(_TABLE, row)))
        return token

    def redeem(self, connection: Connection, token: str, now_ns: int) -> None:
        """Use the token up, or refuse: wrong, old and used look the same."""
        query = select(setup_tokens).where(
            setup_tokens.c.tenant == self._tenant, setup_tokens.c.id == _hash(token)
        )
        row = connection.execute(query).mappings().first()
        if row is None:
            raise Refused("wrong_setup_token")
        self._seal.check(_TABLE, dict(row))
        if now_ns >= int(row["expires_ns"]):
            raise Refused("wrong_setup_token")
        self.clear(connection)

    def clear(self, connection: Connection) -> None:
        """No token is valid any more."""
        connection.execute(delete(setup_tokens).where(setup_tokens.c.tenant == self._tenant))


def setup_link(port: int, token: str) -> str:
    """The address to open; the token sits in the fragment, which no browser sends or logs."""
    return f"http://127.0.0.1:{port}/setup#token={token}"


def _hash(token: str) -> str:
    return hashlib.sha256(b"penstock setup\0" + token.encode()).hexdigest()
