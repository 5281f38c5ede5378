"""The contract of /session, /setup, /users, /roles and /audit, over a real socket."""

from __future__ import annotations

import sqlite3

import httpx
from running import PASSWORD, Running, with_csrf

from penstock.model.time import HOUR_NS

FIXED = {
    "version": "0.1.0",
    "plant": {"name": "Works", "simulated": True, "zone": "Europe/Berlin", "language": "en"},
    "node": {"id": "00000000-0000-7000-8000-000000000001", "name": "node"},
}


def code(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["type"] == f"/problems/{body['code']}"
    assert {"title", "detail", "remedy", "params"} <= set(body)
    return str(body["code"])


def without_build(answer: httpx.Response) -> dict[str, object]:
    return {key: value for key, value in answer.json().items() if key != "ui_build"}


async def test_states_setup_login_ok(server: Running) -> None:
    async with server.client() as nobody:
        before = await nobody.get("/session")
        async with server.set_up() as anna:
            after = await nobody.get("/session")
            mine = await anna.get("/session")

    assert without_build(before) == {**FIXED, "state": "setup"}
    assert without_build(after) == {**FIXED, "state": "login"}
    body = without_build(mine)
    assert body.pop("csrf")
    user = body.pop("user")
    assert isinstance(user, dict)
    assert user.pop("id")
    assert user == {
        "name": "anna",
        "display_name": "anna",
        "roles": ["administrator"],
        "language": "en",
        "zone": None,
        "theme": None,
        "density": None,
    }
    assert body.pop("permissions") == [
        "view", "acknowledge", "configure", "command", "approve", "audit", "administer"
    ]  # fmt: skip
    assert body == {**FIXED, "state": "ok"}


async def test_before_setup_everything_else_says_so(server: Running) -> None:
    async with server.client() as nobody:
        assert code(await nobody.get("/users")) == "setup_needed"
        wrong = {"token": "0" * 32, "name": "anna", "password": PASSWORD}
        assert code(await nobody.post("/setup", json=wrong)) == "wrong_setup_token"


async def test_setup_is_over_after_use(server: Running) -> None:
    async with server.set_up() as anna:
        body = {"token": "0" * 32, "name": "bert", "password": PASSWORD}

        assert code(await anna.post("/setup", json=body)) == "setup_done"


async def test_cookie_is_not_for_scripts_or_other_sites(server: Running) -> None:
    await server.set_up_only()
    async with server.client() as client:
        body = {"name": "anna", "password": PASSWORD}
        cookie = (await client.post("/session", json=body)).headers["set-cookie"]

    assert cookie.startswith("penstock_session=")
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))


async def test_planted_session_is_not_taken_over(server: Running) -> None:
    """Session fixation: whoever planted a cookie does not share what the victim logs into."""
    await server.set_up_only()
    async with server.client() as client:
        client.cookies.set("penstock_session", "planted-by-mallory")
        body = {"name": "anna", "password": PASSWORD}
        with_csrf(client, await client.post("/session", json=body))
    async with server.client() as mallory:
        mallory.cookies.set("penstock_session", "planted-by-mallory")

        assert (await mallory.get("/session")).json()["state"] == "login"


async def test_login_again_ends_the_old_session(server: Running) -> None:
    async with server.set_up() as anna, server.client() as old:
        old.cookies.set("penstock_session", anna.cookies["penstock_session"])
        await anna.post("/session", json={"name": "anna", "password": PASSWORD})

        assert code(await old.get("/users")) == "no_session"
        assert (await anna.get("/users")).status_code == 200


async def test_logout_revokes(server: Running) -> None:
    async with server.set_up() as anna, server.client() as thief:
        thief.cookies.set("penstock_session", anna.cookies["penstock_session"])

        answer = await anna.delete("/session")

        assert answer.status_code == 204
        assert "penstock_session" not in anna.cookies
        assert code(await thief.get("/users")) == "no_session"


async def test_idle_session_expires(server: Running) -> None:
    async with server.set_up() as anna:
        server.clock.advance(12 * HOUR_NS)

        assert code(await anna.get("/users")) == "no_session"


async def test_preferences(server: Running) -> None:
    async with server.set_up() as anna:
        await anna.patch("/session", json={"zone": "Asia/Tokyo", "theme": "dark"})
        answer = await anna.patch("/session", json={"theme": None})

        user = answer.json()["user"]
        assert (user["zone"], user["theme"], user["language"]) == ("Asia/Tokyo", None, "en")
        assert code(await anna.patch("/session", json={"zone": "Mars"})) == "invalid_request"


async def test_brute_force_is_throttled(server: Running) -> None:
    """UA-05: of 30 wrong logins at least 25 are throttled, and the answer says for how long."""
    await server.set_up_only()
    async with server.client() as mallory:
        body = {"name": "anna", "password": "wrong password"}
        answers = [await mallory.post("/session", json=body) for _ in range(30)]

    codes = [code(answer) for answer in answers]
    assert codes == ["wrong_credentials"] * 5 + ["too_many_attempts"] * 25
    assert answers[-1].headers["retry-after"] == "1"


async def test_unknown_name_answers_the_same(server: Running) -> None:
    await server.set_up_only()
    async with server.client() as mallory:
        found = [
            await mallory.post("/session", json={"name": name, "password": "wrong password"})
            for name in ("anna", "nobody")
        ]

    assert found[0].content == found[1].content
    assert found[0].status_code == 401


async def test_users_come_and_go(server: Running) -> None:
    async with server.set_up() as anna:
        body = {"name": "bert", "display_name": "Bert", "password": PASSWORD, "roles": ["operator"]}
        made = await anna.post("/users", json=body)
        names = [user["name"] for user in (await anna.get("/users")).json()["users"]]
        gone = await anna.delete(f"/users/{made.json()['id']}")

        assert made.status_code == 201
        assert "password" not in made.text
        assert names == ["anna", "bert"]
        assert gone.status_code == 204
        assert code(await anna.delete(f"/users/{made.json()['id']}")) == "not_found"
        assert code(await anna.delete("/users/nonsense")) == "not_found"


async def test_users_are_checked(server: Running) -> None:
    async with server.set_up() as anna:
        good = {"name": "bert", "display_name": "Bert", "password": PASSWORD, "roles": ["viewer"]}
        cases = {
            "weak_password": {"password": "short"},
            "name_taken": {"name": "ANNA"},
            "invalid_request": {"roles": ["god"]},
        }
        found = {
            name: code(await anna.post("/users", json={**good, **change}))
            for name, change in cases.items()
        }
        unknown = await anna.post("/users", json={**good, "is_admin": True, "password": 5})

    assert found == {name: name for name in cases}
    assert {item["path"] for item in unknown.json()["errors"]} == {"is_admin", "password"}


async def test_last_administrator_stays(server: Running) -> None:
    async with server.set_up() as anna:
        own = (await anna.get("/session")).json()["user"]["id"]

        assert code(await anna.delete(f"/users/{own}")) == "last_administrator"


async def test_roles(server: Running) -> None:
    async with server.set_up() as anna:
        roles = (await anna.get("/roles")).json()["roles"]

    assert {role["name"]: len(role["permissions"]) for role in roles} == {
        "viewer": 1, "operator": 3, "engineer": 4, "auditor": 2, "administrator": 7
    }  # fmt: skip


async def test_audit_pages_name_people(server: Running) -> None:
    async with server.set_up() as anna:
        await anna.post("/session", json={"name": "anna", "password": PASSWORD})
        first = (await anna.get("/audit", params={"limit": 2})).json()
        second = (await anna.get("/audit", params={"cursor": first["cursor"]})).json()

    entries = first["entries"] + second["entries"]
    found = [(entry["action"], entry["principal"]) for entry in entries]
    assert found == [
        ("session.logout", "anna"),
        ("session.login", "anna"),
        ("setup.done", "anna"),
        ("setup.link", "system"),
    ]
    assert second["cursor"] is None
    assert set(entries[0]) == {
        "id", "time_ns", "principal", "action", "object", "old", "new", "outcome"
    }  # fmt: skip
    assert isinstance(entries[0]["time_ns"], str)


async def test_flipped_user_is_refused_at_the_next_request(server: Running) -> None:
    async with server.set_up() as anna:
        with sqlite3.connect(server.database) as connection:
            connection.execute("UPDATE users SET display_name = 'annb'")
        connection.close()

        assert code(await anna.get("/users")) == "damaged_record"


async def test_local_socket_is_the_owner(server: Running) -> None:
    await server.set_up_only()
    transport = httpx.AsyncHTTPTransport(uds=str(server.ports.unix))
    async with httpx.AsyncClient(transport=transport, base_url="http://local/api/v1") as local:
        body = {"name": "bert", "display_name": "", "password": PASSWORD, "roles": ["viewer"]}
        made = await local.post("/users", json=body)
        entry = (await local.get("/audit", params={"limit": 1})).json()["entries"][0]

    assert made.status_code == 201
    assert entry["action"] == "user.create"
    assert entry["principal"].startswith("local:")
