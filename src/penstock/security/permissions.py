"""The seven permissions and the built-in roles, as data.

A role is nothing but a name for permissions; what a person may do is a role on
a subtree of assets. There are no negative grants: their order would matter.
"""

from __future__ import annotations

from dataclasses import dataclass

PERMISSIONS = (
    "view",
    "acknowledge",
    "configure",
    "command",
    "approve",
    "audit",
    "administer",
)


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of permissions; `name` is also the key in the text catalogue."""

    name: str
    permissions: tuple[str, ...]

    def __post_init__(self) -> None:
        assert set(self.permissions) <= set(PERMISSIONS)


ROLES: dict[str, Role] = {
    role.name: role
    for role in (
        Role("viewer", ("view",)),
        Role("operator", ("view", "acknowledge", "command")),
        Role("engineer", ("view", "acknowledge", "configure", "command")),
        Role("auditor", ("view", "audit")),
        Role("administrator", PERMISSIONS),
    )
}
