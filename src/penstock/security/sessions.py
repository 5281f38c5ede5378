"""Server-side sessions: the browser holds 256 random bits, the database only their hash.

The CSRF token is derived from the same bits: a page that can read it was given
it by us, and a thief of the database can compute neither.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from penstock.security.tables import sessions
from penstock.state import DEFAULT_TENANT

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from penstock.security.seal import Cell, RowSeal
    from penstock.security.settings import SessionSettings

TOKEN_BYTES = 32
_TABLE = "sessions"


@dataclass(frozen=True, slots=True)
class Session:
    """`id` is the hash of the token; knowing it opens nothing."""

    id: str
    user_id: str
    created_ns: int
    used_ns: int


def new_token() -> str:
    """256 bits, URL-safe."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def token_hash(token: str) -> str:
    """What is stored; no salt is needed, because 256 random bits cannot be guessed."""
    return hashlib.sha256(b"penstock session\0" + token.encode()).hexdigest()


def csrf_token(token: str) -> str:
    """What an unsafe request of the page must carry in X-CSRF-Token."""
    digest = hashlib.sha256(b"penstock csrf\0" + token.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def is_csrf_right(token: str, csrf: str) -> bool:
    """Whether `csrf` belongs to the session token; in constant time."""
    return secrets.compare_digest(csrf_token(token).encode(), csrf.encode())


class SessionStore:
    """Sealed rows within a given transaction; expiry is judged by the reader's clock."""

    def __init__(
        self, seal: RowSeal, settings: SessionSettings, tenant: str = DEFAULT_TENANT
    ) -> None:
        self._seal = seal
        self._settings = settings
        self._tenant = tenant

    def add(self, connection: Connection, token: str, user_id: str, now_ns: int) -> Session:
        """Begin a session; the user's oldest ones beyond the maximum end."""
        session = Session(token_hash(token), user_id, now_ns, now_ns)
        self._trim(connection, user_id)
        connection.execute(insert(sessions).values(self._row(session)))
        return session

    def find(self, connection: Connection, session_id: str, now_ns: int) -> Session | None:
        """The session if it is neither idle nor old; a clock that jumped back ends it too."""
        query = select(sessions).where(
            sessions.c.tenant == self._tenant, sessions.c.id == session_id
        )
        row = connection.execute(query).mappings().first()
        if row is None:
            return None
        session = self._session(dict(row))
        return session if self._is_alive(session, now_ns) else None

    def needs_touch(self, session: Session, now_ns: int) -> bool:
        """Whether its last use is old enough to be worth a write."""
        return now_ns - session.used_ns >= self._settings.touch_ns

    def touch(self, connection: Connection, session_id: str, now_ns: int) -> None:
        """Note a use; a session that was revoked meanwhile stays revoked."""
        session = self.find(connection, session_id, now_ns)
        if session is not None:
            connection.execute(
                update(sessions)
                .where(sessions.c.tenant == self._tenant, sessions.c.id == session_id)
                .values(self._row(replace(session, used_ns=now_ns)))
            )

    def revoke(self, connection: Connection, session_id: str) -> None:
        """End one session."""
        connection.execute(
            delete(sessions).where(sessions.c.tenant == self._tenant, sessions.c.id == session_id)
        )

    def revoke_user(self, connection: Connection, user_id: str) -> int:
        """End all sessions of a user; how many there were."""
        return connection.execute(
            delete(sessions).where(sessions.c.tenant == self._tenant, sessions.c.user_id == user_id)
        ).rowcount

    def purge(self, connection: Connection, now_ns: int) -> int:
        """Remove what has expired; how many rows."""
        idle = sessions.c.used_ns < now_ns - self._settings.idle_ns
        old = sessions.c.created_ns < now_ns - self._settings.absolute_ns
        return connection.execute(
            delete(sessions).where(sessions.c.tenant == self._tenant, idle | old)
        ).rowcount

    def _is_alive(self, session: Session, now_ns: int) -> bool:
        age_ns, idle_ns = now_ns - session.created_ns, now_ns - session.used_ns
        slack_ns = self._settings.touch_ns
        return (
            -slack_ns <= age_ns < self._settings.absolute_ns
            and -slack_ns <= idle_ns < self._settings.idle_ns
        )

    def _trim(self, connection: Connection, user_id: str) -> None:
        query = (
            select(sessions.c.id)
            .where(sessions.c.tenant == self._tenant, sessions.c.user_id == user_id)
            .order_by(sessions.c.used_ns.desc())
            .offset(self._settings.per_user_max - 1)
        )
        for session_id in connection.scalars(query).all():
            self.revoke(connection, session_id)

    def _row(self, session: Session) -> dict[str, Cell]:
        row: dict[str, Cell] = {
            "tenant": self._tenant,
            "id": session.id,
            "user_id": session.user_id,
            "created_ns": session.created_ns,
            "used_ns": session.used_ns,
        }
        return self._seal.sealed(_TABLE, row)

    def _session(self, row: dict[str, Cell]) -> Session:
        self._seal.check(_TABLE, row)
        return Session(
            str(row["id"]), str(row["user_id"]), int(row["created_ns"]), int(row["used_ns"])
        )
