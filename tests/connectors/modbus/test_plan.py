"""Plans without connecting: lines, groups, requests, and every problem at once."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modbus_kit import bind, make
from test_decode import compiled

from penstock.connectors.modbus import Modbus, ModbusConfig
from penstock.connectors.modbus.layout import DeviceMemory, plan_spans, split_span

LINE = ModbusConfig(host="10.0.0.1")


def problems(rows: list[dict[str, Any]], config: ModbusConfig = LINE) -> list[str]:
    plan = Modbus.plan("plc", config, bind(rows))
    return [str(problem) for problem in plan.problems]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"address": "40000", "type": "int16"}, "references count from 1"),
        ({"address": "nonsense", "type": "int16"}, "is not a Modbus address"),
        ({"address": "40001"}, "a register needs one of"),
        ({"address": "40001", "type": "real"}, "'real' is not a type"),
        ({"address": "40001", "type": "float32", "order": "ACBD"}, "is not an order of float32"),
        ({"address": "40001", "type": "float32", "kind": "int"}, "needs kind float"),
        ({"address": "40001", "type": "int16", "kind": "text"}, "does not fit type int16"),
        ({"address": "40001", "type": "int16", "kind": "waveform"}, "registers hold single values"),
        ({"address": "40001", "type": "string:4"}, "does not fit type string:4"),
        ({"address": "40001", "type": "string:0", "kind": "text"}, "1 to 250 characters"),
        ({"address": "00001"}, "bool needs kind int"),
        ({"address": "40001", "type": "bool", "kind": "int"}, "bool needs a bit"),
        ({"address": "40001.3", "type": "int16"}, "is a bit, not int16"),
        ({"address": "0x0010", "type": "uint16"}, "if the number was meant in hex"),
        ({"address": "465536", "type": "float32"}, "ends behind the last register"),
        ({"address": "40001", "type": "int16", "kind": "int", "scale": 0.1}, "needs kind float"),
        ({"address": "40001", "type": "int16", "scale": 0.0}, "every value the same"),
        ({"address": "30001", "type": "int16", "writable": True}, "is read-only"),
        ({"address": "40001", "type": "int16", "device": "other"}, "there is no 'other'"),
        ({"address": "40001", "type": "int16", "invalid": "0x18000"}, "is no raw int16"),
        ({"address": "40001", "type": "int16", "invalid": "40000"}, "is no raw int16"),
        ({"address": "40001", "type": "string:9", "kind": "text", "invalid": "1"}, "sentinels"),
    ],
)
def test_a_problem_names_its_row_and_remedy(row: dict[str, Any], words: str) -> None:
    found = problems([{"address": "40001", "type": "int16"}, row])

    assert [True] == ["points.csv:3: " in text and words in text for text in found]


def test_all_problems_come_at_once() -> None:
    rows = [
        {"address": "x", "type": "y", "order": "z", "device": "none"},
        {"address": "40001", "type": "int16"},
        {"address": "30001", "type": "float32", "kind": "int", "writable": True},
    ]

    assert 3 + 2 == len(problems(rows))


def test_the_same_unit_twice_is_a_problem() -> None:
    devices = {"a": {"host": "PLC", "unit_id": 3}, "b": {"host": "plc", "unit_id": 3}}
    config = ModbusConfig.model_validate({"devices": devices})

    assert ["is the same unit as 'a'"] == [t[15:39].strip() for t in problems([], config)] or (
        "is the same unit as 'a'" in problems([], config)[0]
    )


def test_broadcast_is_never_written() -> None:
    config = ModbusConfig(host="plc", unit_id=0)
    row = {"address": "40001", "type": "int16"}

    assert [] == problems([row], config)
    assert "broadcast" in problems([{**row, "writable": True}], config)[0]


def test_a_busy_line_is_a_warning_that_names_the_worst_group() -> None:
    rows = [{"address": f"holding {200 * i}", "type": "int16", "rate_s": 0.1} for i in range(100)]
    plan = Modbus.plan("plc", LINE, bind([*rows, {"address": "40001", "type": "int16"}]))

    assert [True] == [p.is_warning and "plc every 0.1 s" in p.message for p in plan.problems]


def test_one_line_for_each_host_and_port() -> None:
    devices = {
        "a": {"host": "gateway", "unit_id": 1},
        "b": {"host": "gateway", "unit_id": 2},
        "c": {"host": "other"},
        "empty": {"host": "nobody"},
    }
    config = ModbusConfig.model_validate({"devices": devices})
    rows = [{"address": "40001", "type": "int16", "device": name} for name in "cab"]
    plan = Modbus.plan("plc", config, bind(rows))

    assert [("gateway:502", ("a", "b")), ("other:502", ("c",))] == [
        (line.address, line.devices) for line in plan.lines
    ]
    assert [[1, 2], [0]] == [[p.handle for p in line.points] for line in plan.lines]
    assert not any(line.is_protected for line in plan.lines)


@pytest.mark.parametrize("settings", [{}, {"host": "a", "devices": {"b": {"host": "c"}}}])
def test_host_or_devices(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give"):
        ModbusConfig.model_validate(settings)


def test_blank_cells_are_defaults_and_texts_are_numbers() -> None:
    row = {
        "address": "40001", "type": "uint16", "order": "", "scale": "0.1", "offset": "",
        "rate_s": "5", "writable": "true", "device": "", "invalid": "",
    }  # fmt: skip
    group = make([row], 502).groups()[0]

    assert 5_000_000_000 == group.period_ns


def test_a_hundred_adjacent_tags_cost_one_request() -> None:
    rows = [{"address": f"{40_001 + i}", "type": "uint16"} for i in range(100)]

    assert [1] == [group.requests for group in make(rows, 502).groups()]


@pytest.mark.parametrize(("gap", "requests"), [(16, 1), (17, 2)])
def test_small_gaps_are_read_along(gap: int, requests: int) -> None:
    rows = [
        {"address": "holding 0", "type": "uint16"},
        {"address": f"holding {gap + 1}", "type": "uint16"},
    ]

    assert [requests] == [group.requests for group in make(rows, 502).groups()]


def test_tables_and_rates_are_never_merged() -> None:
    rows = [
        {"address": "40001", "type": "uint16"},
        {"address": "30001", "type": "uint16"},
        {"address": "40002", "type": "uint16", "rate_s": 10},
    ]

    assert [2, 1] == [group.requests for group in make(rows, 502).groups()]


@given(
    st.lists(st.tuples(st.integers(0, 600), st.sampled_from(["int16", "float32", "int64"]))),
    st.integers(4, 125),
    st.integers(0, 40),
)
def test_spans_cover_each_value_whole_and_keep_the_limit(
    places: list[tuple[int, str]], limit: int, gap: int
) -> None:
    points = compiled([{"address": f"holding {at}", "type": name} for at, name in places])
    spans = plan_spans(points, DeviceMemory(limit, gap))

    assert list(range(len(points))) == sorted(i for span in spans for i in span.points)
    for span in spans:
        assert 1 <= span.count <= limit
        for i in span.points:
            assert span.begin <= points[i].begin
            assert points[i].end <= span.begin + span.count


@given(st.lists(st.integers(0, 120), min_size=2, unique=True))
def test_halves_keep_every_point(places: list[int]) -> None:
    points = compiled([{"address": f"holding {at}", "type": "int16"} for at in places])
    (span, *rest) = plan_spans(points, DeviceMemory(125, 124))
    halves = split_span(points, span)

    assert [] == rest
    assert halves is not None
    assert sorted(span.points) == sorted(halves[0].points + halves[1].points)
    assert halves[0].begin + halves[0].count == halves[2][0] <= halves[2][1] == halves[1].begin


def test_values_that_overlap_are_not_torn() -> None:
    points = compiled(
        [{"address": "holding 0", "type": "int64"}, {"address": "holding 2", "type": "int32"}]
    )
    (span,) = plan_spans(points, DeviceMemory(125, 16))

    assert split_span(points, span) is None


def test_five_thousand_rows_are_checked_quickly() -> None:
    rows = [{"address": f"holding {2 * i}", "type": "float32"} for i in range(5_000)]
    bindings = bind(rows)
    began = time.monotonic()
    plan = Modbus.plan("plc", LINE, bindings)

    assert () == plan.problems
    assert time.monotonic() - began < 2.5
