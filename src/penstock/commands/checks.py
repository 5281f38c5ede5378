"""The desk's checks of a value before anything is promised: pure, all of them, every time.

A refusal shows every check, not only the first that failed; a bad quality of
the old value warns and refuses nothing, because a dead sensor must not keep
anybody from closing a valve.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from penstock.commands.command import Check, Value
from penstock.model import Quality, Refused, ValueKind
from penstock.model.point import NAME_BY_KIND
from penstock.model.time import MINUTE_NS
from penstock.model.units import unit_label

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.model import Point

TEXT_CHARACTERS_MAX = 10_000
_WHOLE_TEXT = re.compile(r"-?[0-9]{1,19}")
_INT64_LIMIT = 2**63
_CODES = {
    "permission": "not_permitted",
    "writable": "not_writable",
    "kind": "wrong_kind",
    "range": "out_of_range",
    "rate": "rate_exceeded",
}


@dataclass(frozen=True, slots=True)
class LastValue:
    """What the point holds as far as we know."""

    value: Value | None
    quality: int


def typed_value(value: object, kind: ValueKind) -> Value | None:
    """`value` as the point's kind, None if it is not one; an int64 may come as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if kind is ValueKind.WAVEFORM:
        return None
    if kind is ValueKind.TEXT:
        is_short = isinstance(value, str) and len(value) <= TEXT_CHARACTERS_MAX
        return value if is_short else None
    if kind is ValueKind.INT:
        return _whole(value)
    if isinstance(value, str) or (isinstance(value, int) and abs(value) >= 2**1000):
        return None
    return float(value) if isfinite(value) else None


def check_value(
    point: Point,
    value: Value | None,
    last: LastValue | None,
    sent_ns: Iterable[int],
    now_ns: int,
    *,
    is_permitted: bool,
    rate_per_minute_max: int,
) -> tuple[Check, ...]:
    """All checks; `value` is None if it does not fit the kind."""
    recent = sum(1 for time_ns in sent_ns if time_ns > now_ns - MINUTE_NS)
    quality = last.quality if last is not None else int(Quality.BAD_WAITING_FOR_INITIAL_DATA)
    return (
        Check("permission", is_permitted, {"permission": "command"}),
        Check("writable", point.writable and point.connector is not None),
        Check("kind", value is not None, {"kind": NAME_BY_KIND[point.kind]}),
        _range(point, value),
        Check("rate", recent < rate_per_minute_max, {"sent": recent, "max": rate_per_minute_max}),
        Check("quality", quality >= Quality.GOOD, {"quality": quality}),
    )


def refusal(checks: Iterable[Check]) -> Refused | None:
    """The refusal of the first check that forbids, if there is one."""
    for check in checks:
        if not check.ok and check.key in _CODES:
            return Refused(_CODES[check.key], "", **check.params)
    return None


def _whole(value: float | str) -> int | None:
    if isinstance(value, str) and not _WHOLE_TEXT.fullmatch(value):
        return None  # int() would also take "1_000", blanks and the digits of other scripts
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return None
    is_exact = isinstance(value, str) or number == value
    return number if is_exact and -_INT64_LIMIT <= number < _INT64_LIMIT else None


def _range(point: Point, value: Value | None) -> Check:
    low, high = point.command_low, point.command_high
    is_inside = value is None or point.allows(value)
    shown = value if isinstance(value, (int, float)) else None
    params = {"low": low, "high": high, "unit": unit_label(point.unit), "value": shown}
    return Check("range", is_inside, params)
