"""`read --aggregate` in its three forms against a whole running Penstock, and its words."""

from __future__ import annotations

import csv
import io
import json
import time

import pytest
from product import Product

from penstock.cli.read_aggregates import _words, short_time

FLOW = {"path": "W/flow", "unit": "m3/h", "unit_label": "m³/h", "decimals": 1, "labels": None}
PLAIN = {**FLOW, "unit": "", "unit_label": "", "decimals": None}
SPEED = "Lakeside Water/Intake/P-101/speed"
STATE = "Lakeside Water/Intake/P-101/state"
NAMES = "total,var_sample,max_at,time_in_state,percent_good"
T0 = 1_790_000_000_000_000_000


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("mean", 12.3456789, "12.3 m³/h"),
        ("total", 123456.789, "123457 m³/h·s"),
        ("var_sample", 1.23456789, "1.23457 (m³/h)²"),
        ("percent_good", 99.99, "99.99 %"),
        ("duration_bad", "1500000000", "1.5 s"),
        ("count", "17", "17"),
        ("worst_quality", "2", "bad_no_communication"),
        ("mean", None, "-"),
    ],
)
def test_a_result_is_said_in_its_own_unit(name: str, value: object, said: str) -> None:
    assert said == _words(FLOW, name, value)


def test_a_total_of_a_plain_number_is_in_seconds() -> None:
    assert "90 s" == _words(PLAIN, "total", 90.0)


def test_moments_are_those_of_the_zone_without_needless_digits() -> None:
    assert "2026-09-21 14:13:20" == short_time(T0, "UTC")
    assert "2026-09-21 16:13:20" == short_time(T0, "Europe/Berlin")
    assert short_time(T0, "UTC") + ".250" == short_time(T0 + 250_000_000, "UTC")


@pytest.fixture(scope="module")
def fed(product: Product) -> Product:
    """With some samples of the pump."""
    until = time.monotonic() + 60
    while True:
        done = product.cli("read", SPEED, STATE, "--from", "1h", "--json")
        if done.returncode == 0 and len(json.loads(done.stdout)) > 4:
            return product
        assert time.monotonic() < until, done.stderr
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_table_json_and_csv_say_the_same(fed: Product) -> None:
    end = json.loads(fed.cli("read", SPEED, "--json").stdout)[0]["time"]
    asked = ["read", SPEED, "--from", "2026-01-01T00:00:00Z", "--to", end, "--aggregate", NAMES]

    rows = json.loads(fed.cli(*asked, "--json").stdout)
    lines = list(csv.DictReader(io.StringIO(fed.cli(*asked, "--csv").stdout)))
    table = fed.cli(*asked).stdout.splitlines()

    assert {"total": "%.s", "var_sample": "(%)2", "percent_good": "%"}.items() <= {
        row["aggregate"]: row["unit"] for row in rows
    }.items()
    for name in ("aggregate", "begin", "end", "unit", "quality"):
        assert [row[name] for row in rows] == [line[name] for line in lines]
    assert [row["is_partial"] for row in rows] == ["partial" in line["info"] for line in lines]
    assert [row["time"] or "" for row in rows] == [line["time"] for line in lines]
    begins = [table[0].index(word) for word in ("END", "AGGREGATE", "VALUE", "QUALITY", "POINT")]
    assert all(line[at - 1] == " " and line[at] != " " for line in table[1:] for at in begins[:1])
    assert any("%·s" in line and " partial " in line for line in table)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_time_in_state_names_the_states(fed: Product) -> None:
    asked = ["read", STATE, "--from", "1h", "--aggregate", "time_in_state"]

    [row] = json.loads(fed.cli(*asked, "--json").stdout)
    table = fed.cli(*asked).stdout.splitlines()

    assert sum(map(int, row["states"].values())) == int(row["value"])
    assert len(table) == 2 + len(row["states"])


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_day_is_one_of_the_plant_and_says_so(fed: Product) -> None:
    asked = ["read", SPEED, "--from", "3d", "--aggregate", "count", "--every", "day"]
    zone = "UTC"
    for line in (fed.home / "penstock.toml").read_text().splitlines():
        zone = line.split('"')[1] if line.startswith("zone") else zone

    own, other = fed.cli(*asked), fed.cli(*asked, "--zone", "Asia/Tokyo")

    assert f"BEGIN ({zone})" in own.stdout
    assert zone in own.stderr
    assert "BEGIN (Asia/Tokyo)" in other.stdout
