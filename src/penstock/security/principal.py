"""Principal: who acts, and what they may do where.

It is a snapshot made for one request: a grant that is withdrawn is gone with
the next one, and long-lived connections ask again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.security.permissions import PERMISSIONS, ROLES

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class RoleGrant:
    """A role on the subtree at `asset_path`; the empty path is the whole plant."""

    role: str
    asset_path: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """One permission on the subtree at `asset_path`; the empty path is the whole plant."""

    permission: str
    asset_path: str = ""

    def covers(self, asset_path: str) -> bool:
        """Whether `asset_path` is the subtree's root or below it."""
        return (
            not self.asset_path
            or asset_path == self.asset_path
            or asset_path.startswith(self.asset_path + "/")
        )


@dataclass(frozen=True, slots=True)
class Principal:
    """A person, device or service that may act.

    `id` goes into records ("user:<uuid>", "local:<login>"), `name` onto the screen;
    `session_id` is set for a person with a browser session, else empty.
    """

    id: str
    name: str
    display_name: str
    roles: tuple[str, ...]
    grants: frozenset[Grant]
    session_id: str = ""

    def may(self, permission: str, asset_path: str = "") -> bool:
        """Whether the permission holds at `asset_path`; without a path: for the whole plant."""
        assert permission in PERMISSIONS, permission
        return any(
            grant.permission == permission and grant.covers(asset_path) for grant in self.grants
        )

    def may_somewhere(self, permission: str) -> bool:
        """Whether the permission holds at any asset at all."""
        assert permission in PERMISSIONS, permission
        return any(grant.permission == permission for grant in self.grants)

    def subtrees(self, permission: str) -> tuple[str, ...]:
        """Roots of the subtrees where the permission holds; ("",) is everything, () nothing."""
        paths = sorted({g.asset_path for g in self.grants if g.permission == permission})
        return ("",) if "" in paths else tuple(paths)

    @property
    def permissions(self) -> tuple[str, ...]:
        """Permissions held anywhere, in their usual order; for the screen, not for decisions."""
        return tuple(name for name in PERMISSIONS if self.may_somewhere(name))


def grants_of(roles: Iterable[RoleGrant]) -> frozenset[Grant]:
    """The permissions behind roles; a role that is unknown here gives nothing."""
    return frozenset(
        Grant(permission, grant.asset_path)
        for grant in roles
        if grant.role in ROLES
        for permission in ROLES[grant.role].permissions
    )


def local_principal(login: str) -> Principal:
    """Somebody at the machine's own socket: the owner of the data may do everything."""
    roles = (RoleGrant("administrator"),)
    return Principal(f"local:{login}", login, login, ("administrator",), grants_of(roles))
