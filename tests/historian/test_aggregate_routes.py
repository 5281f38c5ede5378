"""Aggregates, values at moments and gaps over HTTP: exact, bounded, and only what may be seen."""

from __future__ import annotations

import csv
import io
from uuid import UUID

import httpx
import pytest
from test_routes import COUNT, EMPTY, LEVEL, SECRET, SPAN, STATE, T0, S, client

from penstock.historian.results import Info

__all__ = ["client"]
# The samples: LEVEL 0.1, bad, inf, -0.0; COUNT 2^53+1, -1, 0, 5; STATE RUN, =cmd|"x", "a,b", @x.
ASKED = {"from": str(T0), "to": str(T0 + 4 * S), "every": "2s"}


async def test_columns_by_interval_exact_and_without_nan(client: httpx.AsyncClient) -> None:
    body = {**ASKED, "points": [str(COUNT), str(LEVEL)], "aggregates": ["max_at", "mean", "count"]}

    answer = (await client.post("/aggregate", json=body)).json()

    assert [str(T0), str(T0 + 2 * S)] == answer["begin_ns"]
    assert [str(T0 + 2 * S), str(T0 + 4 * S)] == answer["end_ns"]
    assert answer["sequence"].isdigit()
    count, level = answer["points"]
    assert [str(2**53 + 1), "5"] == count["columns"]["max_at"]["value"]
    assert [str(T0), str(T0 + 3 * S)] == count["columns"]["max_at"]["time_ns"]
    assert [2.0**52, 2.5] == count["columns"]["mean"]["value"]
    assert ["2", "2"] == count["columns"]["count"]["value"]
    # (inf - 0) / 2 is a number that JSON has only as a word.
    assert [0.1, "Infinity"] == level["columns"]["mean"]["value"]
    assert [71, 192] == level["columns"]["mean"]["quality"]
    partial = [bool(bits & Info.PARTIAL) for bits in level["columns"]["mean"]["info"]]
    assert [False, True] == partial


async def test_get_asks_the_same_as_post(client: httpx.AsyncClient) -> None:
    names = ["first", "last", "time_in_state", "transitions"]
    posted = await client.post(
        "/aggregate", json={**ASKED, "points": [str(STATE)], "aggregates": names}
    )
    got = await client.get(
        "/aggregate", params={**ASKED, "points": str(STATE), "aggregates": ",".join(names)}
    )

    assert 200 == posted.status_code == got.status_code
    assert posted.content == got.content
    states = got.json()["points"][0]["states"]
    assert [str(S), "0"] == states["RUN"]
    # The newest sample counts for the smallest time.
    assert ["0", "1"] == states["@x"]


@pytest.mark.parametrize("id_", [SECRET, UUID(int=99)])
async def test_a_foreign_point_is_null_like_one_that_does_not_exist(
    client: httpx.AsyncClient, id_: UUID
) -> None:
    query = {**ASKED, "points": f"{COUNT},{id_}", "aggregates": "mean"}
    at = {"points": [str(id_)], "times": [str(T0)]}

    assert (await client.get("/aggregate", params=query)).json()["points"][1] is None
    assert 404 == (await client.get("/aggregate.csv", params=query)).status_code
    assert [None] == (await client.post("/at", json=at)).json()["points"]
    assert 404 == (await client.get(f"/points/{id_}/at", params={"times": "0"})).status_code
    assert 404 == (await client.get(f"/points/{id_}/gaps", params=SPAN)).status_code


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"every": "1y"}, 422),
        ({"every": "0s"}, 422),
        ({"every": "1ms", "to": str(T0 + 100 * S)}, 413),
        ({"every": "day", "zone": "Mars/Olympus"}, 422),
        ({"every": "day", "zone": "../../etc/passwd"}, 422),
        ({"aggregates": ["average"]}, 422),
        ({"aggregates": []}, 422),
        ({"points": []}, 422),
        ({"points": [str(COUNT)] * 1_001}, 422),
        ({"percent_good": 40.0, "percent_bad": 40.0}, 422),
        ({"percent_good": 101.0}, 422),
        ({"as_of": "99999999999"}, 422),
        ({"as_of": "yesterday"}, 422),
        ({"to": str(T0)}, 422),
        ({"hold": "yes"}, 422),
        ({"interpolation": "cubic"}, 422),
        ({"more": 1}, 422),
    ],
)
async def test_what_makes_no_sense_or_is_too_much_is_refused(
    client: httpx.AsyncClient, change: dict[str, object], status: int
) -> None:
    body = {**ASKED, "points": [str(COUNT)], "aggregates": ["mean"], **change}

    assert status == (await client.post("/aggregate", json=body)).status_code


async def test_csv_of_aggregates(client: httpx.AsyncClient) -> None:
    names = "max_at,last,percent_good"
    query = {**ASKED, "points": f"{COUNT},{STATE}", "aggregates": names}
    text = (await client.get("/aggregate.csv", params=query)).text

    rows = list(csv.DictReader(io.StringIO(text)))
    assert 12 == len(rows)
    assert str(2**53 + 1) == rows[0]["value"]
    assert "2026-09-21T14:13:20.000000000Z" == rows[0]["begin"] == rows[0]["time"]
    assert "partial" == rows[1]["info"]
    assert ("percent_good", "100.0", "%") == tuple(rows[4][key] for key in NAMED)
    # A text that a spreadsheet would run as a formula.
    assert ['\'=cmd|"x"', "'@x"] == [row["value"] for row in rows if row["aggregate"] == "last"][2:]


NAMED = ("aggregate", "value", "unit")


async def test_values_at_moments(client: httpx.AsyncClient) -> None:
    """Between the samples the one before is in force; sloped, a line passes over the bad one."""
    times = ",".join(str(T0 + n * S // 2) for n in (7, 1, -1))
    count = (await client.get(f"/points/{COUNT}/at", params={"times": times})).json()
    state = (await client.get(f"/points/{STATE}/at", params={"times": times})).json()
    sloped = {"times": str(T0 + 3 * S // 2), "interpolation": "sloped"}
    between = (await client.get(f"/points/{COUNT}/at", params=sloped)).json()
    empty = (await client.get(f"/points/{EMPTY}/at", params=sloped)).json()

    assert times.split(",") == count["time_ns"]
    assert ["5", str(2**53 + 1), None] == count["points"][0]["value"]
    assert [str(T0 + 3 * S), str(T0), None] == count["points"][0]["sample_ns"]
    assert ["@x", "RUN", None] == state["points"][0]["value"]
    assert [-0.5] == between["points"][0]["value"]
    assert [2] == between["points"][0]["info"]
    assert [None] == empty["points"][0]["value"]


async def test_gaps_say_why(client: httpx.AsyncClient) -> None:
    answer = (await client.get(f"/points/{LEVEL}/gaps", params=SPAN)).json()

    assert [
        {
            "begin_ns": str(T0 + S),
            "end_ns": str(T0 + 2 * S),
            "is_open": False,
            "began_before": False,
            "ends_behind": False,
            "quality": 2,
            "cause": "bad_no_communication",
        }
    ] == answer["gaps"]
    assert answer["is_complete"]


async def test_as_of_before_the_first_record_nothing_is_known(client: httpx.AsyncClient) -> None:
    """Log record 0 is before all; a time of receipt long ago is, too."""
    for as_of in ("0", "2001-01-01T00:00:00Z"):
        query = {**SPAN, "as_of": as_of}
        samples = (await client.get(f"/points/{COUNT}/samples", params=query)).json()
        last = (await client.get("/points/last", params={"ids": str(COUNT), "as_of": as_of})).json()
        asked = {**ASKED, "points": str(COUNT), "aggregates": "count", "as_of": as_of}
        aggregates = (await client.get("/aggregate", params=asked)).json()

        assert [] == samples["value"]
        assert [None] == last["values"]
        assert "0" == aggregates["sequence"]
        assert [None, None] == aggregates["points"][0]["columns"]["count"]["value"]


async def test_as_of_the_newest_record_everything_is_known(client: httpx.AsyncClient) -> None:
    everything = (await client.get(f"/points/{COUNT}/samples", params=SPAN)).json()
    sequence = (await client.get(f"/points/{COUNT}/gaps", params=SPAN)).json()["sequence"]
    for as_of in (sequence, "2100-01-01T00:00:00Z"):
        answer = await client.get(f"/points/{COUNT}/samples", params={**SPAN, "as_of": as_of})
        assert everything == answer.json()
        last = await client.get("/points/last", params={"ids": str(COUNT), "as_of": as_of})
        assert "5" == last.json()["values"][0]["value"]


async def test_results_say_their_own_unit(client: httpx.AsyncClient) -> None:
    """A total is unit x seconds, a variance the unit squared; JSON and CSV agree."""
    names = ["mean", "total", "var_sample", "percent_good", "duration_good", "count"]
    query = {**ASKED, "points": str(LEVEL), "aggregates": ",".join(names), "every": "all"}

    [found] = (await client.get("/aggregate", params=query)).json()["points"]
    text = (await client.get("/aggregate.csv", params=query)).text

    units = ["m", "m.s", "(m)2", "%", "ns", ""]
    assert units == [found["columns"][name]["unit"] for name in names]
    assert units == [row["unit"] for row in csv.DictReader(io.StringIO(text))]
