"""A point as the wire sees it: address, type, byte places, scale and sentinels, all checked.

A scale of 0.1 divides by 10 instead of multiplying by 0.1, because only the
division gives 12.3 for raw 123; history compresses such decimals, not 12.3000001.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.connectors.modbus.address import ADDRESSES, Address, parse_address
from penstock.connectors.modbus.config import ModbusPoint
from penstock.connectors.modbus.encoding import (
    TYPE_BY_NAME,
    Form,
    ValueType,
    byte_places,
    kind_problem,
    parse_type,
)
from penstock.model import ConfigProblem, ValueKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.connectors.modbus.config import ModbusConfig, ModbusDevice
    from penstock.plugin import PointBinding

WRITE_REGISTERS_MAX = 123
SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ModbusValue:
    """One point of one device, ready to be planned, decoded and written.

    `width` counts registers, or bits in a table of bits; `sentinels` are bit
    patterns; value = raw * factor / divisor + shift.
    """

    handle: int
    path: str
    kind: ValueKind
    device: str
    period_ns: int
    address: Address
    type: ValueType
    places: tuple[int, ...]
    factor: float = 1.0
    divisor: float = 1.0
    shift: float = 0.0
    low: float | None = None
    high: float | None = None
    sentinels: tuple[int, ...] = ()
    writable: bool = False

    @property
    def width(self) -> int:
        """Addresses that the value covers in its table."""
        return 1 if self.address.table.is_bits else self.type.registers

    @property
    def begin(self) -> int:
        """First address."""
        return self.address.offset

    @property
    def end(self) -> int:
        """Address behind the last one."""
        return self.address.offset + self.width


def compile_point(
    binding: PointBinding, config: ModbusConfig, devices: Mapping[str, ModbusDevice]
) -> tuple[ModbusValue | None, list[ConfigProblem]]:
    """The point, or None and everything that has to be edited in its row."""
    settings = binding.settings
    assert isinstance(settings, ModbusPoint)
    problems: list[str] = []
    device = _device(settings, devices, problems)
    address = _address(settings, problems)
    value_type = _type(settings, address, problems)
    places: tuple[int, ...] = ()
    if value_type is not None:
        try:
            places = byte_places(value_type, settings.order or config.word_order)
        except ValueError as error:
            problems.append(f"order: {error}")
    _check_numbers(binding, settings, value_type, problems)
    sentinels = _sentinels(settings, value_type, problems)
    if address is not None and value_type is not None:
        _check_place(address, value_type, settings, problems)
        _check_device(value_type, config, devices.get(device), settings, problems)
    warnings = _warnings(binding, value_type)
    found = [ConfigProblem(binding.place, text) for text in problems]
    found += [ConfigProblem(binding.place, text, is_warning=True) for text in warnings]
    if problems or address is None or value_type is None:
        return None, found
    factor, divisor = ratio(settings.scale)
    value = ModbusValue(
        handle=binding.handle,
        path=binding.path,
        kind=binding.kind,
        device=device,
        period_ns=round((settings.rate_s or config.rate_s) * SECOND_NS),
        address=address,
        type=value_type,
        places=places,
        factor=factor,
        divisor=divisor,
        shift=settings.offset,
        low=binding.low,
        high=binding.high,
        sentinels=sentinels,
        writable=settings.writable,
    )
    return value, found


def ratio(scale: float) -> tuple[float, float]:
    """(factor, divisor) of a scale; an exact fraction 1/n becomes a division.

    >>> ratio(0.01), ratio(3.0)
    ((1.0, 100.0), (3.0, 1.0))
    """
    inverse = float(round(1.0 / scale)) if 1e-15 < abs(scale) < 1.0 else 0.0
    if inverse and 1.0 / inverse == scale:
        return 1.0, inverse
    return scale, 1.0


def _device(settings: ModbusPoint, devices: Mapping[str, ModbusDevice], problems: list[str]) -> str:
    if settings.device in devices:
        return settings.device
    names = ", ".join(devices)
    if settings.device:
        problems.append(f"device: there is no {settings.device!r}; there are: {names}")
    elif len(devices) == 1:
        return next(iter(devices))
    else:
        problems.append(f"device: name one of {names}")
    return ""


def _address(settings: ModbusPoint, problems: list[str]) -> Address | None:
    try:
        return parse_address(settings.address)
    except ValueError as error:
        problems.append(f"address: {error}")
        return None


def _type(settings: ModbusPoint, address: Address | None, problems: list[str]) -> ValueType | None:
    is_bit = address is not None and (address.table.is_bits or address.bit is not None)
    if not settings.type:
        if is_bit:
            return TYPE_BY_NAME["bool"]
        problems.append(f"type: a register needs one of {', '.join(TYPE_BY_NAME)}, string:N")
        return None
    try:
        value_type = parse_type(settings.type)
    except ValueError as error:
        problems.append(f"type: {error}")
        return None
    if address is None:
        return value_type
    if is_bit and value_type.form is not Form.BIT:
        problems.append(
            f"type: {address} is a bit, not {value_type.name}; if the number was meant in hex, "
            f"write for example holding 0x{address.offset + 1:04x}"
        )
    elif not is_bit and value_type.form is Form.BIT:
        problems.append(f"address: bool needs a bit, for example {settings.address}.0")
    return value_type


def _check_numbers(
    binding: PointBinding,
    settings: ModbusPoint,
    value_type: ValueType | None,
    problems: list[str],
) -> None:
    if value_type is not None and (text := kind_problem(value_type, binding.kind)):
        problems.append(f"kind: {text}")
    if settings.scale == 0.0:
        problems.append("scale: 0 would make every value the same")
    if binding.kind is not ValueKind.FLOAT and (settings.scale != 1.0 or settings.offset != 0.0):
        problems.append("scale: a point with scale or offset needs kind float")


def _check_place(
    address: Address, value_type: ValueType, settings: ModbusPoint, problems: list[str]
) -> None:
    width = 1 if address.table.is_bits else value_type.registers
    if address.offset + width > ADDRESSES:
        problems.append(f"address: {value_type.name} at {address} ends behind the last register")
    if settings.writable and not address.table.is_writable:
        problems.append(f"writable: {address} lies in a table that is read-only")
    if settings.writable and width > WRITE_REGISTERS_MAX:
        problems.append(f"writable: one write carries at most {WRITE_REGISTERS_MAX} registers")


def _check_device(
    value_type: ValueType,
    config: ModbusConfig,
    device: ModbusDevice | None,
    settings: ModbusPoint,
    problems: list[str],
) -> None:
    if device is None:
        return
    limit = device.registers_max or config.registers_max
    if value_type.registers > limit:
        problems.append(f"type: {value_type.name} is wider than registers_max = {limit}")
    if settings.writable and device.unit_id == 0:
        problems.append("writable: unit 0 is the broadcast, which is never written to")


def _sentinels(
    settings: ModbusPoint, value_type: ValueType | None, problems: list[str]
) -> tuple[int, ...]:
    if value_type is None:
        return ()
    patterns = []
    for text in settings.invalid:
        try:
            patterns.append(sentinel_pattern(text, value_type))
        except (ValueError, OverflowError, struct.error) as error:
            problems.append(f"invalid: {text!r} is no raw {value_type.name} ({error})")
    return tuple(patterns)


def sentinel_pattern(text: str, value_type: ValueType) -> int:
    """Bit pattern of a raw value: as it stands in hex, by its type in decimal."""
    if value_type.form in (Form.BIT, Form.STRING):
        raise ValueError("only numbers have sentinels")
    width = value_type.byte_count
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", text):
        return int.from_bytes(int(text, 16).to_bytes(width, "little"), "little")
    if value_type.form is Form.FLOAT:
        return int.from_bytes(struct.pack(f"<{'f' if width == 4 else 'd'}", float(text)), "little")
    if value_type.form is Form.BCD:
        return int.from_bytes(int(text, 16).to_bytes(width, "little"), "little")
    is_signed = value_type.form is Form.SIGNED
    return int.from_bytes(int(text).to_bytes(width, "little", signed=is_signed), "little")


def _warnings(binding: PointBinding, value_type: ValueType | None) -> list[str]:
    if value_type is None or binding.kind is not ValueKind.FLOAT:
        return []
    if value_type.name in ("int64", "uint64"):
        return [f"kind: float holds {value_type.name} exactly only to 2^53; use kind int"]
    return []
