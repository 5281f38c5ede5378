"""The HTTP contract of commands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from bench_desk import COUNTER, OLGA, SENSOR, VALVE, Bench, person
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy import create_engine, inspect

from penstock.commands.routes import command_router
from penstock.commands.store import metadata
from penstock.model import Refused
from penstock.security import routes as security_routes
from penstock.security.principal import Principal
from penstock.state.migrate import migrate


class Web:
    """The routes behind an application whose user a test chooses."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.who = OLGA
        app = FastAPI()
        router = command_router(bench.desk, bench.recent, lambda: {"user:olga": "Olga"})
        app.include_router(router, prefix="/api/v1")
        app.add_exception_handler(Refused, _problem)
        transport = httpx.ASGITransport(app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test/api/v1")

    async def get(self, path: str, status: int = 200) -> Any:
        answer = await self.client.get(path)
        assert status == answer.status_code, answer.text
        return answer.json()

    async def post(self, path: str, body: Any, status: int, key: str | None = "") -> Any:
        headers = {} if key is None else {"Idempotency-Key": key or str(uuid4())}
        answer = await self.client.post(path, json=body, headers=headers)
        assert status == answer.status_code, answer.text
        return answer.json()


async def _problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    return JSONResponse({"code": error.code, "params": error.params}, error.entry.status)


@pytest.fixture
async def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    bench = Bench(tmp_path)
    await bench.start()
    made = Web(bench)

    async def who(_connection: object) -> Principal:
        return made.who

    monkeypatch.setattr(security_routes, "current_principal", who)
    yield made
    await made.client.aclose()
    await bench.die()


async def test_select_and_send(web: Web) -> None:
    selected = await web.post("/commands", {"point_id": VALVE, "value": 40}, 201)
    assert ("selected", 10.0, 192, 40.0, "%", "Olga", None) == tuple(
        selected[name]
        for name in ("state", "old_value", "old_quality", "value", "unit_label", "author", "result")
    )
    keys = ["permission", "writable", "kind", "range", "rate", "quality"]
    assert keys == [check["key"] for check in selected["checks"] if check["ok"]]

    sent = await web.post(f"/commands/{selected['id']}/send", {"reason": "more water"}, 202)
    assert ("sent", "more water") == (sent["state"], sent["reason"])

    await web.bench.desk.on_result(sent["id"], "accepted")
    await web.bench.desk.on_result(sent["id"], "read_back", 40.0, 192)
    end = await web.get(f"/commands/{sent['id']}")
    assert "confirmed" == end["state"]
    assert {"read_back": 40.0, "detail": None, "problem": None} == end["result"]
    assert "1000000000000" == end["history"][0]["time_ns"]


async def test_int64_is_a_string(web: Web) -> None:
    number = str(2**53 + 1)
    made = await web.post("/commands", {"point_id": COUNTER, "value": number}, 201)

    assert number == made["value"]


async def test_refusals(web: Web) -> None:
    problem = await web.post("/commands", {"point_id": VALVE, "value": 101}, 422)
    assert "out_of_range" == problem["code"]
    assert {"low": 0.0, "high": 100.0, "unit": "%", "value": 101.0} == problem["params"]
    await web.post("/commands", {"point_id": SENSOR, "value": 1}, 409)
    await web.post("/commands", {"point_id": VALVE, "value": 1}, 400, None)
    await web.post("/commands", {"point_id": VALVE, "value": True}, 422)
    await web.post("/commands", {"point_id": "x" * 36, "value": 1}, 404)
    made = await web.post("/commands", {"point_id": VALVE, "value": 1}, 201)
    await web.post("/commands", {"point_id": VALVE, "value": 1}, 409)
    await web.post(f"/commands/{made['id']}/send", {}, 422)
    await web.post(f"/commands/{made['id']}/resolve", {"note": "nothing"}, 409)
    await web.post(f"/commands/{uuid4()}/cancel", None, 404)
    web.who = person("vera", "viewer")
    await web.post(f"/commands/{made['id']}/cancel", None, 403)
    await web.post("/commands", {"point_id": VALVE, "value": 1}, 403)
    assert ["vera", "vera"] == [e.principal.partition(":")[2] for e in web.bench.audited[-2:]]


async def test_what_is_elsewhere_does_not_exist(web: Web) -> None:
    made = await web.post("/commands", {"point_id": VALVE, "value": 1}, 201)
    web.who = person("otto", "operator", "plant/b")

    assert [] == (await web.get("/commands"))["commands"]
    await web.get(f"/commands/{made['id']}", 404)
    await web.post(f"/commands/{made['id']}/cancel", None, 404)


async def test_the_list_of_a_point(web: Web) -> None:
    for _ in range(2):
        web.bench.clock.advance(1_000_000)
        made = await web.post("/commands", {"point_id": VALVE, "value": 1}, 201)
        await web.post(f"/commands/{made['id']}/cancel", None, 200)
    await web.post("/commands", {"point_id": COUNTER, "value": 1}, 201)

    found = (await web.get(f"/commands?point_id={VALVE}&limit=1"))["commands"]

    assert [made["id"]] == [command["id"] for command in found]
    assert 3 == len((await web.get("/commands"))["commands"])


async def test_unconfirmed_until_resolved(web: Web) -> None:
    made = await web.post("/commands", {"point_id": VALVE, "value": 1}, 201)
    await web.post(f"/commands/{made['id']}/send", {"reason": "because"}, 202)
    await web.bench.desk.on_result(made["id"], "away")

    end = await web.post(f"/commands/{made['id']}/resolve", {"note": "it is open"}, 200)

    assert ("unconfirmed", "Olga") == (end["state"], end["resolved"]["principal"])


def test_the_migration_and_the_tables_agree(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    migrate(url)
    engine = create_engine(url)
    found = inspect(engine)

    for table in metadata.sorted_tables:
        columns = {column["name"] for column in found.get_columns(table.name)}
        key = found.get_pk_constraint(table.name)["constrained_columns"]
        assert columns == {column.name for column in table.columns}, table.name
        assert key == [column.name for column in table.primary_key], table.name
    engine.dispose()
