"""Command: a request to change the world, and all that is known about its fate.

`expires_ns` is always the next deadline: of the selection first, of the answer
once it was sent. Nothing here is called success without a read-back.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from penstock.model.point import KIND_BY_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.model import ValueKind
    from penstock.model.event import Json

Value = float | int | str
COMMAND_SCHEMA = 1


class CommandState(Enum):
    """Where a command stands. UNCONFIRMED ends only by a person who resolves it."""

    PROPOSED = "proposed"
    SELECTED = "selected"
    ARMED = "armed"
    SENT = "sent"
    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"


BEFORE_THE_WIRE = frozenset({CommandState.PROPOSED, CommandState.SELECTED, CommandState.ARMED})
ON_THE_WIRE = frozenset({CommandState.SENT, CommandState.ACCEPTED})
ENDED = frozenset(
    {CommandState.CONFIRMED, CommandState.REJECTED, CommandState.EXPIRED, CommandState.FAILED}
)


class EventKind(Enum):
    """What can happen to a command: people, the wire, time, a restart."""

    SELECT = "select"
    ARM = "arm"
    SEND = "send"
    CANCEL = "cancel"
    RESOLVE = "resolve"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    READ_BACK = "read_back"
    AWAY = "away"
    TIME = "time"
    RESTART = "restart"


WIRE_KINDS = frozenset(
    {
        EventKind.ACCEPTED,
        EventKind.REFUSED,
        EventKind.NOT_SENT,
        EventKind.UNKNOWN,
        EventKind.READ_BACK,
        EventKind.AWAY,
    }
)


class Action(Enum):
    """What the desk does once the transition is durable."""

    PUT_ON_WIRE = "put_on_wire"


@dataclass(frozen=True, slots=True)
class CommandEvent:
    """One thing that happened; `deadline_ns` is the new deadline of SELECT and SEND."""

    kind: EventKind
    principal: str = ""
    text: str = ""
    value: Value | None = None
    quality: int = 0
    deadline_ns: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the desk with what it compared; a failed "quality" only warns."""

    key: str
    ok: bool
    params: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the history."""

    state: CommandState
    time_ns: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """One request: `value` is what was asked for, `held` what the device can hold of it.

    `tolerance` is how far a read-back may be from `held` and still be it.

    `is_answer_lost`: it was sent and nobody knows whether it arrived. `problem`
    is a key for the screen's catalogue, `detail` the protocol's own words.
    """

    id: str
    point: str
    point_path: str
    asset_path: str
    unit: str
    kind: ValueKind
    value: Value
    held: Value
    tolerance: float
    author: str
    created_ns: int
    expires_ns: int
    state: CommandState = CommandState.PROPOSED
    reason: str = ""
    old_value: Value | None = None
    old_quality: int = 0
    checks: tuple[Check, ...] = ()
    history: tuple[Step, ...] = ()
    is_answer_lost: bool = False
    read_back: Value | None = None
    read_back_quality: int = 0
    detail: str = ""
    problem: str = ""
    resolved_by: str = ""
    resolved_ns: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether its point is busy: under way, or uncertain and not resolved by anybody."""
        if self.state is CommandState.UNCONFIRMED:
            return self.resolved_ns is None
        return self.state not in ENDED

    @property
    def revision(self) -> int:
        """Grows with each recorded transition."""
        return len(self.history)


def to_document(command: Command) -> dict[str, Json]:
    """JSON of a command, as it lies in the log and in the database."""
    document = asdict(command)
    document["schema"] = COMMAND_SCHEMA
    document["state"] = command.state.value
    document["kind"] = int(command.kind)
    document["history"] = [[s.state.value, s.time_ns, s.detail] for s in command.history]
    document["checks"] = [[c.key, c.ok, dict(c.params)] for c in command.checks]
    return document


def from_document(document: Mapping[str, Json]) -> Command:
    """The command behind `to_document`."""
    fields = {"held": document["value"], **document}  # records of the first weeks have no "held"
    fields = {name: fields[name] for name in Command.__slots__}
    kinds = {int(kind): kind for kind in KIND_BY_NAME.values()}
    kind = kinds[int(str(fields["kind"]))]
    history, checks = fields["history"], fields["checks"]
    assert isinstance(history, list)
    assert isinstance(checks, list)
    value, held = _typed(fields["value"], kind), _typed(fields["held"], kind)
    assert value is not None
    assert held is not None
    return Command(
        **{
            **fields,  # type: ignore[arg-type]
            "kind": kind,
            "state": CommandState(fields["state"]),
            "history": tuple(Step(CommandState(row[0]), row[1], row[2]) for row in history),  # type: ignore[arg-type,index]
            "checks": tuple(Check(row[0], row[1], row[2]) for row in checks),  # type: ignore[arg-type,index]
            "value": value,
            "held": held,
            "old_value": _typed(fields["old_value"], kind),
            "read_back": _typed(fields["read_back"], kind),
        }
    )


def _typed(value: Json, kind: ValueKind) -> Value | None:
    """JSON has one kind of number where we have two."""
    if isinstance(value, int) and not isinstance(value, bool) and kind.name == "FLOAT":
        return float(value)
    assert value is None or isinstance(value, (int, float, str))
    return value
