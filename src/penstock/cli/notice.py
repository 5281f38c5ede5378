"""A line of the doctor: what was looked at, how it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """`look` is no fault yet, or one that somebody has to judge."""

    OK = "ok"
    LOOK = "look"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Notice:
    """`remedy` is empty only when nothing has to be done."""

    name: str
    state: State
    detail: str
    remedy: str = ""

    def __post_init__(self) -> None:
        assert self.state is State.OK or self.remedy, self.name


def ok(name: str, detail: str) -> Notice:
    """Nothing to do."""
    return Notice(name, State.OK, detail)


def look(name: str, detail: str, remedy: str) -> Notice:
    """Somebody should look at it some time."""
    return Notice(name, State.LOOK, detail, remedy)


def fault(name: str, detail: str, remedy: str) -> Notice:
    """Penstock does not or will not work."""
    return Notice(name, State.FAULT, detail, remedy)
