"""Users: one sealed row each, with their grants in it, so that no grant can be slipped in.

A deleted user keeps the row, because audit entries name its id for years; the
name is free again.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import func, insert, select, update

from penstock.model import Refused
from penstock.model.identity import new_id
from penstock.security.permissions import ROLES
from penstock.security.principal import Principal, RoleGrant, grants_of
from penstock.security.tables import users
from penstock.state import DEFAULT_TENANT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from penstock.security.seal import Cell, RowSeal

NAME_PATTERN = r"[\w.@+-]{1,64}"
_NAME = re.compile(NAME_PATTERN + r"\Z")
_TABLE = "users"


@dataclass(frozen=True, slots=True)
class User:
    """A person with a password. `preferences` are language, zone, theme, density."""

    id: str
    name: str
    display_name: str
    password_hash: str
    grants: tuple[RoleGrant, ...]
    preferences: Mapping[str, str] = field(default_factory=dict)
    is_enabled: bool = True
    created_ns: int = 0
    deleted_ns: int = 0

    @property
    def roles(self) -> tuple[str, ...]:
        """Role names without repetition."""
        return tuple(dict.fromkeys(grant.role for grant in self.grants))

    def principal(self, session_id: str = "") -> Principal:
        """What this user may do, as of now."""
        return Principal(
            f"user:{self.id}",
            self.name,
            self.display_name,
            self.roles,
            grants_of(self.grants),
            session_id,
        )


def normal_name(name: str) -> str:
    """Names are compared without case and in one Unicode form; "" for what cannot be a name."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return folded if _NAME.match(folded) else ""


def new_user(
    name: str, display_name: str, password_hash: str, roles: tuple[str, ...], now_ns: int
) -> User:
    """A user with roles on the whole plant; the caller has checked the name."""
    assert normal_name(name) == name
    assert set(roles) <= set(ROLES)
    grants = tuple(RoleGrant(role) for role in roles)
    return User(str(new_id(now_ns)), name, display_name, password_hash, grants, created_ns=now_ns)


class UserStore:
    """Reads and writes sealed rows within a given transaction."""

    def __init__(self, seal: RowSeal, tenant: str = DEFAULT_TENANT) -> None:
        self._seal = seal
        self._tenant = tenant

    def count(self, connection: Connection) -> int:
        """Users that are not deleted."""
        query = select(func.count()).where(users.c.tenant == self._tenant, users.c.deleted_ns == 0)
        return int(connection.scalar(query) or 0)

    def all(self, connection: Connection) -> list[User]:
        """Users that are not deleted, by name; one damaged row refuses the list."""
        query = select(users).where(users.c.tenant == self._tenant, users.c.deleted_ns == 0)
        rows = connection.execute(query.order_by(users.c.name)).mappings()
        return [self._user(dict(row)) for row in rows]

    def by_name(self, connection: Connection, name: str) -> User | None:
        """The user who logs in by `name`."""
        query = select(users).where(
            users.c.tenant == self._tenant, users.c.name == name, users.c.deleted_ns == 0
        )
        row = connection.execute(query).mappings().first()
        return None if row is None else self._user(dict(row))

    def by_id(self, connection: Connection, user_id: str) -> User | None:
        """The user, also a deleted one."""
        query = select(users).where(users.c.tenant == self._tenant, users.c.id == user_id)
        row = connection.execute(query).mappings().first()
        return None if row is None else self._user(dict(row))

    def names(self, connection: Connection) -> dict[str, str]:
        """Name by principal id, of all users there ever were, for reading the audit."""
        query = select(users.c.id, users.c.name).where(users.c.tenant == self._tenant)
        return {f"user:{row.id}": row.name for row in connection.execute(query)}

    def add(self, connection: Connection, user: User) -> None:
        """Store a new user; a name that is taken is refused."""
        if self.by_name(connection, user.name) is not None:
            raise Refused("name_taken", name=user.name)
        connection.execute(insert(users).values(self._row(user)))

    def replace(self, connection: Connection, user: User) -> None:
        """Store all columns of a user who is there."""
        found = connection.execute(
            update(users)
            .where(users.c.tenant == self._tenant, users.c.id == user.id)
            .values(self._row(user))
        )
        assert found.rowcount == 1

    def _row(self, user: User) -> dict[str, Cell]:
        row: dict[str, Cell] = {
            "tenant": self._tenant,
            "id": user.id,
            "name": user.name,
            "display_name": user.display_name,
            "password_hash": user.password_hash,
            "grants": json.dumps([asdict(grant) for grant in user.grants]),
            "preferences": json.dumps(dict(user.preferences)),
            "is_enabled": user.is_enabled,
            "created_ns": user.created_ns,
            "deleted_ns": user.deleted_ns,
        }
        return self._seal.sealed(_TABLE, row)

    def _user(self, row: dict[str, Cell]) -> User:
        self._seal.check(_TABLE, row)
        return User(
            id=str(row["id"]),
            name=str(row["name"]),
            display_name=str(row["display_name"]),
            password_hash=str(row["password_hash"]),
            grants=tuple(RoleGrant(**grant) for grant in json.loads(str(row["grants"]))),
            preferences=json.loads(str(row["preferences"])),
            is_enabled=bool(row["is_enabled"]),
            created_ns=int(row["created_ns"]),
            deleted_ns=int(row["deleted_ns"]),
        )


def parse_user_id(text: str) -> str:
    """The id in its one spelling, or the refusal that such a user does not exist."""
    try:
        return str(UUID(text))
    except ValueError:
        raise Refused("not_found") from None


def facts(user: User) -> dict[str, object]:
    """What the audit keeps of a user: rights, no name (see audit.py)."""
    return {
        "grants": [[grant.role, grant.asset_path] for grant in user.grants],
        "is_enabled": user.is_enabled,
    }


def checked_name(name: str) -> str:
    """The name as it is stored, or the refusal that says what a name is."""
    folded = normal_name(name)
    if not folded:
        raise Refused(
            "invalid_request", "A name has 1 to 64 letters, digits or . _ - + @ and no blanks."
        )
    return folded


def checked_roles(roles: Sequence[str]) -> tuple[str, ...]:
    """Known roles without repetition, at least one, or the refusal that lists them."""
    unknown = sorted(set(roles) - set(ROLES))
    if unknown or not roles:
        raise Refused("invalid_request", f"Roles are {', '.join(ROLES)}.", unknown=unknown)
    return tuple(dict.fromkeys(roles))
