"""A deletion by hand: what it is about, its state, and how it is kept in data/deletions.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.world import Disk

FILE = "deletions.json"
KEPT_MAX = 1_000
PROPOSED, WORKING, HIDDEN, DONE = "proposed", "working", "hidden", "done"
CANCELLED, FAILED = "cancelled", "failed"


@dataclass(slots=True)
class Deletion:
    """Samples of `handles` in a span, of log records up to `until`.

    `ends_ns` is when it is final; `withdrawn` are the files (SegmentInfo) that undo brings
    back; `remove` and `add` say whether a commit that was cut off has happened.
    """

    id: str
    by: str
    path: str
    points: list[str]
    handles: list[int]
    from_ns: int
    to_ns: int
    reason: str
    proposed_ns: int
    phrase: str
    state: str = PROPOSED
    until: int = 0
    rows: int = 0
    bytes: int = 0
    hidden_ns: int = 0
    ends_ns: int = 0
    detail: str = ""
    withdrawn: list[dict[str, Any]] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    add: list[str] = field(default_factory=list)


def load(disk: Disk, data: Path) -> list[Deletion]:
    """Those that were kept, oldest first; none when there is no file.

    ValueError, KeyError or TypeError when it is damaged.
    """
    try:
        documents = orjson.loads(disk.read(data / FILE))
    except FileNotFoundError:
        return []
    return [Deletion(**document) for document in documents]


def save(disk: Disk, data: Path, deletions: list[Deletion]) -> None:
    """All that were confirmed; finished ones go first when they are too many. OSError."""
    kept = [item for item in deletions if item.state != PROPOSED]
    living = [item for item in kept if item.state in (WORKING, HIDDEN)]
    over = [item for item in kept if item.state not in (WORKING, HIDDEN)]
    chosen = over[-max(0, KEPT_MAX - len(living)) :] + living
    chosen.sort(key=lambda item: item.proposed_ns)
    disk.write_whole(data / FILE, [orjson.dumps([asdict(item) for item in chosen])])
