"""What every request passes: Host, Origin, CSRF, headers, limits, and errors as problems."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from running import ANY_PORT, PASSWORD, Running, running, trial_router

from penstock.server.guards import host_name
from penstock.server.settings import ServerSettings


def code(answer: httpx.Response) -> str:
    return str(answer.json()["code"])


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost:9000", 200),
        ("LOCALHOST.", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("10.0.0.1", 421),
        ("x@127.0.0.1", 421),
        ("", 421),
    ],
)
async def test_only_our_own_names_are_answered(server: Running, host: str, status: int) -> None:
    """A name that is re-bound to 127.0.0.1 would make our page the attacker's."""
    async with server.client() as client:
        answer = await client.get("/session", headers={"host": host})

    assert answer.status_code == status


def test_host_names() -> None:
    assert host_name("[::1]:8443") == "::1"
    assert host_name("Plant.Example:1") == "plant.example"
    assert host_name("a b") == ""


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 201),
        ({"origin": "self"}, 201),
        ({"sec-fetch-site": "same-origin"}, 201),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"x-csrf-token": ""}, 403),
        ({"x-csrf-token": "x" * 43}, 403),
        ({"x-csrf-token": "\xe4"}, 403),
    ],
)
async def test_unsafe_requests_come_from_our_page(
    server: Running, headers: dict[str, str], expected: int
) -> None:
    async with server.set_up() as anna:
        given = {name: server.url if text == "self" else text for name, text in headers.items()}
        encoded = {name: text.encode("latin-1") for name, text in given.items()}
        body = {"name": "bert", "display_name": "", "password": PASSWORD, "roles": ["viewer"]}

        answer = await anna.post("/users", json=body, headers=encoded)

    assert answer.status_code == expected


async def test_login_from_another_site_is_refused(server: Running) -> None:
    """Login CSRF: the victim would work in the attacker's account."""
    await server.set_up_only()
    async with server.client() as client:
        body = {"name": "anna", "password": PASSWORD}
        answer = await client.post("/session", json=body, headers={"origin": "http://evil.example"})

    assert code(answer) == "bad_origin"


@pytest.mark.parametrize(
    "path", ["/", "/api/v1/session", "/api/v1/nothing", "/api/v1/trial/bug", "/api/v1/users"]
)
async def test_every_answer_has_security_headers(server: Running, path: str) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(server.url + path)

    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["x-request-id"]
    assert "strict-transport-security" not in answer.headers
    assert "server" not in answer.headers


async def test_nan_is_null_by_model_and_by_dict(server: Running) -> None:
    async with server.client() as client:
        by_model = (await client.get("/trial/nan")).json()
        by_dict = (await client.get("/trial/nan-dict")).json()

    assert by_model == by_dict == {"value": None, "rows": [None, 1.5]}


async def test_bug_tells_the_client_nothing_but_its_number(server: Running) -> None:
    async with server.client() as client:
        answer = await client.get("/trial/bug")

    assert answer.status_code == 500
    assert code(answer) == "internal"
    assert answer.json()["params"]["request_id"] == answer.headers["x-request-id"]
    assert "secret-detail" not in answer.text
    assert "Traceback" not in answer.text


async def test_refusals_are_problems_with_their_remedy(server: Running) -> None:
    async with server.client() as client:
        refused = (await client.get("/trial/refused")).json()
        away = (await client.get("/trial/away")).json()

    assert refused["remedy"] == "Enter 1 to 2."
    assert refused["params"] == {"low": 1, "high": 2}
    assert (away["status"], away["detail"]) == (503, "The pump does not answer.")


async def test_unknown_addresses_and_methods(server: Running) -> None:
    headers = {"content-type": "application/json"}
    async with server.client() as client:
        found = [
            (await client.get("/nothing")),
            (await client.put("/session", json={})),
            (await client.post("/session", content=b"{", headers=headers)),
            (await client.post("/session", content=b"x=1")),
        ]

    assert [(answer.status_code, code(answer)) for answer in found] == [
        (404, "not_found"),
        (405, "method_not_allowed"),
        (422, "invalid_request"),
        (422, "invalid_request"),
    ]


async def test_validation_never_repeats_the_input(server: Running) -> None:
    async with server.client() as client:
        answer = await client.post("/session", json={"name": "a", "password": ["hunter2-secret"]})

    assert answer.status_code == 422
    assert "hunter2-secret" not in answer.text


async def test_large_bodies_are_refused_declared_or_not(tmp_path: Path) -> None:
    settings = ServerSettings(
        http=ANY_PORT,
        https=None,
        body_bytes_max=1_000,
        body_bytes_by_path={"/api/v1/trial/big": 5_000},
    )
    body = json.dumps({"a": "x" * 2_000}).encode()
    headers = {"content-type": "application/json"}

    async def chunks() -> object:
        for begin in range(0, len(body), 100):
            yield body[begin : begin + 100]

    async with running(tmp_path, settings, [trial_router()]) as server, server.client() as client:
        declared = await client.post("/trial/body", content=body, headers=headers)
        chunked = await client.post("/trial/body", content=chunks(), headers=headers)
        allowed = await client.post("/trial/big/body", content=body, headers=headers)

    assert [(answer.status_code, code(answer)) for answer in (declared, chunked)] == [
        (413, "too_large")
    ] * 2
    assert allowed.status_code == 200


async def test_slow_answers_are_ended(tmp_path: Path) -> None:
    settings = ServerSettings(http=ANY_PORT, https=None, request_timeout_s=0.05)
    async with running(tmp_path, settings, [trial_router()]) as server, server.client() as client:
        answer = await client.get("/trial/slow")

    assert (answer.status_code, code(answer)) == (503, "too_slow")


async def test_a_flood_is_slowed(tmp_path: Path) -> None:
    settings = ServerSettings(http=ANY_PORT, https=None, requests_per_s=1, requests_burst=5)
    async with running(tmp_path, settings) as server, server.client() as client:
        found = [(await client.get("/session")).status_code for _ in range(8)]
        server.clock.advance(1_000_000_000)
        later = await client.get("/session")

    assert found == [200] * 5 + [429] * 3
    assert later.status_code == 200
