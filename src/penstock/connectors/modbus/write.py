"""One value to one request: exact type, inverse scale, range of the raw type.

A bit in a register is written by FC22 (mask write) only: reading the word and
writing it back would overwrite what the device changed in between.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

from pymodbus.pdu.bit_message import WriteSingleCoilRequest
from pymodbus.pdu.register_message import (
    MaskWriteRegisterRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from penstock.connectors.modbus.encoding import Form
from penstock.connectors.modbus.reader import describe
from penstock.connectors.modbus.wire import Answer, Outcome
from penstock.model import ValueKind
from penstock.plugin import WriteOutcome, WriteResult

if TYPE_CHECKING:
    from pymodbus.pdu import ModbusPDU

    from penstock.connectors.modbus.points import ModbusValue

Value = float | int | str
ECHO_BYTES = 4
_ACKNOWLEDGE = 5
_TARGET_SILENT = 0x0B


def write_pdu(point: ModbusValue, value: Value) -> bytes:
    """The request that writes exactly this value; ValueError when the value does not fit."""
    request = _request(point, value)
    return bytes([request.function_code]) + bytes(request.encode())


def write_result(pdu: bytes, answer: Answer) -> WriteResult:
    """What is known after the answer: only the device's own echo is a yes."""
    if answer.outcome is Outcome.SILENT:
        return WriteResult(WriteOutcome.UNKNOWN, "sent; the unit did not answer in time")
    if answer.outcome is Outcome.EXCEPTION:
        if answer.code == _ACKNOWLEDGE:
            return WriteResult(WriteOutcome.ACCEPTED, describe(answer.code))
        if answer.code == _TARGET_SILENT:
            return WriteResult(WriteOutcome.UNKNOWN, describe(answer.code))
        return WriteResult(WriteOutcome.REFUSED, describe(answer.code))
    wanted = (
        pdu[1 : 1 + ECHO_BYTES]
        if pdu[0] == WriteMultipleRegistersRequest.function_code
        else (pdu[1:])
    )
    if answer.outcome is Outcome.DATA and answer.payload == wanted:
        return WriteResult(WriteOutcome.ACCEPTED)
    return WriteResult(WriteOutcome.UNKNOWN, "sent; the answer does not repeat what was written")


def _request(point: ModbusValue, value: Value) -> ModbusPDU:
    begin, form = point.address.offset, point.type.form
    if form is Form.BIT:
        is_on = _bit(value)
        if point.address.table.is_bits:
            return WriteSingleCoilRequest(address=begin, bits=[is_on])
        mask = 1 << _bit_place(point)
        return MaskWriteRegisterRequest(begin, 0xFFFF & ~mask, mask if is_on else 0)
    registers = raw_registers(point, value)
    if len(registers) == 1:
        return WriteSingleRegisterRequest(address=begin, registers=registers)
    return WriteMultipleRegistersRequest(address=begin, registers=registers)


def raw_registers(point: ModbusValue, value: Value) -> list[int]:
    """Registers in the order of the wire; ValueError when the value does not fit."""
    native = _text_bytes(point, value) if point.kind is ValueKind.TEXT else _raw(point, value)
    wire = bytearray(point.type.byte_count)
    for byte, place in zip(native, point.places, strict=True):
        wire[place] = byte
    return [int.from_bytes(wire[i : i + 2], "big") for i in range(0, len(wire), 2)]


def _bit(value: Value) -> bool:
    if value not in (0, 1):
        raise ValueError(f"{value!r} is not a bit: 0 or 1")
    return bool(value)


def _bit_place(point: ModbusValue) -> int:
    assert point.address.bit is not None
    is_swapped = point.places == (0, 1)
    return point.address.bit ^ 8 if is_swapped else point.address.bit


def _text_bytes(point: ModbusValue, value: Value) -> bytes:
    length_max = int(point.type.name.partition(":")[2])
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise ValueError(f"{value!r} is not a text of printable ASCII characters")
    if len(value) > length_max:
        raise ValueError(f"{value!r} is longer than {length_max} characters")
    return value.encode("ascii").ljust(point.type.byte_count, b"\0")


def _raw(point: ModbusValue, value: Value) -> bytes:
    if isinstance(value, str) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    if point.kind is ValueKind.INT and value != int(value):
        raise ValueError(f"{value!r} is not a whole number")
    if point.type.form is Form.FLOAT:
        return _float_bytes(point, (float(value) - point.shift) * point.divisor / point.factor)
    if point.kind is ValueKind.INT:
        return _integer_bytes(point, int(value))
    return _integer_bytes(point, round((float(value) - point.shift) * point.divisor / point.factor))


def _float_bytes(point: ModbusValue, raw: float) -> bytes:
    letter = "f" if point.type.registers == 2 else "d"
    try:
        return struct.pack(f"<{letter}", raw)
    except OverflowError as error:
        raise ValueError(f"{raw!r} does not fit {point.type.name}") from error


def _integer_bytes(point: ModbusValue, raw: int) -> bytes:
    width = point.type.byte_count
    if point.type.form is Form.BCD:
        if not 0 <= raw < 10 ** (2 * width):
            raise ValueError(f"{raw} does not fit {point.type.name}")
        return int(str(raw), 16).to_bytes(width, "little")
    is_signed = point.type.form is Form.SIGNED
    if point.type.name == "uint64" and raw >= 2**63:
        raise ValueError(f"{raw} could not be read back: a point holds whole numbers below 2^63")
    try:
        return raw.to_bytes(width, "little", signed=is_signed)
    except OverflowError as error:
        raise ValueError(f"{raw} does not fit {point.type.name}") from error
