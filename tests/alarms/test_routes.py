"""The HTTP contract of alarms, with principals of different rights."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from plant import OPERATOR, SNAPSHOT, Node, S, person, rule

from penstock.alarms.routes import AlarmAnswers, alarm_router
from penstock.model import Refused
from penstock.security import routes as security_routes
from penstock.security.principal import Principal
from penstock.testing.frames import frame

RULES = (rule(1, 80, priority=1), rule(2, 50), rule(3, 10))


class Web:
    """The routes behind an application whose user a test chooses."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.who = OPERATOR
        self.answers = AlarmAnswers(
            node.projector, node.state, lambda: SNAPSHOT, lambda: {"user:olga": "Olga"}
        )
        app = FastAPI()
        app.include_router(alarm_router(self.answers, node.desk, node.clock), prefix="/api/v1")
        app.add_exception_handler(Refused, _problem)
        transport = httpx.ASGITransport(app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test/api/v1")

    async def get(self, path: str, status: int = 200) -> Any:
        answer = await self.client.get(path)
        assert status == answer.status_code, answer.text
        return answer.json()

    async def post(
        self, path: str, body: Any = None, status: int = 200, key: str | None = ""
    ) -> Any:
        headers = {} if key is None else {"Idempotency-Key": key or str(uuid4())}
        answer = await self.client.post(path, json=body, headers=headers)
        assert status == answer.status_code, answer.text
        return answer.json()


async def _problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    return JSONResponse({"code": error.code}, error.entry.status)


@pytest.fixture
async def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    node = Node(tmp_path)
    await node.start(RULES)
    made = Web(node)

    async def who(_connection: object) -> Principal:
        return made.who

    monkeypatch.setattr(security_routes, "current_principal", who)
    yield made
    await made.client.aclose()
    await node.die()


async def see(web: Web, point: int, *values: float) -> None:
    for value in values:
        web.node.clock.advance(S)
        web.node.log.append_frames(frame(point, web.node.clock.now_ns(), [value]))
    await web.node.settle()


async def test_the_active_list(web: Web) -> None:
    await see(web, 1, 95.5)
    await see(web, 3, 2**53 + 1)

    answer = await web.get("/alarms")

    counts, first, second = answer["counts"], *answer["alarms"]
    assert {"active": 1, "unacknowledged": 1} == counts["1"]
    assert str(2**53 + 1) == first["value"]
    assert (95.5, 80.0, "°C", "alarm.limit.high", "unacknowledged") == (
        second["value"],
        second["limit"],
        second["unit_label"],
        second["message_key"],
        second["state"],
    )
    assert ("plant/a/t1", "plant/a", str(SNAPSHOT.assets[1].id), "1001000000000") == (
        second["point_path"],
        second["asset_path"],
        second["asset_id"],
        second["raised_ns"],
    )
    assert {"en": "cause", "de": "Ursache"} == second["cause"]


async def test_acknowledge_with_a_note(web: Web) -> None:
    await see(web, 1, 95.5)
    (alarm,) = (await web.get("/alarms"))["alarms"]

    body = {"ids": [alarm["id"]], "note": "on my way"}
    (seen,) = (await web.post("/alarms/acknowledge", body))["alarms"]

    assert ("acknowledged", "Olga") == (seen["state"], seen["acknowledged_by"])
    assert ["on my way"] == [note["text"] for note in seen["notes"]]
    assert ["alarm.acknowledge"] == [entry.action for entry in web.node.audited]


async def test_a_repeated_request_does_nothing_more(web: Web) -> None:
    await see(web, 1, 95.5)
    (alarm,) = (await web.get("/alarms"))["alarms"]
    path, key = f"/alarms/{alarm['id']}/notes", str(uuid4())

    first = await web.post(path, {"text": "look"}, 201, key)
    second = await web.post(path, {"text": "look"}, 201, key)
    await web.post(path, {"text": "other"}, 409, key)

    assert first == second
    assert 1 == len(second["notes"])


async def test_a_key_is_needed(web: Web) -> None:
    await see(web, 1, 95.5)
    (alarm,) = (await web.get("/alarms"))["alarms"]

    problem = await web.post(f"/alarms/{alarm['id']}/acknowledge", {}, 400, None)

    assert {"code": "idempotency_key_needed"} == problem


async def test_an_acknowledged_and_returned_alarm_leaves_the_list(web: Web) -> None:
    await see(web, 2, 60.0, 20.0)
    (alarm,) = (await web.get("/alarms"))["alarms"]

    await web.post(f"/alarms/{alarm['id']}/acknowledge")

    assert [] == (await web.get("/alarms"))["alarms"]
    assert [[alarm["id"]]] == [removed for _, removed in web.node.told if removed]
    (old,) = (await web.get("/alarms?state=all"))["alarms"]
    assert "normal" == old["state"]


async def test_a_subtree_is_all_one_sees(web: Web) -> None:
    await see(web, 1, 95.5)
    await see(web, 2, 60.0)
    (other,) = [a for a in (await web.get("/alarms"))["alarms"] if a["asset_path"] == "plant/b"]
    web.who = person("anna", "operator", "plant/a")

    assert ["plant/a"] == [a["asset_path"] for a in (await web.get("/alarms"))["alarms"]]
    assert ["plant/a"] == [a["asset_path"] for a in (await web.get("/alarms?state=all"))["alarms"]]
    assert 1 == len((await web.get("/alarms/journal"))["events"])
    await web.post(f"/alarms/{other['id']}/acknowledge", {}, 404)


async def test_a_viewer_may_not_acknowledge(web: Web) -> None:
    await see(web, 1, 95.5)
    (alarm,) = (await web.get("/alarms"))["alarms"]
    web.who = person("vera", "viewer")

    await web.post(f"/alarms/{alarm['id']}/acknowledge", {}, 403)

    assert ["unacknowledged"] == [a["state"] for a in (await web.get("/alarms"))["alarms"]]


async def test_who_may_acknowledge_elsewhere_is_refused_here_and_that_is_audited(web: Web) -> None:
    await see(web, 1, 95.5)
    (alarm,) = (await web.get("/alarms"))["alarms"]
    web.who = Principal(
        "user:x", "x", "X", (),
        person("v", "viewer").grants | person("o", "operator", "plant/b").grants,
    )  # fmt: skip

    await web.post(f"/alarms/{alarm['id']}/acknowledge", {}, 403)

    assert ["refused"] == [entry.outcome for entry in web.node.audited]


async def test_the_journal_by_point_and_time(web: Web) -> None:
    await see(web, 1, 95.5, 20.0)
    await see(web, 2, 60.0)

    both = (await web.get("/alarms/journal"))["events"]
    one = (await web.get(f"/alarms/journal?point_id={SNAPSHOT.points[0].id}"))["events"]
    late = (await web.get("/alarms/journal?from=1970-01-01T00:16:43Z"))["events"]

    assert 3 == len(both)
    assert ["alarm.returned", "alarm.raised"] == [event["type"] for event in one]
    assert ["alarm.raised"] == [event["type"] for event in late]
    await web.get("/alarms/journal?from=yesterday", 422)
    assert [] == (await web.get("/alarms/journal?from=9" + "9" * 30))["events"]
