"""Deny by default: every route times every role, and the start that fails without a permission."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter
from running import PASSWORD, Running, facts
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from penstock.security import ROLES, Security, open_keys
from penstock.server.app import Services, create_app
from penstock.server.contract import PERMISSION_KEY
from penstock.state import State
from penstock.state.migrate import migrate

UNSAFE = ("post", "put", "patch", "delete")


def services(folder: Path, router: APIRouter) -> tuple[State, Services]:
    url = f"sqlite:///{folder}/state.db"
    migrate(url)
    state = State.open(url)
    security = Security(state, open_keys(folder / "keys"))
    return state, Services(security, facts, [router])


def test_route_without_permission_stops_the_start(tmp_path: Path) -> None:
    router = APIRouter()

    @router.get("/forgotten")
    async def get_forgotten() -> None: ...

    @router.websocket("/forgotten-live")
    async def live() -> None: ...

    state, made = services(tmp_path, router)

    with pytest.raises(AssertionError) as caught:
        create_app(made)

    state.close()
    assert "GET /api/v1/forgotten" in str(caught.value)
    assert "WS /api/v1/forgotten-live" in str(caught.value)
    assert "session" not in str(caught.value)


async def operations(client: httpx.AsyncClient) -> list[tuple[str, str, str]]:
    """Method, path and permission of each operation in the OpenAPI document."""
    document = (await client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    return [
        (method, path.removeprefix("/api/v1").replace("{user_id}", "x"), item[PERMISSION_KEY])
        for path, methods in document["paths"].items()
        for method, item in methods.items()
    ]


async def test_every_route_times_every_role(server: Running) -> None:
    """AZ-01: who lacks the permission gets 403, nobody gets 401, and no route is left out."""
    wrong = []
    async with server.set_up() as anna, server.client() as nobody:
        todo = await operations(anna)
        for role in ROLES.values():
            body = {
                "name": role.name,
                "display_name": "",
                "password": PASSWORD,
                "roles": [role.name],
            }
            assert (await anna.post("/users", json=body)).status_code == 201
            async with server.log_in(role.name) as client:
                for method, path, permission in todo:
                    if permission == "public" or (method, path) == ("delete", "/session"):
                        continue
                    json = {} if method in UNSAFE else None
                    answer = await client.request(method, path, json=json)
                    is_let_in = answer.status_code not in {401, 403}
                    if is_let_in != (permission in role.permissions):
                        wrong.append((role.name, method, path, answer.status_code))
        for method, path, permission in todo:
            if permission != "public":
                json = {} if method in UNSAFE else None
                answer = await nobody.request(method, path, json=json)
                if answer.status_code not in {401, 422}:
                    wrong.append(("nobody", method, path, answer.status_code))

    assert wrong == []
    assert len(todo) > 12


async def test_errors_are_documented_as_they_are_sent(server: Running) -> None:
    async with server.set_up() as anna:
        document = (await anna.get("/openapi.json")).json()
        sent = (await anna.post("/users", json={})).json()

    for methods in document["paths"].values():
        for operation in methods.values():
            assert "422" not in operation["responses"]
            assert "application/problem+json" in operation["responses"]["default"]["content"]
    schema = document["components"]["schemas"]["Problem"]
    assert set(schema["required"]) <= set(sent) <= set(schema["properties"])


async def test_openapi_is_not_public(server: Running) -> None:
    await server.set_up_only()
    async with server.client() as nobody:
        assert (await nobody.get("/openapi.json")).status_code == 401


async def test_live_route_needs_a_session(server: Running) -> None:
    url = f"ws://{server.ports.http}/api/v1/trial/live"
    async with server.set_up() as anna:
        cookie = {"cookie": f"penstock_session={anna.cookies['penstock_session']}"}
        with pytest.raises(InvalidStatus) as nobody:
            await connect(url)
        async with connect(url, additional_headers=cookie) as socket:
            assert await socket.recv() == "anna"
        with pytest.raises(InvalidStatus) as foreign:
            await connect(url, additional_headers=cookie, origin="http://evil.example")

    assert nobody.value.response.status_code == 401
    assert b"no_session" in nobody.value.response.body
    assert foreign.value.response.status_code == 403
