"""Answers of many requests decoded at once: one gather per type, one Frame per value kind.

All answers of a group lie in one byte buffer. For each type there is an index
array that gathers its values' bytes in native order, whatever the order on the
wire was; so a mixed table costs a few numpy calls, not a call per value.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from penstock.connectors.modbus.encoding import Form
from penstock.model import Flag, Frame, Quality, TextColumn, TimeOrigin, ValueKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from penstock.connectors.modbus.layout import Span
    from penstock.connectors.modbus.points import ModbusValue

    Bytes = npt.NDArray[np.uint8]
    Indices = npt.NDArray[np.intp]
    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

NO_VALUE_FLAGS = TimeOrigin.RECEIPT | Flag.NO_VALUE


@dataclass(frozen=True, slots=True)
class _Gather:
    """Points of one type that stand together in a frame: `begin` .. `end` are its rows."""

    form: Form
    dtype: str
    begin: int
    end: int
    places: Indices
    shift: npt.NDArray[np.uint8]
    sentinel_row: Indices
    sentinel: npt.NDArray[np.uint64]

    def raw(self, buffer: Bytes) -> npt.NDArray[np.generic]:
        """Raw values in native byte order."""
        return buffer.take(self.places).view(self.dtype)[:, 0]


class NumberDecoder:
    """Float or int points of a group to one Frame.

    `too_large` counts the values of the last one that no int64 holds.
    """

    def __init__(
        self, kind: ValueKind, points: Sequence[ModbusValue], chosen: Sequence[int], place: Indices
    ) -> None:
        self.is_float = kind is ValueKind.FLOAT
        order = sorted(chosen, key=lambda i: _gather_key(points[i]))
        self.position = np.asarray(order, np.intp)
        self._point = np.asarray([points[i].handle for i in order], np.uint32)
        self._gathers = _gathers(points, order, place)
        self._factor = np.asarray([points[i].factor for i in order])
        self._divisor = np.asarray([points[i].divisor for i in order])
        self._shift = np.asarray([points[i].shift for i in order])
        self._has_factor = bool((self._factor != 1.0).any())
        self._has_divisor = bool((self._divisor != 1.0).any())
        self._has_shift = bool((self._shift != 0.0).any())
        self._low = _bound([points[i].low for i in order], -np.inf)
        self._high = _bound([points[i].high for i in order], np.inf)
        self._has_bounds = bool(np.isfinite(self._low).any() or np.isfinite(self._high).any())
        self.too_large = 0

    def decode(self, buffer: Bytes, quality: Bytes, time_ns: Integers) -> Frame:
        """Frame of all points; `quality` and `time_ns` are by position, GOOD where answered."""
        rows = len(self.position)
        value: Floats | Integers = (
            np.empty(rows, np.float64) if self.is_float else np.empty(rows, np.int64)
        )
        quality = quality.take(self.position)
        self.too_large = 0
        answered = quality == Quality.GOOD
        with np.errstate(invalid="ignore", over="ignore"):
            for gather in self._gathers:
                self._fill(gather, buffer, value, quality)
            if self.is_float:
                self._scale(value)
                quality[answered & ~np.isfinite(value)] = Quality.BAD_SENSOR_FAILURE
        if self._has_bounds:
            outside = self._outside(value) & (quality == Quality.GOOD)
            quality[outside] = Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
        flags = np.full(rows, TimeOrigin.RECEIPT, np.uint8)
        bad = quality < Quality.UNCERTAIN
        if bad.any():
            value[bad] = np.nan if self.is_float else 0
            flags[bad] = NO_VALUE_FLAGS
        return Frame(self._point, time_ns.take(self.position), value, quality, flags)

    def _fill(
        self, gather: _Gather, buffer: Bytes, value: Floats | Integers, quality: Bytes
    ) -> None:
        raw = gather.raw(buffer)
        rows = slice(gather.begin, gather.end)
        if gather.form is Form.BIT:
            value[rows] = (raw >> gather.shift) & 1  # type: ignore[operator]
            return
        if gather.form is Form.BCD:
            value[rows], broken = bcd(raw.astype(np.uint32))
            quality[rows][broken & (quality[rows] == Quality.GOOD)] = Quality.BAD_DECODING
        else:
            value[rows] = raw
        if len(gather.sentinel):
            pattern = raw.view(f"<u{raw.dtype.itemsize}").astype(np.uint64)
            hit = gather.sentinel_row[pattern[gather.sentinel_row] == gather.sentinel]
            hit = hit[quality[rows][hit] == Quality.GOOD]
            quality[rows][hit] = Quality.BAD_SENSOR_FAILURE
        if gather.dtype == "<u8" and not self.is_float:
            self._refuse_large(value[rows], quality[rows])

    def _refuse_large(self, value: Floats | Integers, quality: Bytes) -> None:
        """What an int64 cannot hold has wrapped below 0: better no value than another one."""
        is_large = (value < 0) & (quality == Quality.GOOD)
        quality[is_large] = Quality.BAD_DECODING
        self.too_large += int(np.count_nonzero(is_large))

    def _scale(self, value: Floats | Integers) -> None:
        assert value.dtype == np.float64
        if self._has_factor:
            np.multiply(value, self._factor, out=value)
        if self._has_divisor:
            np.divide(value, self._divisor, out=value)
        if self._has_shift:
            np.add(value, self._shift, out=value)

    def _outside(self, value: Floats | Integers) -> Mask:
        number = value.astype(np.float64)
        return (number < self._low) | (number > self._high)


class TextDecoder:
    """String points of a group to one Frame; texts are few, so a loop is good enough."""

    def __init__(
        self, points: Sequence[ModbusValue], chosen: Sequence[int], place: Indices
    ) -> None:
        self.position = np.asarray(chosen, np.intp)
        self._point = np.asarray([points[i].handle for i in chosen], np.uint32)
        self._places = [place[i] + np.asarray(points[i].places, np.intp) for i in chosen]
        self._count = [int(points[i].type.name.partition(":")[2]) for i in chosen]

    def decode(self, buffer: Bytes, quality: Bytes, time_ns: Integers) -> Frame:
        """Frame of all texts."""
        quality = quality.take(self.position)
        flags = np.full(len(quality), TimeOrigin.RECEIPT, np.uint8)
        texts = []
        for row, places in enumerate(self._places):
            text = text_of(buffer.take(places).tobytes()[: self._count[row]])
            if quality[row] == Quality.GOOD and text is None:
                quality[row] = Quality.BAD_DECODING
            is_good = quality[row] == Quality.GOOD
            texts.append(text if is_good and text is not None else "")
            flags[row] = TimeOrigin.RECEIPT if is_good else NO_VALUE_FLAGS
        column = TextColumn.of(texts)
        return Frame(self._point, time_ns.take(self.position), column, quality, flags)


def decoders(
    points: Sequence[ModbusValue], spans: Sequence[Span], slots: Sequence[int]
) -> list[NumberDecoder | TextDecoder]:
    """One decoder a value kind, in the order of kinds; `slots` are the spans' bytes in the buffer.

    A point that stands in no span (there is none such) would be read from byte 0.
    """
    place = np.zeros(len(points), np.intp)
    for span, slot in zip(spans, slots, strict=True):
        for i in span.points:
            distance = points[i].begin - span.begin
            place[i] = slot + (distance // 8 if span.table.is_bits else 2 * distance)
    first_bit = {i: span.begin for span in spans if span.table.is_bits for i in span.points}
    points = [_with_bit(point, first_bit.get(i)) for i, point in enumerate(points)]
    made: list[NumberDecoder | TextDecoder] = []
    for kind in ValueKind:
        chosen = [i for i, point in enumerate(points) if point.kind is kind]
        if chosen and kind is ValueKind.TEXT:
            made.append(TextDecoder(points, chosen, place))
        elif chosen:
            made.append(NumberDecoder(kind, points, chosen, place))
    return made


def bcd(raw: npt.NDArray[np.uint32]) -> tuple[Integers, Mask]:
    """Decimal digits in nibbles, and where a nibble is above 9."""
    value = np.zeros(len(raw), np.int64)
    broken = np.zeros(len(raw), np.bool_)
    for nibble in range(7, -1, -1):
        digit = (raw >> np.uint32(4 * nibble)) & np.uint32(15)
        broken |= digit > 9
        value = 10 * value + digit
    return value, broken


def text_of(data: bytes) -> str | None:
    """UTF-8, else Latin-1; up to the first NUL, without blanks at the end; None when broken."""
    data = data.split(b"\0", 1)[0].rstrip(b" ")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    is_broken = any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in text)
    return None if is_broken else text


def _gather_key(point: ModbusValue) -> tuple[str, str]:
    return point.type.form.value, "u1" if point.address.table.is_bits else point.type.dtype


def _gathers(points: Sequence[ModbusValue], order: Sequence[int], place: Indices) -> list[_Gather]:
    gathers = []
    begin = 0
    while begin < len(order):
        key = _gather_key(points[order[begin]])
        end = begin
        while end < len(order) and _gather_key(points[order[end]]) == key:
            end += 1
        gathers.append(_gather(points, order[begin:end], place, begin, key[1]))
        begin = end
    return gathers


def _gather(
    points: Sequence[ModbusValue], order: Sequence[int], place: Indices, begin: int, dtype: str
) -> _Gather:
    chosen = [points[i] for i in order]
    is_byte = dtype == "u1"
    inner = np.asarray([(0,) if is_byte else point.places for point in chosen], np.intp)
    pairs = [(row, pattern) for row, point in enumerate(chosen) for pattern in point.sentinels]
    return _Gather(
        form=chosen[0].type.form,
        dtype=dtype,
        begin=begin,
        end=begin + len(order),
        places=place[np.asarray(order, np.intp)][:, None] + inner,
        shift=np.asarray([point.address.bit or 0 for point in chosen], np.uint8),
        sentinel_row=np.asarray([row for row, _ in pairs], np.intp),
        sentinel=np.asarray([pattern for _, pattern in pairs], np.uint64),
    )


def _with_bit(point: ModbusValue, span_begin: int | None) -> ModbusValue:
    """In a table of bits the bit within the byte depends on where its request begins."""
    if span_begin is None:
        return point
    address = replace(point.address, bit=(point.begin - span_begin) % 8)
    return replace(point, address=address)


def _bound(bounds: Sequence[float | None], default: float) -> Floats:
    return np.asarray([default if bound is None else bound for bound in bounds], np.float64)
