"""Set-up, login, sessions, users: the decisions behind the routes."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from penstock.model import Refused
from penstock.model.time import DAY_NS, HOUR_NS, MINUTE_NS
from penstock.security import Entry, PasswordSettings, Principal, Security
from penstock.security.passwords import Passwords
from penstock.security.principal import RoleGrant, grants_of
from penstock.security.seal import RowSeal
from penstock.security.sessions import csrf_token, token_hash
from penstock.security.users import UserStore, new_user
from penstock.testing import FakeClock

PASSWORD = "correct horse battery"
HERE = "127.0.0.1"


async def who(security: Security, token: str) -> Principal:
    found = await security.logged_in(token)
    assert found is not None
    return found.principal


async def refusal_of(login: object) -> str:
    with pytest.raises(Refused) as caught:
        await login  # type: ignore[misc]
    return caught.value.code


async def test_setup_makes_the_one_administrator(security: Security, administrator: str) -> None:
    principal = await who(security, administrator)

    assert principal.roles == ("administrator",)
    assert security.is_set_up()


async def test_setup_token_works_once(security: Security) -> None:
    token = security.issue_setup_token()
    await security.set_up(token, "anna", "Anna", PASSWORD, "en", HERE)

    again = security.set_up(token, "bert", "Bert", PASSWORD, "en", HERE)

    assert await refusal_of(again) == "setup_done"


async def test_only_one_of_two_who_press_at_once_is_first(security: Security) -> None:
    token = security.issue_setup_token()

    found = await asyncio.gather(
        *(security.set_up(token, name, name, PASSWORD, "en", HERE) for name in ("a", "b")),
        return_exceptions=True,
    )

    assert 1 == sum(isinstance(item, str) for item in found)
    assert 1 == len(await security.users())


async def test_setup_token_ends_after_a_day(security: Security, clock: FakeClock) -> None:
    token = security.issue_setup_token()
    clock.advance(DAY_NS)

    late = security.set_up(token, "anna", "Anna", PASSWORD, "en", HERE)

    assert await refusal_of(late) == "wrong_setup_token"


async def test_a_new_link_voids_the_old_one(security: Security) -> None:
    old = security.issue_setup_token()
    security.issue_setup_token()

    late = security.set_up(old, "anna", "Anna", PASSWORD, "en", HERE)

    assert await refusal_of(late) == "wrong_setup_token"


async def test_setup_token_is_not_in_the_database(security: Security, database: Path) -> None:
    token = security.issue_setup_token()

    assert token.encode() not in _all_bytes(database)


@pytest.mark.usefixtures("administrator")
async def test_login_ignores_case_and_makes_a_new_session(security: Security) -> None:
    first = await security.log_in("ANNA", PASSWORD, HERE)
    second = await security.log_in("anna", PASSWORD, HERE)

    assert first != second
    assert (await who(security, first)).name == "anna"


@pytest.mark.usefixtures("administrator")
@pytest.mark.parametrize("name", ["anna", "nobody", "no\x00body", "x" * 200, ""])
async def test_wrong_login_never_says_what_was_wrong(security: Security, name: str) -> None:
    assert await refusal_of(security.log_in(name, "wrong password", HERE)) == "wrong_credentials"


async def test_short_password_is_refused(security: Security, administrator: str) -> None:
    principal = await who(security, administrator)

    add = security.add_user(principal, "bert", "Bert", "elevenchars", ["viewer"])

    assert await refusal_of(add) == "weak_password"


async def test_session_ends_when_idle(
    security: Security, administrator: str, clock: FakeClock
) -> None:
    clock.advance(12 * HOUR_NS)

    assert await security.logged_in(administrator) is None


async def test_used_session_lives_until_its_absolute_end(
    security: Security, administrator: str, clock: FakeClock
) -> None:
    lives = []
    for _ in range(15):
        clock.advance(11 * HOUR_NS + 59 * MINUTE_NS)
        lives.append(await security.logged_in(administrator) is not None)

    assert lives == [True] * 14 + [False]


async def test_revoked_session_is_gone_at_once(security: Security, administrator: str) -> None:
    principal = await who(security, administrator)
    alive_before = security.is_alive(principal)

    await security.log_out(principal)

    assert await security.logged_in(administrator) is None
    assert (alive_before, security.is_alive(principal)) == (True, False)


@pytest.mark.usefixtures("administrator")
async def test_the_oldest_of_too_many_sessions_ends(security: Security, clock: FakeClock) -> None:
    tokens = []
    for _ in range(21):
        clock.advance(1)
        tokens.append(await security.log_in("anna", PASSWORD, HERE))

    alive = [await security.logged_in(token) is not None for token in tokens]

    assert alive == [False] + [True] * 20


@pytest.mark.usefixtures("administrator")
async def test_session_token_is_not_in_the_database(security: Security, database: Path) -> None:
    token = await security.log_in("anna", PASSWORD, HERE)

    data = _all_bytes(database)
    assert token.encode() not in data
    assert csrf_token(token).encode() not in data
    assert token_hash(token).encode() in data


async def test_deleted_user_is_out_at_once(security: Security, administrator: str) -> None:
    principal = await who(security, administrator)
    bert = await security.add_user(principal, "bert", "Bert", PASSWORD, ["viewer"])
    token = await security.log_in("bert", PASSWORD, HERE)

    await security.delete_user(principal, bert.id)

    assert await security.logged_in(token) is None
    assert await refusal_of(security.log_in("bert", PASSWORD, HERE)) == "wrong_credentials"
    await security.add_user(principal, "bert", "Another", PASSWORD, ["viewer"])


async def test_a_new_password_logs_the_old_one_out(security: Security, administrator: str) -> None:
    principal = await who(security, administrator)
    bert = await security.add_user(principal, "bert", "Bert", PASSWORD, ["viewer"])
    token = await security.log_in("bert", PASSWORD, HERE)

    await security.set_password(principal, bert.id, PASSWORD + " staple")

    assert await security.logged_in(token) is None
    assert await refusal_of(security.log_in("bert", PASSWORD, HERE)) == "wrong_credentials"
    assert await security.log_in("bert", PASSWORD + " staple", HERE)
    assert "user.password" in [record.entry.action for record in security.audit.page(None, 9)]


async def test_last_administrator_stays(security: Security, administrator: str) -> None:
    principal = await who(security, administrator)
    user_id = principal.id.removeprefix("user:")

    assert await refusal_of(security.delete_user(principal, user_id)) == "last_administrator"


async def test_names_are_unique_without_case(security: Security, administrator: str) -> None:
    principal = await who(security, administrator)

    add = security.add_user(principal, "Anna", "Other", PASSWORD, ["viewer"])

    assert await refusal_of(add) == "name_taken"


async def test_old_hash_is_replaced_at_login(
    security: Security, administrator: str, database: Path
) -> None:
    """Parameters grow with the years; who logs in gets the new ones without noticing."""
    security._passwords = Passwords(PasswordSettings(memory_kib=16, time_cost=2))

    await security.log_in("anna", PASSWORD, HERE)

    user = (await security.users())[0]
    assert "m=16,t=2,p=1" in user.password_hash


@pytest.mark.usefixtures("administrator")
@pytest.mark.parametrize(
    ("table", "column"), [("users", "grants"), ("users", "password_hash"), ("users", "is_enabled")]
)
async def test_flipped_user_row_is_refused_and_audited(
    security: Security, database: Path, table: str, column: str
) -> None:
    """Also a flip that is valid by itself: a viewer made administrator from outside."""
    with sqlite3.connect(database) as connection:
        value = connection.execute(f"SELECT {column} FROM {table}").fetchone()[0]
        connection.execute(f"UPDATE {table} SET {column} = ?", (_flipped(value),))
    connection.close()

    code = await refusal_of(security.log_in("anna", PASSWORD, HERE))

    assert code == "damaged_record"
    assert security.audit.page(None, 1)[0].entry.action == "state.row_damaged"


async def test_prolonged_session_row_is_refused(
    security: Security, administrator: str, database: Path
) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE sessions SET created_ns = created_ns + 1")
    connection.close()

    assert await refusal_of(security.logged_in(administrator)) == "damaged_record"


async def test_row_of_another_key_is_refused(
    security: Security, administrator: str, database: Path
) -> None:
    """A user row copied from another installation does not open this one."""
    user = new_user("mallory", "M", "x", ("administrator",), 1)
    store = UserStore(RowSeal(b"\1" * 32))
    await security._state.write(lambda connection: store.add(connection, user))

    assert await refusal_of(security.log_in("mallory", PASSWORD, HERE)) == "damaged_record"


def test_grants_reach_their_subtree_only() -> None:
    grants = grants_of([RoleGrant("operator", "plant/a"), RoleGrant("unknown")])
    bert = Principal("user:1", "bert", "Bert", ("operator",), grants)

    assert bert.may("command", "plant/a")
    assert bert.may("command", "plant/a/pump")
    assert not bert.may("command", "plant/ab")
    assert not bert.may("command")
    assert not bert.may("configure", "plant/a")
    assert bert.may_somewhere("command")
    assert bert.subtrees("command") == ("plant/a",)
    assert bert.permissions == ("view", "acknowledge", "command")


async def test_preferences_are_kept(security: Security, administrator: str) -> None:
    principal = await who(security, administrator)

    await security.change_preferences(principal, {"zone": "Europe/Berlin", "language": None})

    found = await security.logged_in(administrator)
    assert found is not None
    assert found.user.preferences == {"zone": "Europe/Berlin"}


async def test_tidy_purges_and_checks(
    security: Security, administrator: str, clock: FakeClock
) -> None:
    await security.audit.record(Entry("system", "test.done"))
    clock.advance(12 * HOUR_NS + 1)

    await security.tidy()

    assert security.audit.status().is_unbroken


def _all_bytes(database: Path) -> bytes:
    return b"".join(path.read_bytes() for path in database.parent.iterdir())


def _flipped(value: int | str) -> int | str:
    """One bit of the last but two characters, so that JSON stays JSON."""
    if isinstance(value, int):
        return value ^ 1
    return value[:-3] + chr(ord(value[-3]) ^ 1) + value[-2:]
