"""Samples of many points as Arrow: exact, in pages of any size, and nothing that is foreign."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import pyarrow as pa
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.historian.samples import page
from penstock.historian.samples.routes import routes
from penstock.log import Log, LogSettings
from penstock.model import Batch, Origin, Point, Refused, ValueKind
from penstock.security.principal import Grant, Principal
from penstock.testing import FakeClock, frame
from penstock.testing.disk import FakeDisk

T0 = 1_790_000_000_000_000_000
S = 1_000_000_000
ORIGIN = Origin(UUID(int=7), 0, 1)
LEVEL, COUNT, STATE, SECRET, EMPTY, FLOW, TWINS = (UUID(int=number) for number in range(1, 8))
KINDS = {
    LEVEL: ValueKind.FLOAT,
    COUNT: ValueKind.INT,
    STATE: ValueKind.TEXT,
    SECRET: ValueKind.FLOAT,
    EMPTY: ValueKind.FLOAT,
    FLOW: ValueKind.FLOAT,
    TWINS: ValueKind.FLOAT,
}
ALL = [LEVEL, EMPTY, COUNT, STATE, FLOW]
LEVELS = [0.1, float("nan"), float("inf"), -0.0, float("nan")]
COUNTS = [2**53 + 1, -1, 2**63 - 1, -(2**63), 0]
QUALITY = {
    **dict.fromkeys([(LEVEL, 1), (FLOW, 1)], (5, 16)),  # what is not a number is no value
    **dict.fromkeys([(LEVEL, 3), (FLOW, 3)], (64, 0)),
    **dict.fromkeys([(LEVEL, 4), (FLOW, 4)], (2, 16)),
    (COUNT, 4): (5, 16),
}
STATES = ["RUN", "", "ä\u0000b", "x" * 70, "@"]


class Directory:
    def by_id(self, id_: UUID) -> Point | None:
        if id_ not in KINDS:
            return None
        asset = "other" if id_ == SECRET else "plant"
        name = str(id_.int)
        return Point(id_, id_.int, f"{asset}/{name}", asset, name, KINDS[id_])


def batch(number: int, begin: int) -> Batch:
    """Five samples a point; the last of LEVEL is no value, the second is NaN."""
    times = [T0 + (begin + row) * S for row in range(5)]
    handles = [1] * 5 + [4] * 5 + [6] * 5
    floats = frame(handles, times * 3, LEVELS * 3, [192, 192, 192, 64, 2] * 3, [0, 0, 0, 0, 16] * 3)
    ints = frame(2, times, COUNTS, [192] * 5, [0, 0, 0, 0, 16])
    return Batch(ORIGIN, number, (floats, ints, frame(3, times, STATES)))


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    disk, clock = FakeDisk(), FakeClock()
    log = await Log.open(
        Path("/log"), disk=disk, clock=clock, origin=ORIGIN, settings=LogSettings(linger_ms=0)
    )
    worker = HistorianWorker(
        Historian.open(disk, Path("/segments"), HistorianSettings()), log, clock
    )
    twins = frame(7, [T0, T0, T0, T0 + S], [1.0, 2.0, 3.0, 4.0])
    for number in range(3):
        await log.append_batch(batch(number + 1, number * 5))
        await worker.take_available()
        if number == 1:
            await worker.flush_now()
    await log.append_batch(Batch(ORIGIN, 4, (twins,)))
    await worker.take_available()
    app = FastAPI(telemetry={"tracing": False})
    app.include_router(routes(worker, Directory()))

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


Row = tuple[int, int, object, int, int]


def rows_of(answer: httpx.Response) -> list[Row]:
    """Rows to the bit: a float as its bits, nothing as None."""
    assert 200 == answer.status_code, answer.text
    table = pa.ipc.open_stream(answer.content).read_all()
    table = table.set_column(1, "time", table["time"].cast(pa.int64()))
    found = [tuple(row.values()) for row in table.to_pylist()]
    assert str(len(found)) == answer.headers["penstock-row-count"]
    return [(place, at, bits_of(value), *rest) for place, at, value, *rest in found]


def bits_of(value: object) -> object:
    return struct.pack("d", value) if isinstance(value, float) else value


async def all_rows(
    client: httpx.AsyncClient, points: list[UUID], **more: object
) -> list[list[Row]]:
    """A list a page."""
    pages, cursor = [], ""
    body = {"points": [str(id_) for id_ in points], "from": str(T0), "to": str(T0 + 100 * S)}
    while True:
        answer = await client.post("/samples", json={**body, **more, "cursor": cursor})
        pages.append(rows_of(answer))
        cursor = answer.headers["penstock-cursor"]
        if not cursor:
            return pages


def expected(points: list[UUID], batches: int = 3) -> list[Row]:
    found: list[Row] = []
    for place, id_ in enumerate(points):
        values = {COUNT: COUNTS, STATE: STATES, EMPTY: []}.get(id_, LEVELS)
        for row in range(batches * 5 if values else 0):
            value: object = values[row % 5]
            quality, flags = QUALITY.get((id_, row % 5), (192, 0))
            shown = None if flags & 16 else bits_of(value)
            found.append((place, T0 + row * S, shown, quality, flags))
    return found


async def test_samples_are_exact_and_a_page_has_one_kind(client: httpx.AsyncClient) -> None:
    pages = await all_rows(client, ALL)

    assert expected(ALL) == [row for page in pages for row in page]
    assert [15, 15, 15, 15] == [len(page) for page in pages]


@pytest.mark.parametrize("limit", [1, 2, 7, 14, 15, 16])
async def test_pages_of_any_size_are_the_same_rows(client: httpx.AsyncClient, limit: int) -> None:
    pages = await all_rows(client, [LEVEL, FLOW, STATE, COUNT, LEVEL], limit=limit)

    assert expected([LEVEL, FLOW, STATE, COUNT, LEVEL]) == [row for page in pages for row in page]
    assert limit >= max(len(page) for page in pages)


async def test_rows_of_one_moment_may_lie_on_two_pages(client: httpx.AsyncClient) -> None:
    """Three different values at one time are three rows, wherever a page ends."""
    pages = await all_rows(client, [TWINS], limit=2)

    assert [1.0, 2.0, 3.0, 4.0] == [
        struct.unpack("d", value)[0] for page in pages for _, _, value, _, _ in page
    ]


async def test_a_page_ends_at_its_bytes_of_text(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "TEXT_BYTES_MAX", 100)

    pages = await all_rows(client, [STATE])

    assert expected([STATE]) == [row for page in pages for row in page]
    assert all(len(page) <= 10 for page in pages)


async def test_a_page_looks_at_so_many_points(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "LOOKS_MAX", 2)
    monkeypatch.setattr("penstock.historian.samples.routes.LOOKS_MAX", 2)

    pages = await all_rows(client, [EMPTY, EMPTY, EMPTY, LEVEL])

    assert [0, 15] == [len(page) for page in pages]


async def test_the_past_is_seen_as_it_was(client: httpx.AsyncClient) -> None:
    body = {"points": [str(LEVEL)], "from": str(T0), "to": str(T0 + S)}
    now = int((await client.post("/samples", json=body)).headers["penstock-sequence"])

    pages = await all_rows(client, [LEVEL, COUNT], as_of=str(now - 2), limit=4)

    assert expected([LEVEL, COUNT], batches=2) == [row for page in pages for row in page]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"points": [str(SECRET)]}, "not_found"),
        ({"points": [str(UUID(int=99))]}, "not_found"),
        ({"cursor": "1"}, "invalid_request"),
        ({"cursor": "0.5"}, "invalid_request"),
        ({"cursor": "x"}, "invalid_request"),
        ({"to": str(T0)}, "invalid_request"),
        ({"as_of": "99"}, "invalid_request"),
    ],
)
async def test_what_is_foreign_or_wrong_is_refused(
    client: httpx.AsyncClient, change: dict[str, object], code: str
) -> None:
    """A foreign point answers exactly like one that does not exist."""
    body = {"points": [str(LEVEL)], "from": str(T0), "to": str(T0 + S), **change}

    answer = await client.post("/samples", json=body)

    assert code == answer.json()["code"]
