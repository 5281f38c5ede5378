"""SQL and exports over HTTP: what is answered, refused, audited, and what nobody may find out."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import duckdb
import httpx
import nanoarrow as na
import pytest
from direct_compute import OTTO, Node
from sql_kit import COUNT, LEVEL, POINTS, SECRET, T0, Plant, S

from penstock.historian import Historian, HistorianSettings
from penstock.historian.export.desk import EXPORTS_EACH, KEPT_S, Order
from penstock.historian.sql import process
from penstock.historian.sql.desk import ASKING_EACH
from penstock.model import Point, Refused, ValueKind
from penstock.registry import Snapshot
from penstock.world import SystemDisk

pytestmark = pytest.mark.slow

SPAN = {"from": str(T0), "to": str(T0 + 100 * S)}
PAST = {"from": "1970-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    """Anna may view `plant`, Otto `other`."""
    plant = Plant(Historian.open(SystemDisk(), tmp_path / "segments", HistorianSettings()))
    plant.put(1, [T0, T0 + S], [0.5, 1.5])
    plant.put(3, [T0], [2**53 + 1])
    plant.put(5, [T0], [42.0])
    node = Node(plant, tmp_path)
    monkeypatch.setattr("penstock.security.routes.current_principal", node.principal)
    return node


@pytest.fixture
async def client(node: Node) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(node.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        yield made
    await node.desk.close()
    process.end_all()


async def sql(client: httpx.AsyncClient, text: str, **more: Any) -> httpx.Response:
    return await client.post("/sql", json={"sql": text, **more})


async def finished(client: httpx.AsyncClient, export: dict[str, Any]) -> dict[str, Any]:
    for _ in range(400):
        export = (await client.get(f"/exports/{export['id']}")).json()
        if export["state"] != "running":
            return export
        await asyncio.sleep(0.02)
    raise AssertionError("the export does not end")


# --- SQL


async def test_sql_answers_as_of_a_log_record_and_leaves_no_file(
    client: httpx.AsyncClient, node: Node
) -> None:
    answer = (
        await sql(client, "SELECT path, count(*) AS n FROM samples GROUP BY 1 ORDER BY 1")
    ).json()

    assert [["plant/pump/count", "1"], ["plant/tank/level", "2"]] == answer["rows"]
    assert ("3", 2, False) == (answer["sequence"], answer["row_count"], answer["is_truncated"])
    assert [".points"] == node.files()


async def test_files_say_their_facts_in_headers(client: httpx.AsyncClient, node: Node) -> None:
    table = await sql(client, "SELECT * FROM points", format="csv", limit=2)
    parquet = await sql(client, "SELECT * FROM points", format="parquet")
    arrow = await sql(client, "SELECT value FROM samples ORDER BY 1", format="arrow")

    assert ("2", "true", "3") == tuple(
        table.headers[f"penstock-{name}"] for name in ("row-count", "is-truncated", "sequence")
    )
    assert 3 == len(table.text.splitlines())
    assert b"PAR1" == parquet.content[:4]
    values = na.ArrayStream.from_readable(arrow.content).read_all().to_pylist()
    assert [0.5, 1.5, 2.0**53] == [row["value"] for row in values]
    assert [".points"] == node.files()


async def test_two_people_see_two_histories(client: httpx.AsyncClient, node: Node) -> None:
    text = "SELECT DISTINCT path FROM samples ORDER BY 1"

    anna = (await sql(client, text)).json()["rows"]
    node.who = OTTO
    otto = (await sql(client, text)).json()["rows"]

    assert [["plant/pump/count"], ["plant/tank/level"]] == anna
    assert [["other/secret"]] == otto


async def test_each_query_is_audited_with_its_text_and_its_end(
    client: httpx.AsyncClient, node: Node
) -> None:
    good, bad = "SELECT 1", "SELECT * FROM read_csv('/etc/passwd')"

    refused = await sql(client, bad)
    await sql(client, good)

    assert (422, "sql_refused") == (refused.status_code, refused.json()["code"])
    assert [("user:anna", "sql.query", "sql_refused"), ("user:anna", "sql.query", "ok")] == [
        (entry.principal, entry.action, entry.outcome) for entry in node.audited
    ]
    assert [bad, good] == [entry.new["sql"] for entry in node.audited]


async def test_without_compute_sql_waits_and_csv_does_not(
    client: httpx.AsyncClient, node: Node
) -> None:
    node.compute.is_away = True

    refused = await sql(client, "SELECT 1")
    table = await client.get("/export", params=SPAN | {"path": ""})

    assert (503, "compute_away") == (refused.status_code, refused.json()["code"])
    assert 4 == len(table.text.splitlines())


async def test_the_points_are_those_of_today(client: httpx.AsyncClient, node: Node) -> None:
    """A revision of the registry and a spool that compute has emptied both make a new file."""
    await sql(client, "SELECT 1")
    renamed = replace(POINTS[0], path="plant/tank/height", name="height")
    node.registry = Snapshot.of(2, (), [renamed, *POINTS[1:]])
    new = (await sql(client, "SELECT count(*) FROM samples WHERE name = 'height'")).json()
    for path in node.spool.iterdir():
        path.unlink()
    again = (await sql(client, "SELECT count(*) FROM samples WHERE name = 'level'")).json()

    assert [["2"]] == new["rows"]
    assert [["0"]] == again["rows"]
    assert [".points"] == node.files()


@pytest.mark.parametrize(
    "body", [{}, {"sql": ""}, {"sql": "SELECT 1", "format": "xml"}, {"sql": "SELECT 1", "limit": 0}]
)
async def test_a_request_without_sense_is_refused(
    client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    assert 422 == (await client.post("/sql", json=body)).status_code


# --- exports


async def test_an_export_is_ordered_watched_fetched_and_removed(
    client: httpx.AsyncClient, node: Node, tmp_path: Path
) -> None:
    ordered = await client.post("/exports", json=PAST | {"path": "plant", "format": "parquet"})
    done = await finished(client, ordered.json())
    file = await client.get(f"/exports/{done['id']}/file")
    listed = (await client.get("/exports")).json()["exports"]
    removed = await client.delete(f"/exports/{done['id']}")
    gone = await client.get(f"/exports/{done['id']}")

    assert 202 == ordered.status_code
    assert ("done", 3, 4, "3") == tuple(
        done[k] for k in ("state", "row_count", "points", "sequence")
    )
    assert len(file.content) == done["file_bytes"]
    assert "penstock.parquet" in file.headers["content-disposition"]
    path = tmp_path / "export.parquet"
    path.write_bytes(file.content)
    assert [(3, 2**53 + 1)] == duckdb.sql(
        f"SELECT count(*), max(value_int) FROM '{path}'"
    ).fetchall()
    assert [done["id"]] == [export["id"] for export in listed]
    assert (204, 404) == (removed.status_code, gone.status_code)
    assert [".points"] == node.files()
    assert [("history.export", "parquet")] == [(e.action, e.new["format"]) for e in node.audited]


async def test_a_download_goes_on_where_it_broke_off(client: httpx.AsyncClient) -> None:
    ordered = await client.post("/exports", json=PAST | {"path": "plant", "format": "arrow"})
    done = await finished(client, ordered.json())
    place = f"/exports/{done['id']}/file"

    whole = (await client.get(place)).content
    rest = await client.get(place, headers={"Range": "bytes=100-"})

    assert 206 == rest.status_code
    assert whole[100:] == rest.content


async def test_a_file_goes_with_the_grant_under_which_it_was_ordered(
    client: httpx.AsyncClient, node: Node
) -> None:
    ordered = await client.post("/exports", json=PAST | {"path": "plant", "format": "arrow"})
    done = await finished(client, ordered.json())
    node.who = replace(node.who, grants=OTTO.grants)

    refused = await client.get(f"/exports/{done['id']}/file")

    assert (404, "not_found") == (refused.status_code, refused.json()["code"])
    assert [".points"] == node.files()


@pytest.mark.parametrize("is_at_work", [False, True])
async def test_a_running_export_can_be_ended(
    client: httpx.AsyncClient, node: Node, is_at_work: bool
) -> None:
    node.compute.hold.clear()
    export = (await client.post("/exports", json=SPAN | {"path": "plant"})).json()
    if is_at_work:
        await node.compute.asked.wait()
    early = await client.get(f"/exports/{export['id']}/file")
    ended = await client.delete(f"/exports/{export['id']}")
    await asyncio.gather(*node.desk._tasks)

    assert (409, "conflict") == (early.status_code, early.json()["code"])
    assert 204 == ended.status_code
    assert [".points"] == node.files()


async def test_progress_is_that_of_compute(client: httpx.AsyncClient, node: Node) -> None:
    node.compute.hold.clear()
    export = (await client.post("/exports", json=SPAN | {"path": "plant"})).json()
    await asyncio.sleep(0.05)
    node.compute.running[export["id"]].report(done=7, total=9)

    seen = (await client.get(f"/exports/{export['id']}")).json()

    assert ("running", 7, 9) == (seen["state"], seen["rows_done"], seen["rows_max"])


async def test_nobody_sees_what_another_has_ordered(client: httpx.AsyncClient, node: Node) -> None:
    ordered = (await client.post("/exports", json=SPAN | {"path": "plant"})).json()
    await finished(client, ordered)
    node.who = OTTO

    for method, path in (("GET", ""), ("GET", "/file"), ("DELETE", "")):
        answer = await client.request(method, f"/exports/{ordered['id']}{path}")
        never = await client.request(method, f"/exports/{uuid4()}{path}")
        assert (404, 404) == (answer.status_code, never.status_code)
    assert [] == (await client.get("/exports")).json()["exports"]


@pytest.mark.parametrize(
    "which",
    [
        {"points": [str(LEVEL), str(SECRET)]},
        {"points": [str(LEVEL), str(UUID(int=99))]},
        {"path": "other"},
        {"path": "other/secret"},
        {"path": "nowhere"},
        {"path": "plant/ta"},
    ],
)
async def test_a_foreign_point_cannot_be_exported(
    client: httpx.AsyncClient, which: dict[str, Any]
) -> None:
    ordered = await client.post("/exports", json=SPAN | which)
    query = {k: ",".join(v) if isinstance(v, list) else v for k, v in which.items()}
    now = await client.get("/export", params=SPAN | query)

    assert [(404, "not_found")] * 2 == [(a.status_code, a.json()["code"]) for a in (ordered, now)]


async def test_everything_is_only_what_one_may_view(client: httpx.AsyncClient) -> None:
    table = await client.get("/export", params=PAST | {"path": ""})
    rows = list(csv.DictReader(io.StringIO(table.text)))

    assert {"plant/tank/level", "plant/pump/count"} == {row["point"] for row in rows}


@pytest.mark.parametrize("kind", ["csv", "arrow", "parquet"])
async def test_one_request_gives_the_file(
    client: httpx.AsyncClient, node: Node, tmp_path: Path, kind: str
) -> None:
    ids = f"{LEVEL},{COUNT}"

    answer = await client.get("/export", params=SPAN | {"points": ids, "format": kind})

    path = tmp_path / f"export.{kind}"
    path.write_bytes(answer.content)
    if kind == "arrow":
        assert 3 == len(na.ArrayStream.from_path(path).read_all())
    else:
        assert [(3,)] == duckdb.sql(f"SELECT count(*) FROM '{path}'").fetchall()
    assert [] == [suffix for suffix in node.files() if suffix != ".points"]
    assert [] == (await client.get("/exports")).json()["exports"]
    assert ["history.export"] == [entry.action for entry in node.audited]


async def test_an_export_that_fails_says_why(client: httpx.AsyncClient, node: Node) -> None:
    node.compute.is_away = True
    ordered = (await client.post("/exports", json=SPAN | {"path": "plant"})).json()
    failed = await finished(client, ordered)
    file = await client.get(f"/exports/{failed['id']}/file")

    assert ("failed", "compute_away") == (failed["state"], failed["code"])
    assert (503, "compute_away") == (file.status_code, file.json()["code"])


async def test_a_waveform_is_named_and_not_left_out_in_silence(node: Node) -> None:
    burst = Point(UUID(int=50), 50, "plant/pump/burst", "plant/pump", "burst", ValueKind.WAVEFORM)

    with pytest.raises(Refused, match="plant/pump/burst is a waveform") as refusal:
        await node.desk.begin(node.who, Order([burst], 0, 1, "parquet"))

    assert "is_waveform" == refusal.value.code


async def test_nobody_takes_all_questions(client: httpx.AsyncClient, node: Node) -> None:
    asked = [sql(client, "SELECT count(*) FROM samples") for _ in range(ASKING_EACH + 1)]
    answers = await asyncio.gather(*asked)
    afterwards = await sql(client, "SELECT 1")

    codes = sorted(answer.status_code for answer in answers)
    assert [200] * ASKING_EACH + [429] == codes
    assert 200 == afterwards.status_code


async def test_exports_are_bounded_and_forgotten(client: httpx.AsyncClient, node: Node) -> None:
    node.compute.is_away = True
    answers = []
    for _ in range(EXPORTS_EACH + 1):
        answers.append(await client.post("/exports", json=SPAN | {"path": "plant"}))
        await asyncio.gather(*node.desk._tasks)
    other = replace(node.who, id="user:ben")
    await node.desk.begin(other, Order([], 0, 1, "csv"))  # is not held up by the first
    node.clock.advance((KEPT_S + 1) * S)
    left = (await client.get("/exports")).json()["exports"]

    assert {202} == {answer.status_code for answer in answers[:-1]}
    assert (429, "busy") == (answers[-1].status_code, answers[-1].json()["code"])
    assert [] == left


@pytest.mark.parametrize(
    "body",
    [
        SPAN,
        SPAN | {"path": "plant", "points": [str(LEVEL)]},
        {"from": SPAN["to"], "to": SPAN["from"], "path": "plant"},
        {"from": "yesterday", "to": SPAN["to"], "path": "plant"},
        SPAN | {"path": "plant", "format": "xlsx"},
    ],
)
async def test_an_order_without_sense_is_refused(
    client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    assert 422 == (await client.post("/exports", json=body)).status_code
