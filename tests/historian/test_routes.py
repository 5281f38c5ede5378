"""History over HTTP: what is answered, what is refused, and what nobody may find out."""

from __future__ import annotations

import csv
import io
import struct
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import httpx
import numpy as np
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from hypothesis import given
from hypothesis import strategies as st

from penstock.codec.trend import RawPen
from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.historian.aggregate_routes import aggregate_routes
from penstock.historian.answer import broken
from penstock.historian.last import LastTable
from penstock.historian.routes import routes
from penstock.historian.views import last_of
from penstock.log import Log, LogSettings
from penstock.model import Batch, Flag, Origin, Point, Quality, Refused, ValueKind
from penstock.security.principal import Grant, Principal
from penstock.security.routes import current_principal
from penstock.testing import FakeClock, frame
from penstock.testing.disk import FakeDisk

T0 = 1_790_000_000_000_000_000
S = 1_000_000_000
ORIGIN = Origin(UUID(int=7), 0, 1)
LEVEL, COUNT, STATE, SECRET, EMPTY = (UUID(int=number) for number in range(1, 6))
POINTS = {
    LEVEL: Point(LEVEL, 1, "plant/tank/level", "plant/tank", "level", ValueKind.FLOAT, "m"),
    COUNT: Point(COUNT, 2, "plant/tank/count", "plant/tank", "count", ValueKind.INT),
    STATE: Point(STATE, 3, "plant/tank/=state", "plant/tank", "=state", ValueKind.TEXT),
    SECRET: Point(SECRET, 4, "other/secret", "other", "secret", ValueKind.FLOAT),
    EMPTY: Point(EMPTY, 90_000, "plant/tank/new", "plant/tank", "new", ValueKind.FLOAT),
}
SPAN = {"from": str(T0), "to": str(T0 + 100 * S)}


class Directory:
    def by_id(self, id_: UUID) -> Point | None:
        return POINTS.get(id_)


def samples() -> Batch:
    times = [T0 + number * S for number in range(4)]
    level = frame(
        1, times, [0.1, float("nan"), float("inf"), -0.0], [192, 2, 192, 192], [0, 16, 0, 0]
    )
    secret = frame(4, T0, [42.0])
    floats = frame(
        [*level.point, *secret.point],
        [*level.time_ns, *secret.time_ns],
        [*np.asarray(level.value), 42.0],
        [*level.quality, 192],
        [*level.flags, 0],
    )
    ints = frame(2, times, [2**53 + 1, -1, 0, 5])
    texts = frame(3, times, ["RUN", '=cmd|"x"', "a,b", "@x"])
    return Batch(ORIGIN, 1, (floats, ints, texts))


LOST = [(T0 + 2_000 * S, T0 + 2_100 * S)]


def lost_between(from_ns: int, to_ns: int) -> list[tuple[int, int]]:
    return [span for span in LOST if span[0] < to_ns and span[1] > from_ns]


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    disk, clock = FakeDisk(), FakeClock()
    log = await Log.open(
        Path("/log"), disk=disk, clock=clock, origin=ORIGIN, settings=LogSettings(linger_ms=0)
    )
    historian = Historian.open(disk, Path("/segments"), HistorianSettings())
    worker = HistorianWorker(historian, log, clock)
    await log.append_batch(samples())
    await worker.take_available()
    app = FastAPI(telemetry={"tracing": False})
    app.include_router(
        routes(worker, Directory(), clock, lambda *span: LOST if LOST[0][0] < span[1] else ())
    )
    app.include_router(aggregate_routes(worker, Directory(), clock))

    async def viewer(_: object) -> Principal:
        grants = frozenset({Grant("view", "plant")})
        return Principal("user:1", "anna", "Anna", ("viewer",), grants)

    @app.exception_handler(Refused)
    async def refused(_: Request, refusal: Refused) -> JSONResponse:
        return JSONResponse({"code": refusal.code}, refusal.entry.status)

    monkeypatch.setattr("penstock.security.routes.current_principal", viewer)
    assert current_principal
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        yield made
    await worker.close(flush=False)
    await log.close()


async def test_newest_samples_come_in_the_order_of_the_request(client: httpx.AsyncClient) -> None:
    """Nothing tells a point that may not be seen from one that has no sample or is not there."""
    ids = ",".join(str(id_) for id_ in (COUNT, SECRET, LEVEL, EMPTY, UUID(int=99), STATE))

    answer = (await client.get("/points/last", params={"ids": ids})).json()

    count, secret, level, empty, unknown, state = answer["values"]
    assert secret is empty is unknown is None
    assert "5" == count["value"]
    assert str(T0 + 3 * S) == count["time_ns"]
    assert "@x" == state["value"]
    assert 192 == level["quality"]
    assert answer["server_time_ns"].isdigit()


async def test_samples_are_exact_and_paged(client: httpx.AsyncClient) -> None:
    first = (await client.get(f"/points/{COUNT}/samples", params=SPAN | {"limit": "3"})).json()
    cursor = {"limit": "3", "cursor": first["cursor"]}
    second = (await client.get(f"/points/{COUNT}/samples", params=SPAN | cursor)).json()
    level = (await client.get(f"/points/{LEVEL}/samples", params=SPAN)).json()

    assert [str(2**53 + 1), "-1", "0"] == first["value"]
    assert ["5"] == second["value"]
    assert second["cursor"] is None
    assert [0.1, None, "Infinity", -0.0] == level["value"]
    assert [192, 2, 192, 192] == level["quality"]
    assert [0, int(Flag.NO_VALUE), 0, 0] == level["flags"]


@pytest.mark.parametrize("id_", [SECRET, UUID(int=99)])
async def test_a_foreign_point_is_not_found(client: httpx.AsyncClient, id_: UUID) -> None:
    samples_ = await client.get(f"/points/{id_}/samples", params=SPAN)
    table = await client.get("/trend.csv", params=SPAN | {"points": f"{LEVEL},{id_}"})

    assert (404, "not_found") == (samples_.status_code, samples_.json()["code"])
    assert (404, "not_found") == (table.status_code, table.json()["code"])


@pytest.mark.parametrize("mode", ["raw", "envelope"])
async def test_a_trend_is_broken_where_the_log_has_lost_samples(
    client: httpx.AsyncClient, mode: str
) -> None:
    body = {"points": [str(EMPTY)], "from_ns": str(T0 + 1_000 * S), "to_ns": str(T0 + 3_000 * S)}

    answer = await client.post("/trend", json=body | {"px": 100, "mode": mode})

    *_, gaps = struct.unpack_from("<BBHII", answer.content, 40)
    assert 1 == gaps
    assert struct.pack("<qq", *LOST[0]) == answer.content[-16:]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=5),
    st.lists(st.tuples(st.integers(-20, 70), st.integers(0, 30)), min_size=1, max_size=4),
)
def test_gaps_and_lost_spans_are_joined(
    own: list[tuple[int, int]], lost: list[tuple[int, int]]
) -> None:
    """Every moment that either has is in exactly one gap, in order; a moment alone counts."""
    mine = [(begin, begin + size + 1) for begin, size in own]
    spans = [(begin, begin + size) for begin, size in lost]
    pen = RawPen(1, np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.uint8), gaps=mine)

    found = list(broken(pen, spans, 0, 60).gaps)

    expected = {t for begin, end in mine for t in range(begin, end)}
    expected |= {t for begin, end in spans for t in range(begin, max(end, begin + 1))} & {
        *range(60)
    }
    assert expected == {t for begin, end in found for t in range(begin, end)}
    assert all(one[1] < other[0] for one, other in pairwise(found))


async def test_a_trend_says_state_1_for_what_may_not_be_seen(client: httpx.AsyncClient) -> None:
    body = {"points": [str(LEVEL), str(SECRET), str(EMPTY)], "from_ns": str(T0), "px": 100}

    answer = await client.post("/trend", json=body | {"to_ns": str(T0 + 50 * S), "mode": "raw"})

    assert "application/vnd.penstock.trend" == answer.headers["content-type"]
    magic, version, mode, _, pens, columns, t0_ns, dt_ns, sequence = struct.unpack_from(
        "<4sHBBIIqqQ", answer.content
    )
    assert (b"PTRD", 1, 2, 3, 0, T0, 0) == (magic, version, mode, pens, columns, t0_ns, dt_ns)
    assert sequence > 0
    kind, state, _, rows, gaps = struct.unpack_from("<BBHII", answer.content, 40)
    assert (ValueKind.FLOAT, 0, 4, 1) == (kind, state, rows, gaps)
    values = np.frombuffer(answer.content, "<f8", 4, 40 + 32 + 32)
    np.testing.assert_array_equal([0.1, np.nan, np.inf, -0.0], values)
    after = 40 + 32 + 64 + 8 + 16
    assert [1, 2] == [answer.content[after + 1], answer.content[after + 33]]


async def test_few_samples_are_raw_and_many_are_an_envelope(client: httpx.AsyncClient) -> None:
    body = {"points": [str(LEVEL)], "from_ns": str(T0), "to_ns": str(T0 + 50 * S), "mode": "auto"}
    few = await client.post("/trend", json=body | {"px": 100})
    drawn = await client.post("/trend", json=body | {"px": 100, "mode": "envelope"})

    assert 2 == few.content[6]
    assert 1 == drawn.content[6]


@pytest.mark.parametrize(
    "change",
    [
        {"points": []},
        {"points": [str(LEVEL)] * 17},
        {"px": 5},
        {"px": 5000},
        {"from_ns": str(2**63)},
        {"to_ns": str(T0)},
        {"mode": "other"},
    ],
)
async def test_a_request_beyond_its_limits_is_refused(
    client: httpx.AsyncClient, change: dict[str, object]
) -> None:
    body = {"points": [str(LEVEL)], "from_ns": str(T0), "to_ns": str(T0 + S), "px": 100}

    assert 422 == (await client.post("/trend", json=body | change)).status_code


@pytest.mark.parametrize("query", [{"cursor": "x"}, {"limit": "0"}, {"from": "yesterday"}])
async def test_a_query_that_makes_no_sense_is_refused(
    client: httpx.AsyncClient, query: dict[str, str]
) -> None:
    assert 422 == (await client.get(f"/points/{LEVEL}/samples", params=SPAN | query)).status_code


async def test_csv_is_exact_and_no_cell_is_a_formula(client: httpx.AsyncClient) -> None:
    span = {"from": "2026-09-21T14:13:20Z", "to": "2026-09-21T14:13:24.5Z"}
    answer = await client.get("/trend.csv", params=span | {"points": f"{LEVEL},{COUNT},{STATE}"})

    rows = list(csv.reader(io.StringIO(answer.text)))
    assert ["time", "point", "value", "quality", "unit", "simulated"] == rows[0]
    first = ["2026-09-21T14:13:20.000000000Z", "plant/tank/level", "0.1", "good", "m", "false"]
    assert first == rows[1]
    assert ["", "bad_no_communication"] == rows[2][2:4]
    assert ["inf", "-0.0", str(2**53 + 1), "-1"] == [row[2] for row in rows[3:7]]
    assert ["RUN", '\'=cmd|"x"', "a,b", "'@x"] == [row[2] for row in rows[9:13]]
    assert 13 == len(rows)
    assert int(Quality.BAD_NO_COMMUNICATION) == 2


@pytest.mark.parametrize("value", [np.array([7]), np.array([7.0])])
async def test_a_newest_sample_without_a_value_is_null(value: np.ndarray) -> None:
    """Its bits are 0 in an integer; nobody measured that 0."""
    table = LastTable()
    number = frame(2, T0, value, [2], [int(Flag.NO_VALUE)])
    table.update(number, 1)

    [found] = [last_of(table, POINTS[COUNT])]

    assert found is not None
    assert (None, 2) == (found.value, found.quality)
