"""Types and byte orders of values in registers.

Modbus defines neither. An order names where the value's bytes A (highest) to H
lie as they arrive: CDAB is "low word first", BADC "bytes swapped in each word".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from penstock.model import ValueKind

STRING_CHARACTERS_MAX = 250


class Form(Enum):
    """How the raw bits become a number or a text."""

    BIT = "bit"
    SIGNED = "signed"
    UNSIGNED = "unsigned"
    FLOAT = "float"
    BCD = "bcd"
    STRING = "string"


@dataclass(frozen=True, slots=True)
class ValueType:
    """`registers` is the width on the wire; `dtype` is the native numpy type of the raw value."""

    name: str
    form: Form
    registers: int
    dtype: str

    @property
    def byte_count(self) -> int:
        """Width on the wire in bytes."""
        return 2 * self.registers


_TYPES = (
    ValueType("bool", Form.BIT, 1, "<u2"),
    ValueType("int16", Form.SIGNED, 1, "<i2"),
    ValueType("uint16", Form.UNSIGNED, 1, "<u2"),
    ValueType("int32", Form.SIGNED, 2, "<i4"),
    ValueType("uint32", Form.UNSIGNED, 2, "<u4"),
    ValueType("int64", Form.SIGNED, 4, "<i8"),
    ValueType("uint64", Form.UNSIGNED, 4, "<u8"),
    ValueType("float32", Form.FLOAT, 2, "<f4"),
    ValueType("float64", Form.FLOAT, 4, "<f8"),
    ValueType("bcd16", Form.BCD, 1, "<u2"),
    ValueType("bcd32", Form.BCD, 2, "<u4"),
)
TYPE_BY_NAME = {value_type.name: value_type for value_type in _TYPES}

# For each width in bytes: order as written by people -> where A, B, C ... arrive.
ORDERS_BY_WIDTH: dict[int, dict[str, str]] = {
    2: {"ABCD": "AB", "CDAB": "AB", "BADC": "BA", "DCBA": "BA", "AB": "AB", "BA": "BA"},
    4: {order: order for order in ("ABCD", "CDAB", "BADC", "DCBA")},
    8: {
        "ABCD": "ABCDEFGH",
        "CDAB": "GHEFCDAB",
        "BADC": "BADCFEHG",
        "DCBA": "HGFEDCBA",
        "ABCDEFGH": "ABCDEFGH",
        "GHEFCDAB": "GHEFCDAB",
        "BADCFEHG": "BADCFEHG",
        "HGFEDCBA": "HGFEDCBA",
        "CDABGHEF": "CDABGHEF",
    },
}


def parse_type(text: str) -> ValueType:
    """Type by its name, "string:12" for 12 characters; ValueError lists what there is."""
    name = text.strip().lower()
    if name in TYPE_BY_NAME:
        return TYPE_BY_NAME[name]
    match = re.fullmatch(r"string:(\d{1,3})", name)
    if match is None:
        raise ValueError(f"{text!r} is not a type; there are {', '.join(TYPE_BY_NAME)}, string:N")
    count = int(match[1])
    if not 1 <= count <= STRING_CHARACTERS_MAX:
        raise ValueError(f"{text!r}: a string has 1 to {STRING_CHARACTERS_MAX} characters")
    return ValueType(f"string:{count}", Form.STRING, (count + 1) // 2, "u1")


def byte_places(value_type: ValueType, order: str) -> tuple[int, ...]:
    """Offsets on the wire of the value's bytes, lowest byte first (strings: first byte first).

    >>> byte_places(parse_type("float32"), "CDAB")
    (1, 0, 3, 2)
    """
    if value_type.form is Form.STRING:
        is_swapped = wire_order(value_type, order) == "BA"
        return tuple(index ^ 1 if is_swapped else index for index in range(value_type.byte_count))
    arrival = wire_order(value_type, order)
    letters = sorted(arrival, reverse=True)
    return tuple(arrival.index(letter) for letter in letters)


def wire_order(value_type: ValueType, order: str) -> str:
    """Letters in the order of arrival; ValueError when the order does not fit the width."""
    width = 2 if value_type.form is Form.STRING else value_type.byte_count
    orders = ORDERS_BY_WIDTH[width]
    if order.upper() not in orders:
        raise ValueError(f"{order!r} is not an order of {value_type.name}: {', '.join(orders)}")
    return orders[order.upper()]


def kind_problem(value_type: ValueType, kind: ValueKind) -> str | None:
    """Why a point of this kind cannot take values of this type; None when it can."""
    if kind is ValueKind.WAVEFORM:
        return "registers hold single values; kind waveform is for connectors that read bursts"
    if (value_type.form is Form.STRING) != (kind is ValueKind.TEXT):
        return f"kind {kind.name.lower()} does not fit type {value_type.name}"
    if value_type.form is Form.FLOAT and kind is ValueKind.INT:
        return f"type {value_type.name} needs kind float"
    if value_type.form is Form.BIT and kind is ValueKind.FLOAT:
        return "type bool needs kind int (0 and 1)"
    return None
