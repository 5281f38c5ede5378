"""What the device makes of a wanted value: pure, and known before anybody confirms.

A register of whole percents that is told 33.4 holds 33. That is said at SELECT and
compared at read-back; it is never hidden in a tolerance.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from penstock.model import Refused, ValueKind
from penstock.model.units import unit_label

if TYPE_CHECKING:
    from penstock.commands.command import Value
    from penstock.model import Point
    from penstock.plugin import Resolution


def held_of(value: Value, kind: ValueKind, resolution: Resolution) -> Value:
    """What the device will hold when it is told `value`; whole numbers and texts as they are."""
    if kind is not ValueKind.FLOAT or isinstance(value, str):
        return value
    return resolution.held(float(value))


def tolerance_of(held: Value, kind: ValueKind, resolution: Resolution) -> float:
    """How far a read-back may be from `held` and still be it.

    What the device holds is known to the last digit, so a neighbouring count is
    another value; only a device nobody knows may come back to nine digits.
    """
    if kind is not ValueKind.FLOAT or isinstance(held, str):
        return 0.0
    is_known = resolution.raw != "unknown"
    return (abs(held) + abs(resolution.offset)) * (2.0**-50 if is_known else 1e-9)


def held_refusal(point: Point, value: Value, held: Value, resolution: Resolution) -> Refused | None:
    """The refusal when an allowed value would leave the range by being rounded.

    A range ends at a decimal such as 0.1, which no float32 holds: what only the
    width of the number makes of a bound is still the bound.
    """
    if isinstance(value, str) or isinstance(held, str):
        return None
    is_near = abs(held - value) <= resolution.slack(value)
    if isfinite(held) and (is_near or point.allows(held)):
        return None
    return Refused(
        "out_of_range",
        low=point.command_low,
        high=point.command_high,
        unit=unit_label(point.unit),
        value=value,
        held=held if isfinite(held) else None,
    )
