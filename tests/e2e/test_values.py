"""Values at the edge of their kinds come out of every door as they went in, or with a reason.

In by a link, out by JSON, Arrow, CSV, trends, aggregates, SQL and Parquet,
from memory, from a segment and from a compacted one. What JSON and CSV cannot say of a
number is a word; what is no number is bad.
"""

from __future__ import annotations

import csv
import io
import math
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import duckdb
import nanoarrow as na
import numpy as np
import pytest
from sql_kit import COUNT, FLOW, LEVEL, STATE, T0, S
from values_kit import BY_ID, STORES, Whole, whole

from penstock.model import Frame, Quality
from penstock.model.time import format_ns, parse_ns
from penstock.testing import frame
from penstock.testing.clock import START_NS

pytestmark = pytest.mark.slow

INF = math.inf
FLOATS = [INF, -INF, -0.0, 0.0, 5e-324, 1.7976931348623157e308, 2.0**53 + 2, 0.1, 1e16, math.nan]
WORDS = {INF: "Infinity", -INF: "-Infinity"}
INTS = [2**53 + 1, -(2**63), 2**63 - 1, 0, -1]
TEXTS = ["", "ü" * 32_768, "😀 👩‍🏭", "a\nb\r\nc", 'a,"b";c', "\x00", "=1+1", "2099", "RUN"]
TIMES = [
    -1,
    0,
    1,
    parse_ns("1970-06-01T00:00:00.000000001Z"),
    parse_ns("2099-12-31T23:59:59.999999999Z"),
]
SPAN = {"from": str(T0), "to": str(T0 + 100 * S)}
AGES = {"from": "1969-12-31T00:00:00Z", "to": "2100-01-01T00:00:00Z"}


def moments(values: list[Any]) -> list[int]:
    return [T0 + row * S for row in range(len(values))]


def part(rows: slice) -> list[Frame]:
    """One batch: some rows of each list."""
    floats = frame(
        [1] * len(FLOATS[rows]) + [2] * len(TIMES[rows]),
        moments(FLOATS)[rows] + TIMES[rows],
        FLOATS[rows] + [float(time_ns) for time_ns in TIMES[rows]],
    )
    texts = frame(4, moments(TEXTS)[rows], TEXTS[rows])
    return [floats, frame(3, moments(INTS)[rows], INTS[rows]), texts]


@pytest.fixture(params=STORES)
async def node(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Whole]:
    async with whole(tmp_path, request.param) as made:
        await made.put(part(slice(0, 3)), part(slice(3, None)))
        yield made


def bits(values: list[float]) -> list[bytes]:
    """So that -0.0 is not 0.0."""
    return [struct.pack("<d", value) for value in values]


def as_json(values: list[float]) -> list[float | str | None]:
    return [None if value != value else WORDS.get(value, value) for value in values]


def exact(values: list[Any]) -> list[Any]:
    """Floats by their bits, everything else as it is."""
    return [struct.pack("<d", v) if isinstance(v, float) else v for v in values]


def reader(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


# --- JSON


async def test_samples_are_exact_in_json(node: Whole) -> None:
    floats = await node.get(f"/points/{LEVEL}/samples", **SPAN)
    ints = await node.get(f"/points/{COUNT}/samples", **SPAN)
    texts = await node.get(f"/points/{STATE}/samples", **SPAN)

    assert exact(as_json(FLOATS)) == exact(floats["value"])
    assert [str(value) for value in INTS] == ints["value"]
    assert TEXTS == texts["value"]
    assert [str(time_ns) for time_ns in moments(FLOATS)] == floats["time_ns"]


async def test_only_what_is_no_number_is_bad(node: Whole) -> None:
    floats = await node.get(f"/points/{LEVEL}/samples", **SPAN)

    is_good = [quality >= Quality.GOOD for quality in floats["quality"]]
    assert [value == value for value in FLOATS] == is_good


async def test_the_newest_sample_and_the_one_at_a_moment_are_exact(node: Whole) -> None:
    times = [str(time_ns) for time_ns in moments(FLOATS)]
    last = await node.get("/points/last", ids=f"{LEVEL},{COUNT},{STATE},{FLOW}")
    at = (await node.post("/at", points=[str(LEVEL), str(COUNT), str(STATE)], times=times)).json()

    assert [None, "-1", "RUN", float(TIMES[-1])] == [row["value"] for row in last["values"]]
    floats, ints, texts = (point["value"] for point in at["points"])
    assert exact(as_json(FLOATS)) == exact(floats)
    assert [str(value) for value in INTS] == ints[: len(INTS)]
    assert TEXTS == texts[: len(TEXTS)]


async def test_a_sample_from_2099_is_the_newest_as_of_its_receipt_also_after_a_restart(
    node: Whole,
) -> None:
    (shown,) = (await node.get("/points/last", ids=str(FLOW)))["values"]
    assert str(START_NS) == shown["time_ns"]
    assert Quality.UNCERTAIN_SOURCE_TIME == shown["quality"]

    handles = [BY_ID[id_].handle for id_ in (LEVEL, COUNT, STATE, FLOW)]
    before = node.worker.historian.last.rows(handles)
    after = node.opened_again().last.rows(handles)

    for name in ("kind", "time_ns", "bits", "quality", "flags", "sequence"):
        assert getattr(before, name).tolist() == getattr(after, name).tolist(), name
    assert before.text == after.text


async def test_times_from_1970_to_2099_are_exact(node: Whole) -> None:
    found = await node.get(f"/points/{FLOW}/samples", **AGES)
    one = await node.get(f"/points/{FLOW}/samples", **{"from": "0", "to": "1"})

    assert [str(time_ns) for time_ns in TIMES] == found["time_ns"]
    assert ["0"] == one["time_ns"]


@pytest.mark.parametrize("time", [str(2**62 + 1), str(-(2**63)), "2300-01-01T00:00:00Z", "1e9"])
async def test_a_time_that_cannot_be_asked_for_is_refused_with_the_reason(
    tmp_path: Path, time: str
) -> None:
    async with whole(tmp_path, "memory") as node:
        path = f"/points/{FLOW}/samples"
        answer = await node.client.get(path, params={"from": "0", "to": time})

    assert (422, "invalid_request") == (answer.status_code, answer.json()["code"])
    assert "time" in answer.json()["detail"].lower()


# --- aggregates and trends


async def test_extremes_of_integers_are_exact(node: Whole) -> None:
    names = ["min", "max", "range", "first", "last"]
    columns = await aggregates(node, COUNT, names)

    expected = [-(2**63), 2**63 - 1, 2**64 - 1, INTS[0], INTS[-1]]
    assert [str(value) for value in expected] == [columns[name]["value"][0] for name in names]


async def test_extremes_of_floats_are_exact_and_a_mean_that_is_no_number_is_none(
    node: Whole,
) -> None:
    columns = await aggregates(node, LEVEL, ["min", "max", "count", "mean"])

    assert ["-Infinity", "Infinity"] == [columns[name]["value"][0] for name in ("min", "max")]
    assert str(len(FLOATS) - 1) == str(columns["count"]["value"][0])
    assert [None] == columns["mean"]["value"]


async def test_infinite_extremes_are_numbers_in_csv(node: Whole) -> None:
    parameters = SPAN | {"points": str(LEVEL), "aggregates": "min,max,mean"}
    answer = await node.client.get("/aggregate.csv", params=parameters)

    low, high, mean = (row[4] for row in reader(answer.text)[1:])
    assert (-INF, INF, "") == (float(low), float(high), mean)


async def aggregates(node: Whole, point: object, names: list[str]) -> dict[str, Any]:
    answer = await node.post("/aggregate", points=[str(point)], aggregates=names, **SPAN)
    columns: dict[str, Any] = answer.json()["points"][0]["columns"]
    return columns


async def trend(node: Whole, mode: str, *points: object) -> bytes:
    span = {"from_ns": SPAN["from"], "to_ns": SPAN["to"]}
    answer = await node.post("/trend", points=[str(p) for p in points], px=100, mode=mode, **span)
    return answer.content


async def test_a_raw_trend_is_exact_and_breaks_at_what_is_no_number(node: Whole) -> None:
    content = await trend(node, "raw", LEVEL)
    _kind, state, _, rows, gaps = struct.unpack_from("<BBHII", content, 40)
    seconds = np.frombuffer(content, "<f8", rows, 72)
    value = np.frombuffer(content, "<f8", rows, 72 + 8 * rows)

    assert (0, len(FLOATS), 1) == (state, rows, gaps)
    assert [float(row) for row in range(rows)] == seconds.tolist()
    assert bits(FLOATS[:-1]) == bits(value.tolist()[:-1])
    assert math.isnan(value[-1])


# --- Arrow and CSV from core


async def test_a_page_of_arrow_is_exact(node: Whole) -> None:
    for point, expected in ((LEVEL, FLOATS), (COUNT, INTS), (STATE, TEXTS)):
        answer = await node.post("/samples", points=[str(point)], **SPAN)
        rows = na.ArrayStream.from_readable(answer.content).read_all()

        found = list(rows.child(2).iter_py())
        assert exact([None if v != v else v for v in expected]) == exact(found)


@pytest.mark.parametrize("door", ["trend", "export"])
async def test_csv_reads_back_to_the_bit(node: Whole, door: str) -> None:
    if door == "trend":
        ids = {"points": f"{LEVEL},{COUNT},{STATE}"}
        text = (await node.client.get("/trend.csv", params=SPAN | ids)).text
    else:
        answer = await node.client.get("/export", params=SPAN | {"path": "", "format": "csv"})
        text = answer.text
    cells: dict[str, list[str]] = {}
    for _, path, value, *_rest in reader(text)[1:]:
        cells.setdefault(path, []).append(value)

    floats = [float(cell) for cell in cells["plant/tank/level"] if cell]
    assert bits(FLOATS[:-1]) == bits(floats)
    assert INTS == [int(cell) for cell in cells["plant/pump/count"]]
    guarded = [f"'{text}" if text.startswith("=") else text for text in TEXTS]
    assert guarded == cells["plant/pump/state"]


async def test_times_in_csv_are_exact(node: Whole) -> None:
    answer = await node.client.get("/trend.csv", params=AGES | {"points": str(FLOW)})

    times = [row[0] for row in reader(answer.text)[1:]]
    assert TIMES == [parse_ns(text) for text in times]
    assert "1969-12-31T23:59:59.999999999Z" == times[0] == format_ns(-1)


# --- SQL and files from compute


SAMPLES = "SELECT value, value_int, value_text, time_ns FROM samples WHERE name = '{}' ORDER BY 4"


from_both_ends = pytest.mark.parametrize("node", ["memory", "compacted"], indirect=True)


@from_both_ends
async def test_sql_is_exact(node: Whole) -> None:
    rows = {}
    for name in ("level", "count", "state", "flow"):
        document = (await node.post("/sql", sql=SAMPLES.format(name))).json()
        rows[name] = document["rows"]

    assert exact(as_json(FLOATS)) == exact([row[0] for row in rows["level"]])
    assert [str(value) for value in INTS] == [row[1] for row in rows["count"]]
    assert TEXTS == [row[2] for row in rows["state"]]
    assert [str(time_ns) for time_ns in TIMES] == [row[3] for row in rows["flow"]]


async def exported(node: Whole, kind: str) -> bytes:
    answer = await node.client.get("/export", params=AGES | {"path": "", "format": kind})
    assert 200 == answer.status_code, answer.text
    return answer.content


@from_both_ends
async def test_parquet_is_exact_in_another_program(node: Whole, tmp_path: Path) -> None:
    path = tmp_path / "all.parquet"
    path.write_bytes(await exported(node, "parquet"))

    def column(name: str, point: str) -> list[Any]:
        sql = f"SELECT {name} FROM '{path}' WHERE path LIKE '%/{point}' ORDER BY time"
        return [row[0] for row in duckdb.sql(sql).fetchall()]

    assert exact([None if v != v else v for v in FLOATS]) == exact(column("value", "level"))
    assert INTS == column("value_int", "count")
    assert TEXTS == column("value_text", "state")
    assert TIMES == column("epoch_ns(time)", "flow")


@from_both_ends
async def test_arrow_files_are_exact_in_another_program(node: Whole) -> None:
    stream = na.ArrayStream.from_readable(await exported(node, "arrow")).read_all()
    names = [item.name for item in na.Schema(stream.schema).fields]
    columns = {
        name: list(stream.child(place).iter_py())
        for place, name in enumerate(names)
        if name != "time"
    }

    def column(name: str, point: str) -> list[Any]:
        pairs = zip(columns["path"], columns[name], strict=True)
        return [value for path, value in pairs if path.endswith(point)]

    assert exact([None if v != v else v for v in FLOATS]) == exact(column("value", "level"))
    assert INTS == column("value_int", "count")
    assert TEXTS == column("value_text", "state")


# --- any bits


@from_both_ends
async def test_any_64_bits_and_any_text_come_back(node: Whole) -> None:
    """3,000 of each: subnormals, NaN with a payload, every plane of Unicode."""
    random = np.random.default_rng(4)
    words = random.integers(0, 2**64, 3_000, np.uint64, endpoint=False)
    floats, ints = words.view(np.float64).tolist(), words.view(np.int64).tolist()
    texts = [text_of(random) for _ in range(3_000)]
    times = [T0 + 200 * S + row for row in range(3_000)]
    columns = frame(1, times, floats), frame(3, times, ints), frame(4, times, texts)
    await node.put(list(columns), [frame(1, T0 + 900 * S, [1.0])])
    span = {"from": str(T0 + 200 * S), "to": str(T0 + 201 * S)}

    found = [await node.get(f"/points/{id_}/samples", **span) for id_ in (LEVEL, COUNT, STATE)]
    page = await node.post("/samples", points=[str(LEVEL)], **span)

    assert exact(as_json(floats)) == exact(found[0]["value"])
    assert [str(value) for value in ints] == found[1]["value"]
    assert texts == found[2]["value"]
    rows = na.ArrayStream.from_readable(page.content).read_all()
    expected = [None if value != value else value for value in floats]
    assert exact(expected) == exact(list(rows.child(2).iter_py()))


def text_of(random: np.random.Generator) -> str:
    """Up to 20 characters, surrogates left out: they are no characters."""
    codes = random.integers(0, 0x11_0000, random.integers(0, 20)).tolist()
    return "".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000)
