"""Crashes, torn writes, lying clocks, broken links: whatever was promised is kept.

A seed is a schedule. The oracle knows what was acknowledged; everything of it must be
answered once, to the bit, in order, before and after any fault, and nothing else.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
import sim_run

EVENTS_MIN, LONG_EVENTS_MIN = 100_000, 1_000_000
SEEDS, LONG_SEEDS = 68, 680

pytestmark = pytest.mark.slow


def run_all(seeds: range) -> Counter[str]:
    """Events of all schedules; a failing seed is in the message."""
    counts: Counter[str] = Counter()
    for seed in seeds:
        schedule = sim_run.run_quietly(seed)
        counts += schedule.counts
        counts["acknowledged"] += len(schedule.oracle.promised)
        counts["answers"] += schedule.oracle.taken
    return counts


def events_of(counts: Counter[str]) -> int:
    """Steps that the scheduler decided, faults included."""
    outcomes = {
        "acknowledged",
        "answers",
        "power cuts",
        "kills in a call",
        "compactions",
        "compressed files",
    }
    return sum(number for name, number in counts.items() if name not in outcomes)


@pytest.mark.timeout(900)
def test_no_schedule_loses_doubles_or_alters_anything() -> None:
    counts = run_all(range(SEEDS))

    assert events_of(counts) >= EVENTS_MIN
    assert counts["power cuts"] > 300
    assert counts["kills in a call"] > 30
    assert counts["acknowledged"] > 8_000
    assert counts["compactions"] > 50
    assert counts["compressed files"] > 50


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_million_events() -> None:
    """SIMULATION_SEED moves the whole run to other schedules, for a night of its own."""
    first = int(os.environ.get("SIMULATION_SEED", "10000"))
    counts = run_all(range(first, first + LONG_SEEDS))

    assert events_of(counts) >= LONG_EVENTS_MIN


def test_a_seed_is_a_schedule() -> None:
    """Twice the same run: the same steps, the same promises, the same log."""
    one, other = (sim_run.run_quietly(7, 500) for _ in range(2))

    assert one.counts == other.counts
    assert one.oracle.promised == other.oracle.promised
    assert one.oracle.keys == other.oracle.keys
    assert one.disk.calls == other.disk.calls
