"""Limits over frames: (table, state, frame, receive time) -> transitions, the state in place.

The fast path is two compares against the range in which a point's value changes
nothing; that range moves with the state of its rules, so that a standing alarm
costs no more than a quiet point. Only points with a row outside are walked row
by row, in arrival order, so that a spike inside one frame raises and returns.

What a reader would not guess:
- A bad sample neither raises nor clears; it also holds delays back. The first
  usable sample decides. It does not count as the point's newest, because its
  time is the gateway's while the device's own clock may be slow by an hour.
- A sample from the future counts as received now: one wrong clock must not
  declare everything after it late.
- A delay is over by the samples' time or by receive time, whichever comes first,
  and its transition bears the time at which it was due.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from penstock.model import Flag, Frame, Quality, TextColumn, ValueKind
from penstock.model.time import SECOND_NS
from penstock.rules.table import NEVER_NS, RuleState, RuleTable, settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

CLOCK_STEP_NS_MAX = SECOND_NS
_UNCERTAIN = int(Quality.UNCERTAIN)
_ODD = np.uint8(Flag.HISTORICAL | Flag.NO_VALUE)


class TransitionKind(Enum):
    """What happened to a rule; BLIND and SEEING mark an active alarm whose point went bad."""

    RAISED = "raised"
    RETURNED = "returned"
    BLIND = "blind"
    SEEING = "seeing"


@dataclass(frozen=True, slots=True)
class Transition:
    """One flip of one rule (an index of the table) in one episode, with what was seen."""

    rule: int
    kind: TransitionKind
    episode: int
    time_ns: int
    value: float | int | None
    quality: int


def evaluate(table: RuleTable, state: RuleState, frame: Frame, receive_ns: int) -> list[Transition]:
    """Transitions caused by one frame; `state` is changed in place.

    The result depends on the arguments only, and is the same for a frame and for
    its rows one at a time.
    """
    _follow_clock(table, state, receive_ns)
    transitions = tick(table, state, receive_ns)
    if isinstance(frame.value, TextColumn) or not len(frame) or not table.handles:
        return transitions
    frame, quality = _live_part(frame)
    value = frame.value
    assert not isinstance(value, TextColumn)
    place = np.minimum(frame.point, table.handles).astype(np.intp)
    time_ns = np.minimum(frame.time_ns, receive_ns)
    low, high = state.quiet_float if frame.kind is ValueKind.FLOAT else state.quiet_int
    is_calm = (value >= low[place]) & (value <= high[place]) & (quality >= _UNCERTAIN)
    if is_calm.all():
        np.maximum.at(state.newest, place, time_ns)
        return transitions
    is_usable = (quality >= _UNCERTAIN) & ~np.isnan(value)
    rows = Rows(place, time_ns, value, quality, is_usable)
    transitions += _look(table, state, rows, np.flatnonzero(~is_calm), receive_ns)
    np.maximum.at(state.newest, place[is_usable], time_ns[is_usable])
    return transitions


def tick(table: RuleTable, state: RuleState, now_ns: int) -> list[Transition]:
    """Transitions whose delay is over at `now_ns` (receive time), the earliest due first."""
    if not state.due_ns or min(state.due_ns.values()) > now_ns:
        return []
    transitions = []
    for rule, due_ns in sorted(state.due_ns.items(), key=lambda item: (item[1], item[0])):
        handle = table.handle[rule]
        if due_ns <= now_ns and not state.is_bad[handle]:
            transitions.append(_flip(table, state, rule, int(Quality.GOOD)))
            settle(table, state, handle)
    return transitions


@dataclass(frozen=True, slots=True)
class Rows:
    """A frame's columns as the engine sees them: clipped handles and times, usable or not."""

    place: npt.NDArray[np.intp]
    time_ns: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64] | npt.NDArray[np.int64]
    quality: npt.NDArray[np.uint8]
    is_usable: npt.NDArray[np.bool_]


def _live_part(frame: Frame) -> tuple[Frame, npt.NDArray[np.uint8]]:
    """Back-filled rows are history; a row without a value is bad whatever its quality says."""
    odd = frame.flags & _ODD
    if not odd.any():
        return frame, frame.quality
    frame = frame.take(np.flatnonzero((odd & np.uint8(Flag.HISTORICAL)) == 0))
    has_none = (frame.flags & np.uint8(Flag.NO_VALUE)) != 0
    return frame, np.where(
        has_none & (frame.quality >= _UNCERTAIN), np.uint8(Quality.BAD), frame.quality
    )


def _look(
    table: RuleTable,
    state: RuleState,
    rows: Rows,
    hot: npt.NDArray[np.intp],
    receive_ns: int,
) -> list[Transition]:
    """Of the rows outside their quiet range, those that can matter; then walk their points."""
    place = rows.place[hot]
    matters = state.has_rules[place] & (rows.time_ns[hot] >= state.newest[place])
    matters &= rows.is_usable[hot] | state.is_watched[place]
    if not matters.any():
        return []
    is_hot = np.zeros(table.handles + 1, np.bool_)
    is_hot[place[matters]] = True
    return _walk(table, state, rows, np.flatnonzero(is_hot[rows.place]), receive_ns)


def _walk(
    table: RuleTable,
    state: RuleState,
    rows: Rows,
    index: npt.NDArray[np.intp],
    receive_ns: int,
) -> list[Transition]:
    """Row by row, all rows of the hot points in arrival order."""
    handles = rows.place[index].tolist()
    newest = {handle: int(state.newest[handle]) for handle in set(handles)}
    transitions: list[Transition] = []
    columns = zip(
        handles,
        rows.time_ns[index].tolist(),
        rows.value[index].tolist(),
        rows.quality[index].tolist(),
        rows.is_usable[index].tolist(),
        strict=True,
    )
    for handle, time_ns, number, quality, is_usable in columns:
        if time_ns < newest[handle]:
            continue
        if is_usable:
            newest[handle] = time_ns
        transitions += _mark(table, state, handle, not is_usable, time_ns, quality)
        if is_usable:
            seen = _Seen(number, quality, time_ns, receive_ns)
            transitions += _judge(table, state, handle, seen)
    for handle in newest:
        settle(table, state, handle)
    return transitions


@dataclass(frozen=True, slots=True)
class _Seen:
    value: float | int
    quality: int
    time_ns: int
    receive_ns: int


def _mark(
    table: RuleTable, state: RuleState, handle: int, is_bad: bool, time_ns: int, quality: int
) -> list[Transition]:
    """An active alarm whose point goes bad keeps its state and says that nobody sees it now."""
    rules = table.of_handle(handle)
    if not _is_watched(state, rules) or bool(state.is_bad[handle]) == is_bad:
        return []
    state.is_bad[handle] = is_bad
    kind = TransitionKind.BLIND if is_bad else TransitionKind.SEEING
    if is_bad and quality >= _UNCERTAIN:  # a good NaN
        quality = int(Quality.BAD)
    return [
        Transition(rule, kind, state.episode[rule], time_ns, state.value[rule], quality)
        for rule in rules
        if state.is_active[rule]
    ]


def _judge(table: RuleTable, state: RuleState, handle: int, seen: _Seen) -> list[Transition]:
    transitions = []
    rules = table.of_handle(handle)
    for rule in rules:
        if not _wants_flip(table, state, rule, seen.value):
            _stop_waiting(state, rule)
            continue
        if state.since_ns[rule] is None:
            _start_waiting(table, state, rule, seen)
        state.value[rule] = seen.value
        since_ns = state.since_ns[rule]
        assert since_ns is not None
        if (
            seen.time_ns - since_ns >= _delay_ns(table, state, rule)
            or seen.receive_ns >= state.due_ns[rule]
        ):
            transitions.append(_flip(table, state, rule, seen.quality))
    if not _is_watched(state, rules):
        state.is_bad[handle] = False
    return transitions


def _is_watched(state: RuleState, rules: Sequence[int]) -> bool:
    return any(state.is_active[rule] or state.since_ns[rule] is not None for rule in rules)


def _wants_flip(table: RuleTable, state: RuleState, rule: int, value: float | int) -> bool:
    bounds = table.floats if table.kinds[rule] is ValueKind.FLOAT else table.ints
    if state.is_active[rule]:
        back = bounds.back[rule]
        return value <= back if table.is_high[rule] else value >= back
    raised = bounds.raised[rule]
    return value > raised if table.is_high[rule] else value < raised


def _delay_ns(table: RuleTable, state: RuleState, rule: int) -> int:
    return (table.off_delay_ns if state.is_active[rule] else table.on_delay_ns)[rule]


def _start_waiting(table: RuleTable, state: RuleState, rule: int, seen: _Seen) -> None:
    state.since_ns[rule] = seen.time_ns
    state.since_receive_ns[rule] = seen.receive_ns
    state.due_ns[rule] = seen.receive_ns + _delay_ns(table, state, rule)


def _stop_waiting(state: RuleState, rule: int) -> None:
    state.since_ns[rule] = None
    state.due_ns.pop(rule, None)


def _flip(table: RuleTable, state: RuleState, rule: int, quality: int) -> Transition:
    """Raise or return; a raise begins the rule's next episode."""
    since_ns = state.since_ns[rule]
    assert since_ns is not None
    due_ns = since_ns + _delay_ns(table, state, rule)
    is_raise = not state.is_active[rule]
    state.is_active[rule] = is_raise
    state.episode[rule] += is_raise
    _stop_waiting(state, rule)
    kind = TransitionKind.RAISED if is_raise else TransitionKind.RETURNED
    return Transition(rule, kind, state.episode[rule], due_ns, state.value[rule], quality)


def _follow_clock(table: RuleTable, state: RuleState, receive_ns: int) -> None:
    """A gateway clock that steps back must not make new samples late until it has caught up."""
    if receive_ns >= state.receive_ns - CLOCK_STEP_NS_MAX:
        state.receive_ns = max(state.receive_ns, receive_ns)
        return
    state.receive_ns = receive_ns
    state.newest[state.newest > receive_ns - CLOCK_STEP_NS_MAX] = NEVER_NS
    for rule in state.due_ns:
        since_ns = min(state.since_receive_ns[rule], receive_ns)
        state.since_receive_ns[rule] = since_ns
        state.due_ns[rule] = since_ns + _delay_ns(table, state, rule)
