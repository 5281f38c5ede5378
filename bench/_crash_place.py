"""What `./dev bench crash` knows: what was accepted at a place, and what was found there after.

History alone cannot tell a batch that was taken twice, because it shows equal rows once;
so the batch records of the log are counted too, over all lives.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from _crash_writer import runs_of

SLOTS = ("1", "2", "3")
Runs = list[list[int]]


@dataclasses.dataclass
class State:
    """What a resumed run needs.

    `accepted` are numbers by place and slot; `logged` are runs of the numbers that the log was
    seen to hold, by place and "slot.incarnation", up to the log sequence `seen_to`.
    """

    seed: int
    folder: str
    kills: int = 0
    cuts: int = 0
    whole_kills: int = 0
    whole_cuts: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    manual_repairs: int = 0
    whole_accepted: int = 0
    recovery_s: list[float] = dataclasses.field(default_factory=list)
    failures: list[str] = dataclasses.field(default_factory=list)
    unproven: list[str] = dataclasses.field(default_factory=list)
    accepted: dict[str, dict[str, list[int]]] = dataclasses.field(default_factory=dict)
    logged: dict[str, dict[str, Runs]] = dataclasses.field(default_factory=dict)
    seen_to: dict[str, int] = dataclasses.field(default_factory=dict)
    logged_records: int = 0
    logged_passed_by: int = 0
    segments_max: int = 0
    compactions: int = 0
    compressed_files: int = 0
    last_statistics: dict[str, int] = dataclasses.field(default_factory=dict)

    def save(self, path: Path) -> None:
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(dataclasses.asdict(self)))
        temporary.replace(path)


class Place:
    """A folder with the oracle of what was accepted there."""

    def __init__(self, state: State, name: str, folder: Path) -> None:
        self.folder = folder
        self.state = state
        self.accepted = {slot: set(state.accepted.get(name, {}).get(slot, [])) for slot in SLOTS}
        self.logged = {
            key: {n for first, last in runs for n in range(first, last + 1)}
            for key, runs in state.logged.get(name, {}).items()
        }
        self.seen_to = state.seen_to.get(name, 0)
        self.beside = (0, 0)
        self.name = name

    def note(self, line: bytes) -> None:
        kind, _, rest = line.partition(b" ")
        if kind == b"a":
            slot, number = rest.split()
            self.accepted[slot.decode()].add(int(number))
        elif kind == b"d":
            compactions, compressed = map(int, rest.split())
            self.state.compactions += compactions - self.beside[0]
            self.state.compressed_files += compressed - self.beside[1]
            self.beside = (compactions, compressed)

    def started(self) -> None:
        """A new life counts from nothing."""
        self.beside = (0, 0)

    def firsts(self) -> list[int]:
        """The oldest number without an acknowledgement: what came after it is sent again."""
        found = []
        for slot in SLOTS:
            numbers = self.accepted[slot]
            first = 1 + len(numbers)
            missing = [n for n in range(1, first + 1) if n not in numbers]
            found.append(missing[0])
        return found

    def judge(self, found: dict[str, object]) -> None:
        """What a life found when it started."""
        self.compare(found)
        self.count(found)

    def compare(self, found: dict[str, object]) -> None:
        """What history holds against what was promised."""
        state, whole = self.state, found["whole"]
        assert isinstance(whole, dict)
        state.doubled += int(str(found["doubled"]))
        state.wrong += int(str(found["wrong"]))
        for slot in SLOTS:
            there = {n for first, last in whole[slot] for n in range(first, last + 1)}
            missing = self.accepted[slot] - there
            state.lost += len(missing)
            if missing:
                state.failures.append(f"{self.name}: slot {slot} lost {sorted(missing)[:5]}")
        statistics = found["statistics"]
        assert isinstance(statistics, dict)
        state.last_statistics = statistics
        state.segments_max = max(state.segments_max, int(statistics["segments"]))
        if statistics.get("damaged_chunks"):
            state.failures.append(f"{self.name}: damaged chunks")

    def count(self, found: dict[str, object]) -> None:
        """Each batch lies in the log once: in what is new there, and beside what was there."""
        state, records = self.state, found["records"]
        assert isinstance(records, list)
        doubled = []
        for slot, incarnation, number in records:
            known = self.logged.setdefault(f"{slot}.{incarnation}", set())
            if number in known:
                doubled.append((slot, incarnation, number))
            known.add(number)
        state.doubled += len(doubled)
        if doubled:
            state.failures.append(f"{self.name}: in the log twice: {doubled[:5]}")
        self.seen_to = int(str(found["seen_to"]))
        state.logged_records += len(records)
        state.logged_passed_by += int(str(found["passed_by"]))

    def keep(self) -> None:
        self.state.seen_to[self.name] = self.seen_to
        self.state.logged[self.name] = {
            key: [list(run) for run in runs_of(sorted(numbers))]
            for key, numbers in self.logged.items()
        }
        self.state.accepted[self.name] = {slot: sorted(self.accepted[slot]) for slot in SLOTS}
