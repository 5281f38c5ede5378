"""Values from registers: golden vectors by struct, and a naive decoder as an oracle."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modbus_kit import bind, samples, words

from penstock.connectors.modbus import ModbusConfig, ModbusDevice
from penstock.connectors.modbus.decode import decoders, text_of
from penstock.connectors.modbus.layout import DeviceMemory, plan_spans
from penstock.connectors.modbus.points import ModbusValue, compile_point, ratio
from penstock.model import Flag, Quality, TimeOrigin
from penstock.plugin import Reading

FORMATS = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q",
    "float32": "f", "float64": "d",
}  # fmt: skip
GOLDEN = {
    "int16": -12_345, "uint16": 54_321, "int32": -1_234_567_890, "uint32": 3_456_789_012,
    "int64": -(2**62) - 12_345, "uint64": 2**62 + 987_654_321, "float32": -1234.5678,
    "float64": math.pi * 1e100,
}  # fmt: skip
# The wire's bytes, as indices into the big-endian bytes of the value, written out by hand.
ARRIVAL = {
    (2, "ABCD"): [0, 1],
    (2, "CDAB"): [0, 1],
    (2, "BADC"): [1, 0],
    (2, "DCBA"): [1, 0],
    (4, "ABCD"): [0, 1, 2, 3],
    (4, "CDAB"): [2, 3, 0, 1],
    (4, "BADC"): [1, 0, 3, 2],
    (4, "DCBA"): [3, 2, 1, 0],
    (8, "ABCD"): [0, 1, 2, 3, 4, 5, 6, 7],
    (8, "CDAB"): [6, 7, 4, 5, 2, 3, 0, 1],
    (8, "BADC"): [1, 0, 3, 2, 5, 4, 7, 6],
    (8, "DCBA"): [7, 6, 5, 4, 3, 2, 1, 0],
    (8, "CDABGHEF"): [2, 3, 0, 1, 6, 7, 4, 5],
}
CASES = [
    (name, order)
    for name, letter in FORMATS.items()
    for width, order in ARRIVAL
    if struct.calcsize(letter) == width
]


def compiled(rows: list[dict[str, Any]]) -> list[ModbusValue]:
    config = ModbusConfig(host="h")
    values = []
    for binding in bind(rows):
        value, problems = compile_point(binding, config, {"h": ModbusDevice(host="h")})
        assert value is not None, problems
        values.append(value)
    return values


def decode(rows: list[dict[str, Any]], registers: list[int]) -> dict[int, Any]:
    """Decode rows whose addresses point into `registers`, which begin at holding 0."""
    points = compiled(rows)
    spans = plan_spans(points, DeviceMemory(125, 16))
    data = struct.pack(f">{len(registers)}H", *registers)
    pieces = [data[2 * span.begin : 2 * (span.begin + span.count)] for span in spans]
    slots = [sum(map(len, pieces[:i])) for i in range(len(pieces))]
    buffer = np.frombuffer(b"".join(pieces), np.uint8)
    quality = np.full(len(points), Quality.GOOD, np.uint8)
    time_ns = np.arange(len(points), dtype=np.int64)
    made = decoders(points, spans, slots)
    frames = tuple(decoder.decode(buffer, quality, time_ns) for decoder in made)
    found = samples(Reading(frames))
    assert list(range(len(points))) == sorted(found)
    assert all(found[i].time_ns == i for i in found)
    return found


@pytest.mark.parametrize(("name", "order"), CASES)
def test_golden_vectors(name: str, order: str) -> None:
    letter = FORMATS[name]
    native = struct.pack(f">{letter}", GOLDEN[name])
    wire = bytes(native[i] for i in ARRIVAL[len(native), order])
    kind = "float" if letter in "fd" else "int"

    found = decode(
        [{"address": "40002", "type": name, "order": order, "kind": kind}], [7, *words(wire)]
    )

    assert struct.unpack(f">{letter}", native)[0] == found[0].value
    assert Quality.GOOD == found[0].quality
    assert TimeOrigin.RECEIPT == found[0].flags


@pytest.mark.parametrize("raw", [2**63, 2**64 - 2, 2**64 - 1])
def test_an_unsigned_counter_that_no_point_can_hold_is_bad_and_never_another_number(
    raw: int,
) -> None:
    """Its neighbours of the same request and type are not touched."""
    row = {"type": "uint64", "kind": "int", "low": -1e19, "high": 1e19}
    rows = [{**row, "address": f"holding {4 * n}"} for n in range(3)]
    found = decode(rows, [*words(struct.pack(">3Q", 2**63 - 1, raw, 0))])

    assert (0, Quality.BAD_DECODING) == (found[1].value, found[1].quality)
    assert TimeOrigin.RECEIPT | Flag.NO_VALUE == found[1].flags
    assert [2**63 - 1, 0] == [found[n].value for n in (0, 2)]
    assert [Quality.GOOD] * 2 == [found[n].quality for n in (0, 2)]


def test_all_ones_that_mean_no_value_are_a_failed_sensor() -> None:
    """What a person has declared goes before what we cannot hold."""
    row = {"address": "40001", "type": "uint64", "kind": "int", "invalid": "0xFFFFFFFFFFFFFFFF"}
    found = decode([row], [0xFFFF] * 4)

    assert (0, Quality.BAD_SENSOR_FAILURE) == (found[0].value, found[0].quality)


def test_a_negative_number_of_64_bits_is_still_one() -> None:
    found = decode([{"address": "40001", "type": "int64", "kind": "int"}], [0xFFFF] * 4)

    assert (-1, Quality.GOOD) == (found[0].value, found[0].quality)


@pytest.mark.parametrize(
    ("registers", "value"), [([0x1234], 1234), ([0x0000], 0), ([0x9999], 9999)]
)
def test_bcd(registers: list[int], value: int) -> None:
    found = decode([{"address": "40001", "type": "bcd16", "kind": "int"}], registers)

    assert value == found[0].value


@pytest.mark.parametrize("register", [0x123A, 0xF000, 0x0B00])
def test_a_nibble_above_nine_is_no_digit(register: int) -> None:
    found = decode([{"address": "40001", "type": "bcd32", "kind": "int"}], [0x1234, register])

    assert (0, Quality.BAD_DECODING) == (found[0].value, found[0].quality)
    assert Flag.NO_VALUE & found[0].flags


@pytest.mark.parametrize("raw", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["float32", "float64"])
def test_no_number_is_a_broken_sensor(raw: float, name: str) -> None:
    data = struct.pack(f">{FORMATS[name]}", raw)
    found = decode([{"address": "40001", "type": name}], words(data))

    assert Quality.BAD_SENSOR_FAILURE == found[0].quality
    assert math.isnan(found[0].value)
    assert TimeOrigin.RECEIPT | Flag.NO_VALUE == found[0].flags


@pytest.mark.parametrize(
    ("name", "invalid", "registers"),
    [
        ("int16", "0x8000", [0x8000]),
        ("int16", "-32768", [0x8000]),
        ("uint16", "0x8000;0xFFFF", [0xFFFF]),
        ("int32", "0x80000000", [0x8000, 0]),
        ("uint32", "4294967295", [0xFFFF, 0xFFFF]),
        ("float32", "-9999", words(struct.pack(">f", -9999.0))),
        ("float32", "0x7F7FFFFF", [0x7F7F, 0xFFFF]),
        ("bcd16", "9999", [0x9999]),
    ],
)
def test_sentinels(name: str, invalid: str, registers: list[int]) -> None:
    row = {"address": "40001", "type": name, "invalid": invalid}
    found = decode([row, {"address": "40001", "type": name}], registers)

    assert [Quality.BAD_SENSOR_FAILURE, Quality.GOOD] == [found[0].quality, found[1].quality]


def test_out_of_the_instruments_range_keeps_its_value() -> None:
    row = {"address": "40001", "type": "int16", "scale": 0.1, "low": 0, "high": 100}
    found = decode(
        [row, {**row, "address": "40002"}, {**row, "address": "40003"}], [999, 1001, 65_535]
    )

    assert [99.9, 100.1, -0.1] == [found[i].value for i in range(3)]
    assert [192, 65, 65] == [found[i].quality for i in range(3)]


@pytest.mark.parametrize("scale", [0.1, 0.01, 0.001, 0.05, 0.25])
def test_decimal_scales_give_decimals(scale: float) -> None:
    """123 x 0.1 is 12.3 and not 12.300000000000001, for each 16-bit value."""
    n = round(1 / scale)
    rows = [{"address": f"holding {i}", "type": "uint16", "scale": scale} for i in range(2_000)]
    found = decode(rows, list(range(2_000)))

    assert [i / n for i in range(2_000)] == [found[i].value for i in range(2_000)]
    assert (1.0, float(n)) == ratio(scale)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"PUMP 1\0\0\xff", "PUMP 1"),
        (b"trim    ", "trim"),
        ("Süd".encode(), "Süd"),
        ("Süd".encode("latin-1"), "Süd"),
        (b"", ""),
        (b"a\x01b", None),
        (b"\x80\x81", None),
    ],
)
def test_texts(data: bytes, text: str | None) -> None:
    assert text == text_of(data)


def test_strings_may_be_swapped() -> None:
    rows = [
        {"address": "40001", "type": "string:5", "kind": "text"},
        {"address": "40004", "type": "string:5", "order": "BADC", "kind": "text"},
        {"address": "40007", "type": "string:4", "kind": "text"},
    ]
    found = decode(rows, words(b"HELLO\0" + b"EHLL\0O" + b"a\x01b\0"))

    assert ["HELLO", "HELLO", ""] == [found[i].value for i in range(3)]
    assert [192, 192, Quality.BAD_DECODING] == [found[i].quality for i in range(3)]


def test_bits_of_registers() -> None:
    rows = [{"address": f"40001.{bit}", "kind": "int"} for bit in range(16)]
    swapped = [{**row, "order": "BADC"} for row in rows]
    found = decode([*rows, *swapped], [0xA005])

    expected = [0xA005 >> bit & 1 for bit in range(16)]
    assert expected == [found[i].value for i in range(16)]
    assert [0x05A0 >> bit & 1 for bit in range(16)] == [found[i].value for i in range(16, 32)]


# --- the whole of a block against a decoder that takes one value at a time


def naive(row: dict[str, Any], registers: list[int]) -> tuple[float | int | None, int]:
    """What one row means, the slow way."""
    begin = int(row["address"].split()[1])
    letter = FORMATS[row["type"]]
    width = struct.calcsize(letter)
    wire = struct.pack(f">{width // 2}H", *registers[begin : begin + width // 2])
    native = bytearray(width)
    for place, index in enumerate(ARRIVAL[width, row["order"]]):
        native[index] = wire[place]
    value = struct.unpack(f">{letter}", bytes(native))[0]
    if not math.isfinite(value):
        return None, Quality.BAD_SENSOR_FAILURE
    if row["kind"] == "int":
        return value, Quality.GOOD
    factor, divisor = (1.0, 10.0) if row["scale"] == 0.1 else (row["scale"], 1.0)
    number = float(value) * factor / divisor + row["offset"]
    if not math.isfinite(number):
        return None, Quality.BAD_SENSOR_FAILURE
    low, high = row.get("low", -math.inf), row.get("high", math.inf)
    is_outside = not low <= number <= high
    return number, Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED if is_outside else Quality.GOOD


@st.composite
def point_rows(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from([name for name in FORMATS if name != "uint64"]))
    width = struct.calcsize(FORMATS[name])
    row: dict[str, Any] = {
        "type": name,
        "order": draw(st.sampled_from([order for w, order in ARRIVAL if w == width])),
        "address": f"holding {draw(st.integers(0, 60 - width // 2))}",
        "kind": draw(st.sampled_from(["float"] if name[0] == "f" else ["float", "int"])),
    }
    if row["kind"] == "float":
        row["scale"] = draw(st.sampled_from([1.0, 0.1, -2.5, 3.0]))
        row["offset"] = draw(st.sampled_from([0.0, -40.0]))
        if draw(st.booleans()):
            row |= {"low": -1_000.0, "high": 1_000.0}
    return row


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    st.lists(point_rows(), min_size=1, max_size=40),
    st.lists(st.integers(0, 0xFFFF), min_size=60, max_size=60),
)
def test_a_batch_equals_a_naive_decoder(rows: list[dict[str, Any]], registers: list[int]) -> None:
    found = decode(rows, registers)

    for handle, row in enumerate(rows):
        value, quality = naive({"scale": 1.0, "offset": 0.0, **row}, registers)
        assert quality == found[handle].quality
        if value is None:
            assert math.isnan(found[handle].value)
        else:
            assert value == found[handle].value
