"""RuleTable and RuleState: what the engine reads and what it remembers.

What is asked for each sample lies in numpy, indexed by point handle; what is
asked only near a limit lies in lists, indexed by rule, because one element of a
list is read ten times faster than one of an array.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor, inf, nextafter
from typing import TYPE_CHECKING

import numpy as np

from penstock.model import ValueKind
from penstock.rules.rule import Rule, Side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    import numpy.typing as npt

    from penstock.model import Point

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1
NEVER_NS = INT64_MIN


@dataclass(frozen=True, slots=True)
class Bounds:
    """Per rule: a value beyond `raised` flips it on, one at or behind `back` flips it off."""

    raised: tuple[float | int, ...]
    back: tuple[float | int, ...]


@dataclass(frozen=True, slots=True)
class RuleTable:
    """Rules as columns. `first[h]:first[h + 1]` in `order` are the rules of handle h.

    `handles` is the number of handles with a row; index `handles` itself is a
    place for every point that has no rule.
    """

    rules: tuple[Rule, ...]
    kinds: tuple[ValueKind, ...]
    handle: tuple[int, ...]
    is_high: tuple[bool, ...]
    on_delay_ns: tuple[int, ...]
    off_delay_ns: tuple[int, ...]
    floats: Bounds
    ints: Bounds
    handles: int
    first: npt.NDArray[np.intp]
    order: npt.NDArray[np.intp]

    @classmethod
    def build(cls, rules: Sequence[Rule], points: Mapping[UUID, Point]) -> RuleTable:
        """Columns of rules whose points are known and numeric (config has checked that)."""
        handle = np.asarray([points[rule.point].handle for rule in rules], np.intp)
        handles = int(handle.max()) + 1 if len(handle) else 0
        first = np.zeros(handles + 2, np.intp)
        first[1 : handles + 1] = np.cumsum(np.bincount(handle, minlength=handles))
        first[handles + 1] = first[handles]
        return cls(
            rules=tuple(rules),
            kinds=tuple(points[rule.point].kind for rule in rules),
            handle=tuple(handle.tolist()),
            is_high=tuple(rule.side is Side.HIGH for rule in rules),
            on_delay_ns=tuple(rule.on_delay_ns for rule in rules),
            off_delay_ns=tuple(rule.off_delay_ns for rule in rules),
            floats=_float_bounds(rules),
            ints=_int_bounds(rules),
            handles=handles,
            first=first,
            order=np.argsort(handle, kind="stable"),
        )

    def of_handle(self, handle: int) -> list[int]:
        """Indices of the rules of one handle, in the order in which they were given."""
        rules: list[int] = self.order[self.first[handle] : self.first[handle + 1]].tolist()
        return rules


@dataclass(slots=True)
class RuleState:
    """What the engine remembers. It owns its arrays and changes them in place.

    `newest` is the time of the newest usable sample by handle, `quiet_*` the
    range in which a value of that handle changes nothing, `is_watched` whether a
    rule of it is active or waits for a delay, `is_bad` whether its last sample was bad.
    """

    newest: npt.NDArray[np.int64]
    quiet_float: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
    quiet_int: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    has_rules: npt.NDArray[np.bool_]
    is_watched: npt.NDArray[np.bool_]
    is_bad: npt.NDArray[np.bool_]
    is_active: list[bool]
    episode: list[int]
    since_ns: list[int | None]
    since_receive_ns: list[int]
    value: list[float | int | None]
    due_ns: dict[int, int] = field(default_factory=dict)
    receive_ns: int = NEVER_NS

    @classmethod
    def fresh(cls, table: RuleTable) -> RuleState:
        """Nothing is active and nothing was seen."""
        places, rules = table.handles + 1, len(table.rules)
        state = cls(
            newest=np.full(places, NEVER_NS, np.int64),
            quiet_float=(np.full(places, -inf), np.full(places, inf)),
            quiet_int=(
                np.full(places, INT64_MIN, np.int64),
                np.full(places, INT64_MAX, np.int64),
            ),
            has_rules=np.diff(table.first, append=table.first[-1]) > 0,
            is_watched=np.zeros(places, np.bool_),
            is_bad=np.zeros(places, np.bool_),
            is_active=[False] * rules,
            episode=[0] * rules,
            since_ns=[None] * rules,
            since_receive_ns=[0] * rules,
            value=[None] * rules,
        )
        for handle in set(table.handle):
            settle(table, state, handle)
        return state


def settle(table: RuleTable, state: RuleState, handle: int) -> None:
    """Derive the quiet range and the watch of one handle from the state of its rules."""
    rules = table.of_handle(handle)
    state.is_watched[handle] = any(
        state.is_active[rule] or state.since_ns[rule] is not None for rule in rules
    )
    if not state.is_watched[handle]:
        state.is_bad[handle] = False
    is_open = not state.is_bad[handle] and all(state.since_ns[rule] is None for rule in rules)
    _settle_float(table, state, handle, rules if is_open else None)
    _settle_int(table, state, handle, rules if is_open else None)


def _settle_float(table: RuleTable, state: RuleState, handle: int, rules: list[int] | None) -> None:
    low, high = (-inf, inf) if rules is not None else (inf, -inf)
    for rule in rules or ():
        is_active = state.is_active[rule]
        bound = (table.floats.back if is_active else table.floats.raised)[rule]
        if table.is_high[rule] is is_active:
            low = max(low, nextafter(bound, inf) if is_active else bound)
        else:
            high = min(high, nextafter(bound, -inf) if is_active else bound)
    state.quiet_float[0][handle], state.quiet_float[1][handle] = low, high


def _settle_int(table: RuleTable, state: RuleState, handle: int, rules: list[int] | None) -> None:
    low, high = (INT64_MIN, INT64_MAX) if rules is not None else (INT64_MAX, INT64_MIN)
    for rule in rules or ():
        is_active = state.is_active[rule]
        bound = int((table.ints.back if is_active else table.ints.raised)[rule])
        if table.is_high[rule] is is_active:
            low = max(low, min(bound + 1, INT64_MAX) if is_active else bound)
        else:
            high = min(high, max(bound - 1, INT64_MIN) if is_active else bound)
    state.quiet_int[0][handle], state.quiet_int[1][handle] = low, high


def _float_bounds(rules: Sequence[Rule]) -> Bounds:
    signed = [-1 if rule.side is Side.HIGH else 1 for rule in rules]
    return Bounds(
        tuple(float(rule.level) for rule in rules),
        tuple(
            float(Fraction(rule.level) + sign * Fraction(rule.hysteresis))
            for rule, sign in zip(rules, signed, strict=True)
        ),
    )


def _int_bounds(rules: Sequence[Rule]) -> Bounds:
    """Exact in int64: for whole numbers, beyond 79.5 upwards is the same as beyond 79."""
    raised, back = [], []
    for rule in rules:
        is_high = rule.side is Side.HIGH
        whole = floor if is_high else ceil
        raised.append(_clip(whole(Fraction(rule.level))))
        distance = -Fraction(rule.hysteresis) if is_high else Fraction(rule.hysteresis)
        back.append(_clip(whole(Fraction(rule.level) + distance)))
    return Bounds(tuple(raised), tuple(back))


def _clip(number: int) -> int:
    return min(max(number, INT64_MIN), INT64_MAX)
