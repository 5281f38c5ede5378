"""What the device makes of a value; for Modbus exactly as the connector itself writes and reads."""

from __future__ import annotations

import struct
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.commands.held import held_of, held_refusal
from penstock.connectors.modbus import Modbus
from penstock.connectors.modbus.address import parse_address
from penstock.connectors.modbus.config import ModbusPoint
from penstock.connectors.modbus.encoding import byte_places, parse_type
from penstock.connectors.modbus.points import ModbusValue, ratio
from penstock.connectors.modbus.write import raw_registers
from penstock.model import Point, ValueKind
from penstock.plugin import PointBinding, Resolution

PERCENT = Resolution("count")
TENTHS = Resolution("count", divisor=10.0)
FLOAT32 = Resolution("float32")


def point(low: float | None = None, high: float | None = None) -> Point:
    return Point(
        UUID(int=1), 1, "plant/p", "plant", "p", ValueKind.FLOAT,
        writable=True, command_low=low, command_high=high, unit="%",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("resolution", "value", "held"),
    [
        (PERCENT, 33.4, 33.0),
        (PERCENT, 33.5, 34.0),
        (TENTHS, 33.44, 33.4),
        (Resolution("count", factor=5.0, offset=2.0), 33.4, 32.0),
        (Resolution("count", factor=-2.0), 33.4, 34.0),
        (FLOAT32, 47.3, struct.unpack("<f", struct.pack("<f", 47.3))[0]),
        (FLOAT32, 16_777_217.0, 16_777_216.0),
        (FLOAT32, 1e39, np.inf),
        (PERCENT, 1e308, 1e308),
        (Resolution("count", divisor=10.0), 1e308, np.inf),
        (Resolution("float64"), 0.1, 0.1),
        (Resolution(), 33.4, 33.4),
    ],
)
def test_what_a_device_holds(resolution: Resolution, value: float, held: float) -> None:
    assert held == held_of(value, ValueKind.FLOAT, resolution)


def test_whole_numbers_and_texts_are_held_as_they_are() -> None:
    assert 2**53 + 1 == held_of(2**53 + 1, ValueKind.INT, TENTHS)
    assert "RUN" == held_of("RUN", ValueKind.TEXT, TENTHS)


@given(
    st.sampled_from(["int16", "uint16", "int32", "uint32", "bcd16", "float32", "float64"]),
    st.sampled_from([1.0, 0.1, 0.01, 0.3, 5.0, -2.0]),
    st.sampled_from([0.0, -40.0, 273.15]),
    st.floats(-1e4, 1e4),
)
def test_it_is_what_the_registers_then_say(
    name: str, scale: float, offset: float, value: float
) -> None:
    """Not nearly: the read-back is compared to the last digit."""
    settings = ModbusPoint(address="holding 0", type=name, scale=scale, offset=offset)
    kind = parse_type(name)
    factor, divisor = ratio(scale)
    wired = ModbusValue(
        handle=1, path="p", kind=ValueKind.FLOAT, device="", period_ns=1,
        address=parse_address("holding 0"), type=kind, places=byte_places(kind, "ABCD"),
        factor=factor, divisor=divisor, shift=offset,
    )  # fmt: skip
    try:
        registers = raw_registers(wired, value)
    except ValueError:
        return  # does not fit the register: nothing is written
    words = b"".join(register.to_bytes(2, "big") for register in registers)
    if name.startswith("bcd"):
        raw = float(int(words.hex()))
    else:
        raw = float(np.frombuffer(words, np.dtype(kind.dtype).newbyteorder(">"))[0])
    read = np.float64(raw) * factor / divisor + offset

    binding = PointBinding(1, "p", ValueKind.FLOAT, settings, "row 1")
    assert read == held_of(value, ValueKind.FLOAT, Modbus.resolution(binding))


def test_a_value_that_rounds_out_of_its_range_is_refused() -> None:
    """100 is allowed, but steps of 3 make 99 of it or 102."""
    steps = Resolution("count", factor=3.0)
    allowed = point(1.0, 100.0)
    refused = held_refusal(allowed, 1.4, held_of(1.4, ValueKind.FLOAT, steps), steps)

    assert refused is not None
    assert "out_of_range" == refused.code
    assert (1.4, 0.0) == (refused.params["value"], refused.params["held"])
    assert held_refusal(allowed, 100.0, 99.0, steps) is None


def test_what_no_register_holds_is_refused_without_a_range() -> None:
    refused = held_refusal(point(), 1e39, FLOAT32.held(1e39), FLOAT32)

    assert refused is not None
    assert refused.params["held"] is None


@pytest.mark.parametrize("bound", [0.1, 0.3, 47.3, 1e-3])
def test_the_bound_of_a_range_stays_allowed_where_no_float32_holds_it(bound: float) -> None:
    held = FLOAT32.held(bound)

    assert held != bound
    assert held_refusal(point(bound, bound), bound, held, FLOAT32) is None


def test_a_bound_that_only_binary_arithmetic_misses_stays_allowed() -> None:
    thirds = Resolution("count", factor=0.3)

    assert thirds.held(0.9) < 0.9
    assert held_refusal(point(0.9, 9.0), 0.9, thirds.held(0.9), thirds) is None
