"""Addresses of registers and bits: five notations, one (table, zero-based offset, bit).

Manuals count references from 1 and the protocol counts from 0, so both numbers
are always shown side by side. "0x0001" is the reference of the first coil, the
sibling of "4x0001", and not a hexadecimal number: hex needs a table's name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

ADDRESSES = 65_536
REGISTER_BITS = 16


class Table(IntEnum):
    """The four tables; the number is the first digit of a reference."""

    COIL = 0
    DISCRETE = 1
    INPUT = 3
    HOLDING = 4

    @property
    def is_bits(self) -> bool:
        """Coils and discrete inputs are bits, the others 16-bit registers."""
        return self in (Table.COIL, Table.DISCRETE)

    @property
    def is_writable(self) -> bool:
        """Coils and holding registers can be written."""
        return self in (Table.COIL, Table.HOLDING)

    @property
    def read_function(self) -> int:
        """Function code that reads the table."""
        return _READ_FUNCTION[self]


_READ_FUNCTION = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}
_TABLE_BY_NAME = {
    "coil": Table.COIL,
    "co": Table.COIL,
    "discrete": Table.DISCRETE,
    "di": Table.DISCRETE,
    "input": Table.INPUT,
    "ir": Table.INPUT,
    "holding": Table.HOLDING,
    "hr": Table.HOLDING,
}
_REFERENCE = re.compile(r"([0134])(\d{4}|\d{5})\Z")
_X_REFERENCE = re.compile(r"([0134])x(\d{1,6})\Z")
_NAMED = re.compile(r"([a-z]+)[ :]*(?:0x([0-9a-f]{1,4})|([0-9a-f]{1,4})h|(\d{1,5}))\Z")
_HELP = "write 40001, 400001, 4x0001, holding 0 or holding 0x0000"


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """One place in a device: `offset` as on the wire; `bit` inside a register, 0 is the lowest."""

    table: Table
    offset: int
    bit: int | None = None

    def __str__(self) -> str:
        bit = "" if self.bit is None else f".{self.bit}"
        return f"{self.table.name.lower()} {self.offset}{bit} ({self.reference})"

    @property
    def reference(self) -> str:
        """The number in manuals: 40001, or 410001 with six digits where five are too few."""
        digits = 4 if self.offset < 9_999 else 5
        bit = "" if self.bit is None else f".{self.bit}"
        return f"{self.table:d}{self.offset + 1:0{digits}d}{bit}"


def parse_address(text: str) -> Address:
    """Read any of the five notations; ValueError says what to write instead."""
    place, dot, bit_text = text.strip().lower().partition(".")
    table, offset = _parse_place(place.rstrip(), text)
    if not 0 <= offset < ADDRESSES:
        raise ValueError(f"{text!r} is outside the {ADDRESSES} addresses of a table")
    if not dot:
        return Address(table, offset)
    if table.is_bits:
        raise ValueError(f"{text!r} is a bit already; leave out .{bit_text}")
    if not re.fullmatch(r"[0-9]{1,2}", bit_text) or int(bit_text) >= REGISTER_BITS:
        raise ValueError(f"{text!r}: the bit of a register is 0 (lowest) to 15")
    return Address(table, offset, int(bit_text))


def _parse_place(place: str, text: str) -> tuple[Table, int]:
    match = _REFERENCE.match(place) or _X_REFERENCE.match(place)
    if match:
        if int(match[2]) == 0:
            raise ValueError(f"{text!r}: references count from 1; {_HELP}")
        return Table(int(match[1])), int(match[2]) - 1
    named = _NAMED.match(place)
    if named and named[1] in _TABLE_BY_NAME:
        digits = named[2] or named[3]
        return _TABLE_BY_NAME[named[1]], int(digits, 16) if digits else int(named[4])
    raise ValueError(f"{text!r} is not a Modbus address; {_HELP}")
