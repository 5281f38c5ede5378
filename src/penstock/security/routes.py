"""HTTP of sessions, set-up, users, roles and audit; and `requires`, which every route needs.

A route without `requires` or `public` stops the start of the server, so that a
forgotten check is a failed start and not an open door.
"""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
import asyncio
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.params import Depends as Dependency
from fastapi.requests import HTTPConnection

from penstock.model import Refused
from penstock.model.time import format_ns
from penstock.security.access import PUBLIC, Access
from penstock.security.audit import PAGE_MAX
from penstock.security.desk import LoggedIn, Security
from penstock.security.permissions import ROLES
from penstock.security.principal import Principal, local_principal
from penstock.security.users import User
from penstock.security.wire import (
    AuditAnswer,
    AuditEntry,
    Facts,
    LoginBody,
    PasswordBody,
    PreferencesBody,
    RoleAnswer,
    RolesAnswer,
    SessionAnswer,
    SessionUser,
    SetupBody,
    SetupTokenAnswer,
    UserAnswer,
    UserBody,
    UsersAnswer,
)

COOKIE = "penstock_session"
# A cookie of this prefix is only accepted over TLS and cannot be planted by a neighbour.
COOKIE_TLS = "__Host-penstock_session"


# --- who is asking


@dataclass(frozen=True)
class AccessCheck:
    """The dependency behind `requires` and `public`; the server looks for its `access`."""

    access: Access

    async def __call__(self, connection: HTTPConnection) -> Principal | None:
        """The principal, or the refusal."""
        if self.access.permission == PUBLIC:
            return None
        principal = await current_principal(connection)
        is_allowed = (
            principal.may_somewhere(self.access.permission)
            if self.access.is_anywhere
            else principal.may(self.access.permission)
        )
        if not is_allowed:
            raise Refused("not_permitted", permission=self.access.permission)
        return principal


def requires(permission: str, *, is_anywhere: bool = False) -> Dependency:
    """Mark a route with the permission it needs; use it as a dependency or for the principal.

        @router.get("/points", dependencies=[requires("view", is_anywhere=True)])
        async def points(who: Annotated[Principal, requires("view", is_anywhere=True)]) -> ...

    The permission must hold for the whole plant. With `is_anywhere` one subtree
    is enough, and the handler promises to narrow its answer by
    `who.may(permission, asset_path)`. Works on WebSocket routes too.
    """
    return Dependency(AccessCheck(Access(permission, is_anywhere)))


def public() -> Dependency:
    """Mark a route that anybody may use, logged in or not. There are very few."""
    return Dependency(AccessCheck(Access(PUBLIC)))


async def current_principal(connection: HTTPConnection) -> Principal:
    """Who asks: the owner at the local socket, or the user behind the session cookie."""
    uid = connection.scope.get("state", {}).get("peer_uid")
    if uid is not None:
        return local_principal(_login(uid))
    found = await _logged_in(connection)
    if found is None:
        raise Refused("no_session" if _security(connection).is_set_up() else "setup_needed")
    return found.principal


def session_token(connection: HTTPConnection) -> str:
    """The session cookie's value, empty without one."""
    return connection.cookies.get(_cookie_name(connection), "")


def _security(connection: HTTPConnection) -> Security:
    security = connection.app.state.security
    assert isinstance(security, Security)
    return security


async def _logged_in(connection: HTTPConnection) -> LoggedIn | None:
    token = session_token(connection)
    return await _security(connection).logged_in(token) if token else None


def _cookie_name(connection: HTTPConnection) -> str:
    return COOKIE_TLS if connection.url.scheme in {"https", "wss"} else COOKIE


def _login(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _address(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else "local"


# --- routes


def security_router(security: Security, facts: Callable[[], Facts]) -> APIRouter:
    """Routes below /api/v1; `facts` is asked at each GET /session."""
    router = APIRouter()
    anybody = APIRouter(dependencies=[public()], tags=["session"])
    _add_public_routes(anybody, security, facts)
    router.include_router(anybody)
    _add_session_routes(router, security, facts)
    _add_user_routes(router, security)
    _add_audit_route(router, security)
    return router


Administrator = Annotated[Principal, requires("administer")]


def _add_public_routes(router: APIRouter, security: Security, facts: Callable[[], Facts]) -> None:
    @router.get("/session", response_model_exclude_unset=True)
    async def get_session(connection: HTTPConnection) -> SessionAnswer:
        """Who I am, and what the page needs to begin."""
        return _session_answer(facts(), security, await _logged_in(connection))

    @router.post("/setup", response_model_exclude_unset=True)
    async def post_setup(
        body: SetupBody, connection: HTTPConnection, response: Response
    ) -> SessionAnswer:
        """Make the first administrator with the one-time token."""
        token = await security.set_up(
            body.token,
            body.name,
            body.display_name or body.name,
            body.password,
            body.language or facts().plant.language,
            _address(connection),
        )
        return await _begun(connection, response, token)

    @router.post("/session", response_model_exclude_unset=True)
    async def post_session(
        body: LoginBody, connection: HTTPConnection, response: Response
    ) -> SessionAnswer:
        """Log in; always a new session, whatever cookie came along."""
        token = await security.log_in(body.name, body.password, _address(connection))
        return await _begun(connection, response, token)

    async def _begun(connection: HTTPConnection, response: Response, token: str) -> SessionAnswer:
        old = await _logged_in(connection)
        if old is not None:
            await security.log_out(old.principal)
        _set_cookie(connection, response, token)
        return _session_answer(facts(), security, await security.logged_in(token))


def _add_session_routes(router: APIRouter, security: Security, facts: Callable[[], Facts]) -> None:
    """For any permission at all there is "view"; every role has it."""
    own = Annotated[Principal, requires("view", is_anywhere=True)]

    @router.delete("/session", status_code=HTTPStatus.NO_CONTENT, tags=["session"])
    async def delete_session(
        who: own,
        connection: HTTPConnection,
        response: Response,
    ) -> None:
        """Log out."""
        await security.log_out(who)
        name = _cookie_name(connection)
        response.delete_cookie(name, path="/", secure=name == COOKIE_TLS, httponly=True)

    @router.patch("/session", response_model_exclude_unset=True, tags=["session"])
    async def patch_session(
        who: own,
        body: PreferencesBody,
        connection: HTTPConnection,
    ) -> SessionAnswer:
        """Change my language, zone, theme or density."""
        await security.change_preferences(who, body.model_dump(exclude_unset=True))
        return _session_answer(facts(), security, await _logged_in(connection))


def _add_user_routes(router: APIRouter, security: Security) -> None:
    @router.get("/users", tags=["users"])
    async def get_users(_who: Administrator) -> UsersAnswer:
        """All users."""
        return UsersAnswer(users=[_user_answer(user) for user in await security.users()])

    @router.post("/users", status_code=HTTPStatus.CREATED, tags=["users"])
    async def post_user(who: Administrator, body: UserBody) -> UserAnswer:
        """Make a user."""
        display_name = body.display_name or body.name
        user = await security.add_user(who, body.name, display_name, body.password, body.roles)
        return _user_answer(user)

    @router.delete("/users/{user_id}", status_code=HTTPStatus.NO_CONTENT, tags=["users"])
    async def delete_user(who: Administrator, user_id: str) -> None:
        """Delete a user and end the sessions."""
        await security.delete_user(who, user_id)

    @router.put("/users/{user_id}/password", status_code=HTTPStatus.NO_CONTENT, tags=["users"])
    async def put_password(who: Administrator, user_id: str, body: PasswordBody) -> None:
        """Set a user's password and end the sessions."""
        await security.set_password(who, user_id, body.password)

    @router.post("/setup-token", status_code=HTTPStatus.CREATED, tags=["users"])
    async def post_setup_token(_who: Administrator) -> SetupTokenAnswer:
        """A new one-time token; before the set-up only the local socket gets this far."""
        return SetupTokenAnswer(token=await asyncio.to_thread(security.issue_setup_token))

    @router.get("/roles", dependencies=[requires("view", is_anywhere=True)], tags=["users"])
    async def get_roles() -> RolesAnswer:
        """The built-in roles."""
        roles = [
            RoleAnswer(name=role.name, permissions=list(role.permissions))
            for role in ROLES.values()
        ]
        return RolesAnswer(roles=roles)


def _add_audit_route(router: APIRouter, security: Security) -> None:
    @router.get("/audit", dependencies=[requires("audit")], tags=["audit"])
    async def get_audit(
        cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,18}$")] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> AuditAnswer:
        """Audit entries, newest first."""
        names = security.principal_names()
        records = security.audit.page(None if cursor is None else int(cursor), limit)
        entries = [
            AuditEntry(
                id=record.id,
                time_ns=str(record.time_ns),
                principal=names.get(record.entry.principal, record.entry.principal),
                action=record.entry.action,
                object=record.entry.object,
                old=record.entry.old,
                new=record.entry.new,
                outcome=record.entry.outcome,
            )
            for record in records
        ]
        is_more = len(records) == limit and records[-1].number > 1
        return AuditAnswer(entries=entries, cursor=str(records[-1].number) if is_more else None)


def _session_answer(facts: Facts, security: Security, found: LoggedIn | None) -> SessionAnswer:
    fixed = facts.model_dump()
    if found is None:
        return SessionAnswer(state="login" if security.is_set_up() else "setup", **fixed)
    user = found.user
    return SessionAnswer(
        state="ok",
        user=SessionUser(
            id=user.id,
            name=user.name,
            display_name=user.display_name,
            roles=list(user.roles),
            language=user.preferences.get("language"),
            zone=user.preferences.get("zone"),
            theme=user.preferences.get("theme"),
            density=user.preferences.get("density"),
        ),
        permissions=list(found.principal.permissions),
        csrf=found.csrf,
        **fixed,
    )


def _user_answer(user: User) -> UserAnswer:
    return UserAnswer(
        id=user.id,
        name=user.name,
        display_name=user.display_name,
        roles=list(user.roles),
        enabled=user.is_enabled,
        created=format_ns(user.created_ns),
    )


def _set_cookie(connection: HTTPConnection, response: Response, token: str) -> None:
    """A cookie of the browser session: the server decides when it ends."""
    name = _cookie_name(connection)
    response.set_cookie(
        name, token, path="/", secure=name == COOKIE_TLS, httponly=True, samesite="strict"
    )
