"""Every route of the real product, taken from its OpenAPI document, times every role.

Who may not gets 401 or 403 and has changed nothing; who holds one subtree learns nothing
of what lies beside it, by no route and not by the live socket.
"""

from __future__ import annotations

import json
import re
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from penstock.security import ROLES

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

from people import CELL
from rig import ANNEX_AT, TEMPERATURE_AT, Rig, running_rig
from screen import Person

pytestmark = pytest.mark.slow

REFUSED = {401, 403}
PERMISSION = "x-penstock-permission"
ENDS_THE_SESSION = ("delete", "/session")
SPAN = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
VALUES, ALARMS = 1, 2
IDENTITY = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """With an alarm in each of its two areas."""
    with running_rig(tmp_path_factory.mktemp("rig")) as rig:
        rig.machine.put_float(TEMPERATURE_AT, 95.0)
        rig.machine.put_float(ANNEX_AT, 60.0)
        wait_for(lambda: len(rig.anna.get("/alarms", state="active")["alarms"]) == 2)
        yield rig


def wait_for(condition) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def operations(rig: Rig) -> list[tuple[str, str, str]]:
    """Method, path with identities that exist, permission."""
    document = rig.anna.get("/openapi.json")
    user = next(u for u in rig.anna.get("/users")["users"] if u["name"] == "viewer")
    places = {
        "point_id": rig.point("set-point")["id"],
        "alarm_id": rig.anna.get("/alarms", state="all")["alarms"][0]["id"],
        "command_id": str(uuid.uuid4()),
        "t0_ns": "1790000000000000000",
        "user_id": user["id"],
        "export_id": str(uuid.uuid4()),
        "deletion_id": str(uuid.uuid4()),
        "import_id": str(uuid.uuid4()),
    }
    return [
        (method, path.removeprefix("/api/v1").format(**places), item[PERMISSION])
        for path, methods in document["paths"].items()
        for method, item in methods.items()
    ]


def state_of(rig: Rig) -> dict[str, Any]:
    """All that a refused request could have changed."""
    alarms = rig.anna.get("/alarms", state="all")["alarms"]
    plant = sorted((rig.product.home / "plant").rglob("*.*"))
    return {
        "users": rig.anna.get("/users"),
        "alarms": [(a["id"], a["state"], a["acknowledged_by"], a["notes"]) for a in alarms],
        "commands": rig.anna.get("/commands"),
        "points": rig.anna.get("/points"),
        "assets": rig.anna.get("/assets"),
        "files": [path.read_bytes() for path in plant if path.is_file()],
        "writes": list(rig.machine.writes),
    }


def test_every_route_times_every_role(rig: Rig) -> None:
    todo = operations(rig)
    before = state_of(rig)
    wrong = []
    for role in ROLES.values():
        for method, path, permission in todo:
            may = permission == "public" or permission in role.permissions
            if may and (method != "get" or permission == "public"):
                continue
            answer = rig.people[role.name].ask(method, path)
            if (answer.status_code in REFUSED) is may:
                wrong.append((role.name, method, path, answer.status_code))

    assert [] == wrong
    assert before == state_of(rig)
    assert len(todo) > 25
    assert {"view", "acknowledge", "configure", "audit", "administer"} <= {p for *_, p in todo}


def test_who_may_is_let_in_to_what_changes_something(rig: Rig) -> None:
    """With bodies that fit nothing, so that the door is tested and not the room behind it."""
    wrong = []
    for role in ROLES.values():
        for method, path, permission in operations(rig):
            may = permission in role.permissions
            changes = method in {"post", "put", "patch", "delete"}
            if not may or not changes or (method, path) == ENDS_THE_SESSION:
                continue
            gone = IDENTITY.sub(str(uuid.uuid4()), path)
            answer = rig.people[role.name].ask(method, gone, json={"fits": "nothing"})
            if answer.status_code in REFUSED:
                wrong.append((role.name, method, path, answer.status_code))

    assert [] == wrong


def test_nobody_is_let_in_nowhere(rig: Rig) -> None:
    before = state_of(rig)
    wrong = []
    with httpx.Client(base_url=f"{rig.product.url}/api/v1", trust_env=False) as nobody:
        for method, path, permission in operations(rig):
            answer = nobody.request(method, path)
            if permission != "public" and answer.status_code not in REFUSED:
                wrong.append((method, path, answer.status_code))
        openapi = nobody.get("/openapi.json").status_code

    assert [] == wrong
    assert 401 == openapi
    assert before == state_of(rig)


def test_without_the_csrf_token_a_cookie_changes_nothing(rig: Rig) -> None:
    before = state_of(rig)
    wrong = []
    with httpx.Client(base_url=f"{rig.product.url}/api/v1", trust_env=False) as client:
        for method, path, permission in operations(rig):
            if method == "get" or permission == "public":
                continue
            headers = {"cookie": rig.anna.cookie, "origin": "http://evil.example"}
            answer = client.request(method, path, headers=headers)
            if answer.status_code != 403:
                wrong.append((method, path, answer.status_code))

    assert [] == wrong
    assert before == state_of(rig)


@pytest.mark.parametrize("role", ROLES)
def test_only_who_may_command_selects_a_value(rig: Rig, role: str) -> None:
    """POST /commands asks for `view` at the door; the desk behind it knows the point."""
    writes = list(rig.machine.writes)
    body = {"point_id": rig.point("set-point")["id"], "value": 12.0}
    answer = rig.people[role].ask("POST", "/commands", json=body)

    assert ("command" in ROLES[role].permissions) == (answer.status_code == 201)
    assert answer.status_code in {201, 403}
    assert writes == rig.machine.writes
    if answer.status_code == 201:
        rig.people[role].ask("POST", f"/commands/{answer.json()['id']}/cancel")


# --- the live socket


def open_socket(rig: Rig, cookie: str | None, origin: str | None = None) -> ClientConnection:
    headers = {} if cookie is None else {"cookie": cookie}
    url = f"ws://{rig.product.http}/api/v1/live"
    return connect(url, additional_headers=headers, origin=origin, proxy=None)


def frames(rig: Rig, person: Person, points: list[str], count: int = 8) -> list[bytes]:
    with open_socket(rig, person.cookie) as socket:
        socket.send(json.dumps({"op": "sub", "sid": 1, "points": points, "hz": 5}))
        return [socket.recv(5) for _ in range(count)]


@pytest.mark.parametrize("role", ROLES)
def test_every_role_that_may_view_has_a_live_socket(rig: Rig, role: str) -> None:
    kinds = {frame[0] for frame in frames(rig, rig.people[role], [rig.point("flow")["id"]], 4)}

    assert VALUES in kinds


def test_nobody_and_no_other_site_has_a_live_socket(rig: Rig) -> None:
    with pytest.raises(InvalidStatus) as nobody:
        open_socket(rig, None)
    with pytest.raises(InvalidStatus) as forged:
        open_socket(rig, "penstock_session=" + "A" * 43)
    with pytest.raises(InvalidStatus) as foreign:
        open_socket(rig, rig.anna.cookie, "http://evil.example")

    assert 401 == nobody.value.response.status_code
    assert 401 == forged.value.response.status_code
    assert 403 == foreign.value.response.status_code


# --- one subtree


def test_one_subtree_sees_nothing_beside_it(rig: Rig) -> None:
    cell, annex = rig.people[CELL], rig.anna.point("Rig/Annex/pressure")
    flow, stranger = rig.point("flow"), str(uuid.uuid4())

    def trend(person: Person, *points: str) -> bytes:
        body = {"points": points, "from_ns": "0", "to_ns": str(2**62), "px": 10, "mode": "raw"}
        answer = person.ask("POST", "/trend", json=body)
        assert 200 == answer.status_code, answer.text
        return answer.content

    assert {"Rig/Cell"} == {p["path"].rsplit("/", 1)[0] for p in cell.get("/points")["points"]}
    assert [] == cell.get("/points", ids=annex["id"])["points"]
    assert [] == cell.get("/points", path=annex["path"])["points"]
    assert [] == cell.get("/points", asset_path="Rig/Annex")["points"]
    assert "Annex" not in str(cell.get("/assets"))
    assert 404 == cell.ask("GET", f"/points/{annex['id']}").status_code
    values = cell.get("/points/last", ids=f"{annex['id']},{flow['id']}")["values"]
    assert values[0] is None
    assert values[1]["value"] == 33.0
    assert 404 == cell.ask("GET", f"/points/{annex['id']}/samples", params=SPAN).status_code
    for place in ("blocks", "blocks/1790000000000000000"):
        assert 404 == cell.ask("GET", f"/points/{annex['id']}/{place}", params=SPAN).status_code
    csv = {"points": annex["id"], **SPAN}
    assert 404 == cell.ask("GET", "/trend.csv", params=csv).status_code
    assert len(trend(cell, stranger)) == len(trend(cell, annex["id"]))
    assert len(trend(rig.anna, annex["id"])) > len(trend(cell, annex["id"]))
    assert len(trend(cell, flow["id"])) > len(trend(cell, annex["id"]))


def test_one_subtree_asks_and_exports_nothing_beside_it(rig: Rig) -> None:
    """SQL and files answer for a foreign point as for one that was never made."""
    cell, annex = rig.people[CELL], rig.anna.point("Rig/Annex/pressure")
    span = "WHERE time > now() - INTERVAL 1 DAY"

    def ask(person: Person, sql: str) -> list[list[Any]]:
        answer = person.ask("POST", "/sql", json={"sql": sql})
        assert 200 == answer.status_code, answer.text
        return answer.json()["rows"]

    assets = "SELECT DISTINCT asset FROM samples " + span + " ORDER BY 1"
    assert [["Rig/Cell"]] == ask(cell, assets)
    assert ["Rig/Annex"] in ask(rig.anna, assets)
    assert [["Rig/Cell"]] == ask(cell, "SELECT DISTINCT asset FROM points")
    for id_ in (annex["id"], str(uuid.uuid4())):
        assert [["0"]] == ask(cell, f"SELECT count(*) FROM samples WHERE point = '{id_}'")
        assert [["0"]] == ask(cell, f"SELECT count(*) FROM points WHERE id = '{id_}'")
        order = {**SPAN, "points": [id_]}
        assert 404 == cell.ask("POST", "/exports", json=order).status_code
        now = cell.ask("GET", "/export", params={**SPAN, "points": id_})
        assert 404 == now.status_code
    whole = cell.ask("GET", "/export", params={**SPAN, "path": ""})
    assert b"Rig/Cell" in whole.content
    assert b"Annex" not in whole.content
    assert 404 == cell.ask("GET", "/export", params={**SPAN, "path": "Rig/Annex"}).status_code


def test_one_subtree_has_its_own_alarms_only(rig: Rig) -> None:
    cell = rig.people[CELL]
    everything = rig.anna.get("/alarms", state="all")
    annex = next(a for a in everything["alarms"] if a["asset_path"] == "Rig/Annex")
    mine = cell.get("/alarms", state="all")
    before = state_of(rig)

    assert ["Cell hot"] == [a["name"] for a in mine["alarms"]]
    assert 0 == mine["counts"]["3"]["active"]
    assert 1 == everything["counts"]["3"]["active"]
    assert "Annex" not in json.dumps(cell.get("/alarms/journal", **SPAN))
    for path, body in (
        ("/alarms/acknowledge", {"ids": [annex["id"]]}),
        (f"/alarms/{annex['id']}/acknowledge", {}),
        (f"/alarms/{annex['id']}/notes", {"text": "not mine"}),
    ):
        assert cell.ask("POST", path, json=body).status_code in {403, 404}
    assert before == state_of(rig)


def test_one_subtree_hears_nothing_else_on_the_live_socket(rig: Rig) -> None:
    annex, cell = rig.anna.point("Rig/Annex/pressure"), rig.people[CELL]
    foreign = frames(rig, cell, [annex["id"]])
    own = frames(rig, cell, [rig.point("flow")["id"]])

    assert not [f for f in foreign if f[0] == VALUES and holds_value(f)]
    assert [f for f in own if f[0] == VALUES and holds_value(f)]
    alarms = [frame for frame in foreign + own if frame[0] == ALARMS]
    assert alarms
    assert all(b"Annex" not in frame for frame in alarms)
    assert any(b"Cell hot" in frame for frame in alarms)
    assert any(b"Annex" in f for f in frames(rig, rig.anna, [annex["id"]]) if f[0] == ALARMS)


def holds_value(frame: bytes) -> bool:
    """Whether any value of the frame is not "no value": docs/reference/formats/live-frame.md."""
    count = int.from_bytes(frame[24:28], "little")
    flags_at = 32 + (8 + 4 + 4 + 1) * count
    flags = frame[flags_at : flags_at + count]
    return any(not flag & 16 for flag in flags)
