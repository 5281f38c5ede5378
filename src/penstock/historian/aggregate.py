"""Aggregates by OPC UA Part 13: docs/reference/aggregates.md defines each of them.

`gather` adds up what the samples say of each interval; here it becomes values, their
quality and the information bits that Part 13 gives to the result of an aggregate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penstock.historian.at import Moments, around, simple
from penstock.historian.gather import Needs, gather
from penstock.historian.items import GOOD
from penstock.historian.results import AGGREGATES, BAD, Column, Rules, View, result_of
from penstock.model import Quality, Refused, ValueKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from penstock.historian.intervals import Intervals
    from penstock.historian.query import Snapshot

CELLS_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Options:
    """How samples become values (AggregateConfigurationType, Part 13, 4.2.1.2).

    `is_sloped`: a line to the next sample, else each value holds until the next.
    `hold_until_ns`: the newest value holds until then; None: data ends with it.
    """

    is_sloped: bool = False
    treats_uncertain_as_bad: bool = False
    percent_good: float = 100.0
    percent_bad: float = 100.0
    hold_until_ns: int | None = None

    def __post_init__(self) -> None:
        if self.percent_good < 100 - self.percent_bad:
            raise Refused("invalid_request", "percent_good must be at least 100 - percent_bad.")

    @property
    def used_from(self) -> int:
        """Lowest quality whose values are used."""
        return GOOD if self.treats_uncertain_as_bad else int(Quality.UNCERTAIN)


@dataclass(frozen=True, slots=True)
class Answer:
    """Results of one point: columns by aggregate; `states`: ns in each state (time_in_state).

    `other_states`: ns in states beyond the STATES_MAX of a request; None where all are told.
    """

    handle: int
    kind: ValueKind | None
    columns: dict[str, Column]
    states: dict[int | str, npt.NDArray[np.int64]]
    other_states: npt.NDArray[np.int64] | None = None


def aggregate(
    snapshot: Snapshot,
    handles: Sequence[int],
    intervals: Intervals,
    names: Sequence[str],
    options: Options,
) -> list[Answer]:
    """An answer a handle, in order. Refused: an aggregate that does not exist, or too much."""
    check(names, len(handles), len(intervals))
    kinds = {handle: snapshot.kind(handle) for handle in handles}
    answers: dict[int, Answer] = {}
    for kind in set(kinds.values()):
        of_kind = sorted({handle for handle in handles if kinds[handle] is kind})
        if kind is ValueKind.WAVEFORM:
            raise Refused("is_waveform", "A waveform has no aggregates.")
        if kind is None:
            for handle in of_kind:
                answers[handle] = _empty(handle, names, len(intervals))
            continue
        for answer in _of_kind(snapshot, of_kind, kind, intervals, names, options):
            answers[answer.handle] = answer
    return [answers[handle] for handle in handles]


def check(names: Sequence[str], points: int, intervals: int) -> None:
    """Refused for unknown aggregates and for more cells than a worker should hold."""
    unknown = [name for name in names if name not in AGGREGATES]
    if unknown:
        known = ", ".join(AGGREGATES)
        raise Refused("invalid_request", f"{unknown[0][:40]!r} is not one of {known}.")
    if points * intervals > CELLS_MAX:
        raise Refused("too_large", f"More than {CELLS_MAX} intervals over all points.")


def _empty(handle: int, names: Sequence[str], count: int) -> Answer:
    quality = np.full(count, BAD, np.uint8)
    nothing = np.zeros(count, np.uint8)
    column = Column(np.zeros(count), nothing.astype(bool), quality, nothing)
    return Answer(handle, None, dict.fromkeys(names, column), {})


def _of_kind(
    snapshot: Snapshot,
    handles: Sequence[int],
    kind: ValueKind,
    intervals: Intervals,
    names: Sequence[str],
    options: Options,
) -> list[Answer]:
    wanted = [AGGREGATES[name] for name in names]
    needs = Needs(
        options.used_from,
        options.is_sloped and kind is not ValueKind.TEXT,
        times=any(item.times for item in wanted) and kind is not ValueKind.TEXT,
        regions=any(item.regions for item in wanted),
        states=any(item.states for item in wanted),
        spread=any(item.spread for item in wanted),
    )
    array = np.array(handles, np.uint32)
    found = gather(snapshot, array, kind, intervals, needs, options.hold_until_ns)
    needs_bounds = any(item.bounds for item in wanted)
    rules = Rules(options.percent_good, options.percent_bad, options.treats_uncertain_as_bad)
    answers = []
    for place, handle in enumerate(handles):
        bounds = _bounds(snapshot, handle, kind, intervals, options) if needs_bounds else None
        view = View(found, place, kind, intervals, rules, bounds)
        columns = {name: result_of(name, view) for name in names}
        is_told = "time_in_state" in names
        states, other = (view.states(), found.states.others(view.cut)) if is_told else ({}, None)
        answers.append(Answer(handle, kind, columns, states, other))
    return answers


def _bounds(
    snapshot: Snapshot, handle: int, kind: ValueKind, intervals: Intervals, options: Options
) -> Moments:
    """Simple bounding values at all edges."""
    return simple(
        around(snapshot, handle, intervals.edges),
        is_sloped=options.is_sloped and kind is not ValueKind.TEXT,
        used_from=options.used_from,
        until_ns=options.hold_until_ns,
    )
