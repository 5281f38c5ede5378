"""What the routes of this package take and give, as pydantic models.

Bodies are strict and refuse unknown fields; answers are exactly the contract
with the web app.
"""

# No `from __future__ import annotations`: pydantic reads the annotations at run time.
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

Language = Literal["en", "de"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


def _known_zone(zone: str) -> str:
    if zone not in available_timezones():
        raise ValueError("is not a time zone such as Europe/Berlin")
    return zone


Text = Annotated[str, Field(max_length=200)]
Secret = Annotated[str, Field(max_length=1_024)]
Zone = Annotated[str, Field(max_length=64), AfterValidator(_known_zone)]


class SetupBody(_Body):
    """The first administrator."""

    token: Secret
    name: Text
    display_name: Text | None = None
    password: Secret
    language: Language | None = None


class LoginBody(_Body):
    """Name and password."""

    name: Text
    password: Secret


class PreferencesBody(_Body):
    """What the user wants on the screen; null clears, absent leaves."""

    language: Language | None = None
    zone: Zone | None = None
    theme: Literal["system", "light", "dark", "night"] | None = None
    density: Literal["comfortable", "compact"] | None = None


class UserBody(_Body):
    """A new user."""

    name: Text
    display_name: Text = ""
    password: Secret
    roles: Annotated[list[str], Field(min_length=1, max_length=20)]


class PasswordBody(_Body):
    """Another password."""

    password: Secret


class PlantFacts(BaseModel):
    """What the login page shows of the plant."""

    name: str
    simulated: bool
    zone: str
    language: Language


class NodeFacts(BaseModel):
    """Identity of the node that answers."""

    id: str
    name: str


class Facts(BaseModel):
    """What does not depend on who asks; the node knows it."""

    version: str
    ui_build: str
    plant: PlantFacts
    node: NodeFacts


class SessionUser(BaseModel):
    """The user of the session."""

    id: str
    name: str
    display_name: str
    roles: list[str]
    language: Language | None
    zone: str | None
    theme: str | None
    density: str | None


class SessionAnswer(Facts):
    """Answer of GET, POST and PATCH /session and of POST /setup."""

    state: Literal["setup", "login", "ok"]
    user: SessionUser | None = None
    permissions: list[str] | None = None
    csrf: str | None = None


class UserAnswer(BaseModel):
    """A user as an administrator sees one."""

    id: str
    name: str
    display_name: str
    roles: list[str]
    enabled: bool
    created: str


class UsersAnswer(BaseModel):
    """All users."""

    users: list[UserAnswer]


class SetupTokenAnswer(BaseModel):
    """The token in clear text, told once."""

    token: str


class RoleAnswer(BaseModel):
    """A role and its permissions."""

    name: str
    permissions: list[str]


class RolesAnswer(BaseModel):
    """All roles."""

    roles: list[RoleAnswer]


class AuditEntry(BaseModel):
    """One audited change; `principal` is a name where one is known."""

    id: str
    time_ns: str
    principal: str
    action: str
    object: str
    old: JsonValue
    new: JsonValue
    outcome: str


class AuditAnswer(BaseModel):
    """Entries, newest first."""

    entries: list[AuditEntry]
    cursor: str | None
