"""Invariants that hold at any moment, not only at the end."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from sim_core import POINTS, SEGMENTS, Core
from sim_oracle import Bits, Row

from penstock.historian.columns import Columns
from penstock.historian.manifest import read_newest
from penstock.historian.query import Snapshot, raw
from penstock.model import TextColumn

LIMIT = 100_000
MEMORIES_MAX = 15
PINNED_MAX = 2


@dataclass(frozen=True)
class Memory:
    """An answer that was given: as of its sequence it must be given again, for ever."""

    handle: int
    sequence: int
    rows: list[Row]


def is_known(core: Core) -> bool:
    """All points are in the dictionary."""
    return core.log is not None and len(core.log.dictionary) == len(POINTS)


def has_caught_up(core: Core) -> bool:
    """Readers have taken all that is durable."""
    assert core.log is not None
    assert core.worker is not None
    assert core.projection is not None
    durable = core.log.durable
    return core.worker.historian.sequence == durable and core.projection.position == durable


def rows_of(columns: Columns) -> list[Row]:
    """Rows as the oracle has them."""
    bits: list[Bits]
    if isinstance(columns.value, TextColumn):
        bits = list(columns.value.to_list())
    else:
        bits = columns.value.view(np.uint64).tolist()
    return [
        Row(*row)
        for row in zip(
            columns.time_ns.tolist(),
            bits,
            columns.quality.tolist(),
            columns.flags.tolist(),
            columns.sequence.tolist(),
            strict=True,
        )
    ]


def answer(snapshot: Snapshot, handle: int) -> list[Row]:
    """All visible rows, as a query gives them, page by page."""
    found, cursor = raw(snapshot, handle, -(2**63), 2**63 - 1, LIMIT)
    assert cursor is None
    return rows_of(found)


def check(core: Core, chance: random.Random, memory: list[Memory]) -> None:
    """Promises, positions, and the history of a few points."""
    core.oracle.check_promises()
    check_positions(core)
    check_read_back(core, chance.randint(0, max(0, core.oracle.newest - 20)), 40)
    check_history(core, chance.sample(sorted(POINTS), 3), memory)


def check_all(core: Core, memory: list[Memory]) -> None:
    """Everything, and it is complete."""
    core.oracle.check_promises()
    check_positions(core)
    check_read_back(core, 0, core.oracle.newest)
    check_history(core, sorted(POINTS), memory)
    assert not core.oracle.unsaid, f"missing and not said: {sorted(core.oracle.unsaid)[:3]}"
    assert core.log is not None
    assert core.log.durable == core.oracle.newest == core.oracle.taken
    ids, position = core.database.stored()
    assert [*core.oracle.events] == ids, "effects are not those of the log"
    assert position <= core.oracle.newest


def check_positions(core: Core) -> None:
    """No reader is ahead of its effects, and what it has not stored is still in the log."""
    log, worker = core.log, core.worker
    assert log is not None
    assert worker is not None
    manifest, damage = read_newest(core.disk, SEGMENTS)
    assert [] == damage
    names = core.disk.list(SEGMENTS)
    missing = [info.name for info in manifest.segments if info.name not in names]
    assert not missing, f"listed and not there: {missing}"
    assert core.projection is not None
    history, projection = worker._follower._handle, core.projection._handle
    assert history.position <= manifest.sequence, "the log may forget what no manifest has"
    ids, position = core.database.stored()
    assert projection.position <= position, "the projection is ahead of its transaction"
    due = [id_ for id_, sequence in core.oracle.events.items() if sequence <= position]
    assert ids == due, "the position is not that of the effects"
    first, needed = log.first_sequence, min(manifest.sequence, position)
    assert first - 1 <= needed, f"the log begins at {first}, a reader has stored up to {needed}"


def check_read_back(core: Core, after: int, records_max: int) -> None:
    """What readers saw is what the log still says."""
    log, read = core.log, 0
    assert log is not None
    while read < records_max and (records := log.read(after, records_max=16)):
        for record in records:
            core.oracle.see_again(record)
        after, read = records[-1].sequence, read + len(records)


def check_history(core: Core, handles: list[int], memory: list[Memory]) -> None:
    """Every acknowledged sample once, to the bit, in order; as it was known then, too."""
    worker, oracle = core.worker, core.oracle
    assert worker is not None
    historian = worker.historian
    if historian.sequence < oracle.taken or not has_caught_up_to(core, historian.sequence):
        return
    oracle.take(historian.sequence)
    snapshot = historian.pin(handles)
    for handle in handles:
        history = oracle.history.get(handle)
        if history is None:
            continue
        wanted, found = history.visible(), answer(snapshot, handle)
        assert found == wanted, f"point {handle}: {_difference(found, wanted)}"
        check_last(snapshot, handle, history.newest)
        memory.append(Memory(handle, historian.sequence, wanted))
        core.pinned.append((snapshot, handle, wanted))
    check_memory(snapshot, [item for item in memory if item.handle in handles])
    del memory[:-MEMORIES_MAX]
    check_pinned(core)
    assert not historian._store.damage, historian._store.damage


def check_pinned(core: Core) -> None:
    """A query that began long ago still gets the same answer, whatever was replaced meanwhile."""
    for snapshot, handle, wanted in core.pinned:
        found = answer(snapshot, handle)
        assert found == wanted, f"an old query of point {handle}: {_difference(found, wanted)}"
    del core.pinned[:-PINNED_MAX]


def has_caught_up_to(core: Core, sequence: int) -> bool:
    """Has the witness seen what the historian has?"""
    return core.oracle.newest >= sequence


def check_memory(snapshot: Snapshot, memory: list[Memory]) -> None:
    """`as_of` an earlier moment says what was said then."""
    for item in memory:
        then = snapshot.at_sequence(item.sequence)
        found = answer(then, item.handle)
        place = f"point {item.handle} as of {item.sequence}"
        assert found == item.rows, f"{place}: {_difference(found, item.rows)}"


def check_last(snapshot: Snapshot, handle: int, newest: Row | None) -> None:
    """The newest sample by its own time."""
    place = int(np.flatnonzero(snapshot.last.point == handle)[0])
    assert newest is not None
    last = snapshot.last
    bits: Bits = last.text[place] if place in last.text else int(last.bits[place])
    found = (int(last.time_ns[place]), bits, int(last.quality[place]))
    assert (newest.time_ns, newest.bits, newest.quality) == found, f"last of point {handle}"


def _difference(found: list[Row], wanted: list[Row]) -> str:
    for number, (one, other) in enumerate(zip(found, wanted, strict=False)):
        if one != other:
            return f"row {number} of {len(wanted)}: {one} instead of {other}"
    return f"{len(found)} rows instead of {len(wanted)}"
