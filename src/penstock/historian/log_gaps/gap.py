"""Gap: what a gap record of the log says, with the receive times that bound it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.model.event import Json


@dataclass(frozen=True, slots=True)
class Gap:
    """Log records `first` to `last` are missing; `sequence` is that of the record that says so.

    They were received between `from_ns` and `to_ns`, the receive times of the records
    around them; where there is none before them any more, both are that of the one behind.
    `is_lost`: the history does not have their samples either. Otherwise it had taken
    them before, or the gap is only one reader's (`scope`).
    """

    sequence: int
    cause: str
    scope: str
    first: int
    last: int
    from_ns: int
    to_ns: int
    is_lost: bool
    detail: Mapping[str, Json]
