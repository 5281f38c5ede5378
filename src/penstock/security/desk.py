"""Security: the one object behind logins, sessions, users and the audit of a node.

Every decision that depends on stored rows is taken inside the writing work, so
that two people who press at once cannot both be the first administrator.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from penstock.model import Refused
from penstock.model.time import DAY_NS
from penstock.security.attempts import Attempts
from penstock.security.audit import Audit, Entry
from penstock.security.passwords import Passwords
from penstock.security.seal import RowDamaged, RowSeal
from penstock.security.sessions import SessionStore, csrf_token, new_token, token_hash
from penstock.security.settings import SecuritySettings
from penstock.security.setup import SetupStore
from penstock.security.users import (
    UserStore,
    checked_name,
    checked_roles,
    facts,
    new_user,
    normal_name,
    parse_user_id,
)
from penstock.world import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection

    from penstock.security.keys import NodeKeys
    from penstock.security.principal import Principal
    from penstock.security.sessions import Session
    from penstock.security.users import User
    from penstock.state import State
    from penstock.world import Clock

T = TypeVar("T")
ADMINISTRATOR = "administrator"
# No user can be called this: names have no blanks.
SETUP_NAME = "set-up link"


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """What a page needs after GET /session: who, and the token for unsafe requests."""

    user: User
    principal: Principal
    csrf: str


class Security:
    """Made once per node; all methods that write audit what they did."""

    def __init__(
        self,
        state: State,
        keys: NodeKeys,
        settings: SecuritySettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        settings = settings or SecuritySettings()
        self.keys = keys
        self._state = state
        self._settings = settings
        self._clock = clock or SystemClock()
        self.audit = Audit(state, keys, self._clock)
        seal = RowSeal(keys.seal)
        self._users = UserStore(seal)
        self._sessions = SessionStore(seal, settings.sessions)
        self._setup = SetupStore(seal, settings.setup_ns)
        self._passwords = Passwords(settings.passwords)
        self._attempts = Attempts()
        self._is_set_up = False
        self._whole_check_ns = 0

    # --- set-up

    def is_set_up(self) -> bool:
        """Whether there is a user; once true it stays true."""
        if not self._is_set_up:
            with self._state.read() as connection:
                self._is_set_up = self._users.count(connection) > 0
        return self._is_set_up

    def issue_setup_token(self) -> str:
        """A new one-time token; for the start and for `penstock setup-link`, not on the loop."""
        return self._state.write_blocking(self._issue)

    async def set_up(
        self, token: str, name: str, display_name: str, password: str, language: str, address: str
    ) -> str:
        """Make the first administrator and log in; the session token."""
        if self.is_set_up():
            raise Refused("setup_done")
        self._attempts.begin(SETUP_NAME, address, self._clock.monotonic_ns())
        hashed = await self._passwords.hash(password)
        session = new_token()

        def work(connection: Connection) -> None:
            now_ns = self._clock.now_ns()
            if self._users.count(connection) > 0:
                raise Refused("setup_done")
            self._setup.redeem(connection, token, now_ns)
            user = new_user(checked_name(name), display_name, hashed, (ADMINISTRATOR,), now_ns)
            user = replace(user, preferences={"language": language})
            self._users.add(connection, user)
            self._sessions.add(connection, session, user.id, now_ns)
            principal = user.principal().id
            self._note(connection, principal, "setup.done", principal, None, facts(user))

        try:
            await self._guarded_write(work)
        except Refused as refusal:
            await self._note_refusal("setup", "setup.refused", address, refusal)
            raise
        self._attempts.succeed(SETUP_NAME, address)
        return session

    # --- sessions

    async def log_in(self, name: str, password: str, address: str) -> str:
        """Check the password and begin a new session; its token."""
        folded = normal_name(name)
        self._attempts.begin(folded, address, self._clock.monotonic_ns())
        user = await self._guarded_read(lambda connection: self._users.by_name(connection, folded))
        is_right = await self._passwords.verify(user.password_hash if user else None, password)
        if user is None or not is_right or not user.is_enabled:
            await self._note_login_failed(user, address)
            raise Refused("wrong_credentials")
        self._attempts.succeed(folded, address)
        await self._rehash(user, password)
        token, user_id = new_token(), user.id

        def work(connection: Connection) -> None:
            self._live_user(connection, user_id)
            self._sessions.add(connection, token, user_id, self._clock.now_ns())
            principal = f"user:{user_id}"
            self._note(connection, principal, "session.login", principal, None, {"from": address})

        await self._guarded_write(work)
        return token

    async def logged_in(self, token: str) -> LoggedIn | None:
        """Who holds the token, None for an unknown, idle, old or revoked one."""
        now_ns, session_id = self._clock.now_ns(), token_hash(token)

        def find(connection: Connection) -> tuple[User, bool] | None:
            session = self._sessions.find(connection, session_id, now_ns)
            user = self._owner(connection, session)
            if session is None or user is None:
                return None
            return user, self._sessions.needs_touch(session, now_ns)

        found = await self._guarded_read(find)
        if found is None:
            return None
        user, needs_touch = found
        if needs_touch:
            await self._state.write(
                lambda connection: self._sessions.touch(connection, session_id, now_ns)
            )
        return LoggedIn(user, user.principal(session_id), csrf_token(token))

    def is_alive(self, principal: Principal) -> bool:
        """Whether the session behind a long-lived connection still stands; cheap enough a second.

        A principal without a session (the local socket) stays alive.
        """
        if not principal.session_id:
            return True

        def find(connection: Connection) -> bool:
            now_ns = self._clock.now_ns()
            session = self._sessions.find(connection, principal.session_id, now_ns)
            return self._owner(connection, session) is not None

        try:
            with self._state.read() as connection:
                return find(connection)
        except RowDamaged:
            return False

    async def log_out(self, principal: Principal) -> None:
        """End the principal's session at once."""

        def work(connection: Connection) -> None:
            self._sessions.revoke(connection, principal.session_id)
            self._note(connection, principal.id, "session.logout", principal.id)

        await self._state.write(work)

    async def change_preferences(
        self, principal: Principal, changes: Mapping[str, str | None]
    ) -> None:
        """Set or, with None, clear the user's own language, zone, theme, density."""

        def work(connection: Connection) -> None:
            user = self._live_user(connection, principal.id.removeprefix("user:"))
            wanted = {**user.preferences, **changes}
            kept = {name: value for name, value in wanted.items() if value is not None}
            self._users.replace(connection, replace(user, preferences=kept))

        await self._guarded_write(work)

    # --- users

    async def users(self) -> list[User]:
        """All users that are not deleted."""
        return await self._guarded_read(self._users.all)

    def principal_names(self) -> dict[str, str]:
        """Name by principal id, also of deleted users."""
        with self._state.read() as connection:
            return self._users.names(connection)

    async def add_user(
        self,
        principal: Principal,
        name: str,
        display_name: str,
        password: str,
        roles: Sequence[str],
    ) -> User:
        """A new user with roles on the whole plant."""
        checked, role_names = checked_name(name), checked_roles(roles)
        hashed = await self._passwords.hash(password)
        user = new_user(checked, display_name, hashed, role_names, self._clock.now_ns())
        await self._guarded_write(lambda connection: self._add_user(connection, principal.id, user))
        return user

    async def delete_user(self, principal: Principal, user_id: str) -> None:
        """Delete a user and end the sessions; the last administrator stays."""
        checked = parse_user_id(user_id)

        def work(connection: Connection) -> None:
            user = self._live_user(connection, checked)
            if ADMINISTRATOR in user.roles and self._administrators(connection) == 1:
                raise Refused("last_administrator", name=user.name)
            self._users.replace(connection, replace(user, deleted_ns=self._clock.now_ns()))
            self._sessions.revoke_user(connection, user.id)
            self._note(connection, principal.id, "user.delete", f"user:{user.id}", facts(user))

        await self._guarded_write(work)

    async def set_password(self, principal: Principal, user_id: str, password: str) -> None:
        """Another password; who is logged in with the old one is logged out."""
        checked = parse_user_id(user_id)
        hashed = await self._passwords.hash(password)

        def work(connection: Connection) -> None:
            user = self._live_user(connection, checked)
            self._users.replace(connection, replace(user, password_hash=hashed))
            self._sessions.revoke_user(connection, user.id)
            self._note(connection, principal.id, "user.password", f"user:{user.id}")

        await self._guarded_write(work)

    # --- care

    async def tidy(self) -> None:
        """Remove expired sessions and check the audit chain; the node calls it now and then.

        The whole chain once a day, otherwise what has come since the last check.
        """
        now_ns = self._clock.now_ns()
        await self._state.write(lambda connection: self._sessions.purge(connection, now_ns))
        is_whole = now_ns - self._whole_check_ns >= DAY_NS
        await self.audit.check(is_whole)
        if is_whole:
            self._whole_check_ns = now_ns

    def statistics(self) -> dict[str, int]:
        """Counts of the brute-force guard."""
        return {f"login_{name}": value for name, value in self._attempts.statistics().items()}

    def close(self) -> None:
        """End the password thread."""
        self._passwords.close()

    # --- private

    def _issue(self, connection: Connection) -> str:
        if self._users.count(connection) > 0:
            raise Refused("setup_done")
        self._note(connection, "system", "setup.link", "")
        return self._setup.issue(connection, self._clock.now_ns())

    def _add_user(self, connection: Connection, principal_id: str, user: User) -> None:
        if self._users.count(connection) >= self._settings.users_max:
            raise Refused("too_large", "There are too many users.")
        self._users.add(connection, user)
        self._setup.clear(connection)
        self._note(connection, principal_id, "user.create", f"user:{user.id}", None, facts(user))

    def _administrators(self, connection: Connection) -> int:
        found = self._users.all(connection)
        return sum(ADMINISTRATOR in user.roles and user.is_enabled for user in found)

    def _live_user(self, connection: Connection, user_id: str) -> User:
        user = self._users.by_id(connection, user_id)
        if user is None or user.deleted_ns or not user.is_enabled:
            raise Refused("not_found")
        return user

    async def _rehash(self, user: User, password: str) -> None:
        if not self._passwords.is_outdated(user.password_hash):
            return
        hashed = await self._passwords.hash(password)

        def work(connection: Connection) -> None:
            current = self._live_user(connection, user.id)
            if current.password_hash == user.password_hash:
                self._users.replace(connection, replace(current, password_hash=hashed))

        await self._guarded_write(work)

    def _owner(self, connection: Connection, session: Session | None) -> User | None:
        """The user of a session, if there still is one who may log in."""
        user = self._users.by_id(connection, session.user_id) if session else None
        return user if user and user.is_enabled and not user.deleted_ns else None

    async def _guarded_read(self, read: Callable[[Connection], T]) -> T:
        """A damaged row refuses the read and is recorded."""
        try:
            with self._state.read() as connection:
                return read(connection)
        except RowDamaged as damage:
            await self._note_damage(damage)
            raise

    async def _guarded_write(self, work: Callable[[Connection], T]) -> T:
        """A damaged row refuses the work and is recorded in a work of its own."""
        try:
            return await self._state.write(work)
        except RowDamaged as damage:
            await self._note_damage(damage)
            raise

    async def _note_damage(self, damage: RowDamaged) -> None:
        await self.audit.record(
            Entry("system", "state.row_damaged", f"{damage.table}:{damage.key}", outcome="refused")
        )

    async def _note_refusal(
        self, principal: str, action: str, address: str, refusal: Refused
    ) -> None:
        await self.audit.record(
            Entry(principal, action, new={"from": address}, outcome=refusal.code)
        )

    async def _note_login_failed(self, user: User | None, address: str) -> None:
        """The name of an unknown user is not kept: it may be a password typed into the field."""
        target = f"user:{user.id}" if user else ""
        await self.audit.record(
            Entry("anonymous", "session.login", target, None, {"from": address}, "refused")
        )

    def _note(
        self,
        connection: Connection,
        principal: str,
        action: str,
        target: str,
        old: dict[str, object] | None = None,
        new: Mapping[str, object] | None = None,
    ) -> None:
        self.audit.append(connection, Entry(principal, action, target, old, new))  # type: ignore[arg-type]
