"""Blocks over HTTP: a list without samples, one whole in four forms, nothing of a foreign point."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import numpy as np
import pytest
from block_kit import FOLDER, KHZ_25_6, ORIGIN, T0, S, burst, vibration
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from penstock.historian import Historian, HistorianSettings, HistorianWorker, block_routes
from penstock.log import Log, LogSettings
from penstock.model import Batch, Block, Point, Refused, ValueKind
from penstock.security.principal import Grant, Principal
from penstock.testing import FakeClock
from penstock.testing.disk import FakeDisk

AXIS, SECRET, LEVEL = (UUID(int=number) for number in range(1, 4))
POINTS = {
    AXIS: Point(AXIS, 1, "plant/pump/x", "plant/pump", "x", ValueKind.WAVEFORM, "m/s2"),
    SECRET: Point(SECRET, 2, "other/x", "other", "x", ValueKind.WAVEFORM),
    LEVEL: Point(LEVEL, 3, "plant/level", "plant", "level", ValueKind.FLOAT),
}
SPAN = {"from": str(T0), "to": str(T0 + 100 * S)}
WAVE = burst(vibration(5_000))
ODD = burst([np.nan, -0.0, np.inf, 1.5], T0 + S, dtype="<f4", quality=64)


class Directory:
    def by_id(self, id_: UUID) -> Point | None:
        return POINTS.get(id_)


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    disk, clock = FakeDisk(), FakeClock()
    log = await Log.open(
        Path("/log"), disk=disk, clock=clock, origin=ORIGIN, settings=LogSettings(linger_ms=0)
    )
    worker = HistorianWorker(Historian.open(disk, FOLDER, HistorianSettings()), log, clock)
    given = (WAVE, ODD, burst([1], point=2), Block.without_samples(1, T0 + 2 * S, 2, 0))
    await log.append_batch(Batch(ORIGIN, 1, (), given))
    await log.append_batch(Batch(ORIGIN, 2, (), (burst([8, 9], T0),)))
    await worker.take_available()
    app = FastAPI(telemetry={"tracing": False})
    app.include_router(block_routes.block_routes(worker, Directory()))

    async def viewer(_: object) -> Principal:
        grants = frozenset({Grant("view", "plant")})
        return Principal("user:1", "anna", "Anna", ("viewer",), grants)

    @app.exception_handler(Refused)
    async def refused(_: Request, refusal: Refused) -> JSONResponse:
        return JSONResponse({"code": refusal.code}, refusal.entry.status)

    monkeypatch.setattr("penstock.security.routes.current_principal", viewer)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        yield made
    await worker.close(flush=False)
    await log.close()


async def test_the_list_has_the_head_of_each_block(client: httpx.AsyncClient) -> None:
    answer = (await client.get(f"/points/{AXIS}/blocks", params=SPAN)).json()

    wave, again, odd, lost = answer["blocks"]
    values = vibration(5_000)
    assert (str(T0), KHZ_25_6, 5_000, "int16") == tuple(
        wave[name] for name in ("t0_ns", "dt_ns", "samples", "type")
    )
    assert (values.min(), values.max()) == (wave["min"], wave["max"])
    assert np.sqrt((values**2).mean()) == pytest.approx(wave["rms"])
    assert (str(T0), 2) == (again["t0_ns"], again["samples"])
    names = ("type", "quality", "min", "max", "rms")
    assert ["float32", 64, -0.0, None, None] == [odd[name] for name in names]
    assert (0, 2, None) == (lost["samples"], lost["quality"], lost["min"])
    assert ("m/s2", [], None) == (answer["unit"], answer["lost"], answer["cursor"])


async def test_the_list_comes_in_pages(client: httpx.AsyncClient) -> None:
    found, cursor = [], ""
    while cursor is not None:
        params = SPAN | {"limit": "1", "cursor": cursor}
        page = (await client.get(f"/points/{AXIS}/blocks", params=params)).json()
        found += [(block["t0_ns"], block["samples"]) for block in page["blocks"]]
        cursor = page["cursor"]

    expected = [(T0, 5_000), (T0, 2), (T0 + S, 4), (T0 + 2 * S, 0)]
    assert [(str(t0_ns), samples) for t0_ns, samples in expected] == found


async def test_a_block_is_the_bytes_that_were_stored(client: httpx.AsyncClient) -> None:
    first = (await client.get(f"/points/{AXIS}/blocks", params=SPAN)).json()["blocks"][0]

    answer = await client.get(f"/points/{AXIS}/blocks/{T0}", params={"sequence": first["sequence"]})
    newest = await client.get(f"/points/{AXIS}/blocks/{T0}")

    assert "application/octet-stream" == answer.headers["content-type"]
    assert WAVE.samples.tobytes() == answer.content
    names = ("T0-Ns", "Dt-Ns", "Sample-Type", "Samples", "Quality", "Flags")
    headers = [answer.headers[f"X-Penstock-{name}"] for name in names]
    assert [str(T0), repr(KHZ_25_6), "int16", "5000", "192", "0"] == headers
    assert np.array([8, 9], "<i2").tobytes() == newest.content


async def test_the_past_has_only_what_had_arrived(client: httpx.AsyncClient) -> None:
    path = f"/points/{AXIS}/blocks"
    now = (await client.get(path, params=SPAN)).json()["blocks"]
    past = {"as_of": now[0]["sequence"]}
    before = (await client.get(path, params=SPAN | past)).json()["blocks"]
    block = await client.get(f"{path}/{T0}", params=past)

    assert [str(T0), str(T0 + S), str(T0 + 2 * S)] == [item["t0_ns"] for item in before]
    assert WAVE.samples.tobytes() == block.content
    assert 422 == (await client.get(path, params=SPAN | {"as_of": "99"})).status_code


async def test_a_block_as_numpy_json_and_csv(client: httpx.AsyncClient) -> None:
    path = f"/points/{AXIS}/blocks/{T0 + S}"
    npy = await client.get(path, params={"format": "npy"})
    document = (await client.get(path, params={"format": "json"})).json()
    table = await client.get(path, params={"format": "csv"})

    loaded = np.load(io.BytesIO(npy.content), allow_pickle=False)
    assert (ODD.samples.dtype, ODD.samples.tobytes()) == (loaded.dtype, loaded.tobytes())
    assert [None, -0.0, None, 1.5] == document["samples"]
    assert (str(T0 + S), "float32", 64) == tuple(
        document[name] for name in ("t0_ns", "type", "quality")
    )
    rows = list(csv.reader(io.StringIO(table.text)))
    assert ["time", "value", "quality"] == rows[0]
    assert ["nan", "-0.0", "inf", "1.5"] == [row[1] for row in rows[1:]]
    assert "2026-09-21T14:13:21.000039062Z" == rows[2][0]
    assert "uncertain" == rows[1][2]


async def test_json_of_a_long_block_is_refused_and_names_the_other_forms(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_routes, "JSON_SAMPLES_MAX", 3)
    answer = await client.get(f"/points/{AXIS}/blocks/{T0 + S}", params={"format": "json"})

    assert (413, "too_large") == (answer.status_code, answer.json()["code"])


@pytest.mark.parametrize("id_", [SECRET, UUID(int=99)])
async def test_a_foreign_point_is_not_found(client: httpx.AsyncClient, id_: UUID) -> None:
    for path in (f"/points/{id_}/blocks", f"/points/{id_}/blocks/{T0}"):
        answer = await client.get(path, params=SPAN)
        assert (404, "not_found") == (answer.status_code, answer.json()["code"])


@pytest.mark.parametrize("place", [f"{AXIS}/blocks/{T0 + 1}", f"{LEVEL}/blocks/{T0}"])
async def test_a_moment_without_a_block_is_not_found(client: httpx.AsyncClient, place: str) -> None:
    answer = await client.get(f"/points/{place}")

    assert (404, "not_found") == (answer.status_code, answer.json()["code"])


@pytest.mark.parametrize(
    ("place", "query"),
    [
        ("blocks", SPAN | {"limit": "0"}),
        ("blocks", SPAN | {"limit": "10001"}),
        ("blocks", SPAN | {"cursor": "x"}),
        ("blocks", {"from": str(T0), "to": str(T0)}),
        (f"blocks/{2**63}", {}),
        (f"blocks/{T0}", {"format": "wav"}),
        (f"blocks/{T0}", {"sequence": "-1"}),
    ],
)
async def test_a_request_beyond_its_limits_is_refused(
    client: httpx.AsyncClient, place: str, query: dict[str, str]
) -> None:
    assert 422 == (await client.get(f"/points/{AXIS}/{place}", params=query)).status_code
