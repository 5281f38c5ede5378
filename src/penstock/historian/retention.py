"""Retention: for how long which points are kept, as rules; what that means at a moment.

Pure. Ages end with whole UTC days, because files are days: what expires goes once a day,
and a day goes as a whole file where all of its points may go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from penstock.model.point import NAME_BY_KIND
from penstock.model.time import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from penstock.model import Point

DAY_NS = 86_400 * SECOND_NS
FOREVER = "forever"
RULES_MAX = 100
_KEEP = re.compile(r"(\d{1,4})([dwy])\Z")
_DAYS = {"d": 1, "w": 7, "y": 365}
_DAYS_MAX = 36_500


class RetentionRule(BaseModel):
    """Points that a rule is about, and for how long they are kept; the first rule that fits counts.

    What is left out fits every point.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    points: str = Field(
        "*", min_length=1, max_length=400, description="Pattern of point paths, with * ? [ ]."
    )
    asset_type: str = Field("", max_length=120, description="Type of the point's asset.")
    kind: Literal["", "float", "int", "text", "waveform"] = Field(
        "", description="Class of values: float, int, text or waveform."
    )
    keep: str = Field(description="Age at which samples go: 90d, 52w, 5y, or forever.")

    @field_validator("keep")
    @classmethod
    def _is_age(cls, keep: str) -> str:
        keep_days(keep)
        return keep

    @property
    def keep_ns(self) -> int | None:
        """Age in nanoseconds; None is for ever."""
        days = keep_days(self.keep)
        return None if days is None else days * DAY_NS

    def fits(self, point: Point, asset_type: str | None) -> bool:
        """Is the rule about this point?"""
        return (
            fnmatchcase(point.path, self.points)
            and self.asset_type in ("", asset_type or "")
            and self.kind in ("", NAME_BY_KIND[point.kind])
        )

    @property
    def words(self) -> str:
        """The rule as one line, for counts and messages."""
        parts = [self.points]
        parts += [f"type {self.asset_type}"] if self.asset_type else []
        parts += [self.kind] if self.kind else []
        return f"{', '.join(parts)}: {self.keep}"


def keep_days(text: str) -> int | None:
    """Days of an age such as 90d, 52w or 5y (a year has 365); None for ever. ValueError."""
    if text == FOREVER:
        return None
    found = _KEEP.match(text)
    days = int(found[1]) * _DAYS[found[2]] if found else 0
    if not 1 <= days <= _DAYS_MAX:
        raise ValueError(f"{text!r} is no age; write 90d, 52w, 5y or {FOREVER}")
    return days


@dataclass(frozen=True, slots=True)
class Expiry:
    """Samples of these points before `before_ns` may go, by rule number `rule`."""

    rule: int
    before_ns: int
    handles: tuple[int, ...]


def first_fitting(
    rules: Sequence[RetentionRule], point: Point, asset_type: str | None
) -> int | None:
    """Number of the rule that counts for a point; None: kept for ever."""
    fitting = (n for n, rule in enumerate(rules) if rule.fits(point, asset_type))
    return next(fitting, None)


def kept_since(keep_ns: int, now_ns: int) -> int:
    """Begin of the first UTC day that is kept whole."""
    return (now_ns - keep_ns) // DAY_NS * DAY_NS


def expiries(
    rules: Sequence[RetentionRule], points: Iterable[tuple[Point, str | None]], now_ns: int
) -> list[Expiry]:
    """What may go at `now_ns` (receive time of the log); `points` come with their asset's type."""
    handles: dict[int, list[int]] = {}
    for point, asset_type in points:
        number = first_fitting(rules, point, asset_type)
        if number is not None and rules[number].keep_ns is not None:
            handles.setdefault(number, []).append(point.handle)
    return [
        Expiry(number, kept_since(keep_ns, now_ns), tuple(sorted(found)))
        for number, found in sorted(handles.items())
        if (keep_ns := rules[number].keep_ns) is not None
    ]


def unused(rules: Sequence[RetentionRule], points: Iterable[tuple[Point, str | None]]) -> list[int]:
    """Numbers of the rules that count for no point, for `penstock check`."""
    used = {first_fitting(rules, point, asset_type) for point, asset_type in points}
    return [number for number in range(len(rules)) if number not in used]
