"""The plugin contract in one file: what a connector is and what it is given.

A connector speaks one protocol to one line (a socket or a wire). Its host owns
the loop, the clock, the schedule, retries, back-off, communication loss and
metrics; so a connector is four short methods and no loop of its own.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from math import inf, isfinite
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from penstock.model import ConfigProblem, Frame, Quality, ValueKind
from penstock.world import Clock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.model import Block

__all__ = [
    "Clock",
    "Connector",
    "ConnectorContext",
    "Line",
    "Plan",
    "PluginConfig",
    "PointBinding",
    "PollGroup",
    "ReadBack",
    "Reading",
    "Resolution",
    "WriteOutcome",
    "WriteRequest",
    "WriteResult",
]


class PluginConfig(BaseModel):
    """Base of a plugin's settings: unknown keys are refused; each field has a description.

    Values of a CSV cell arrive as text, those of TOML typed; a field must accept
    both (so this model is not strict), blanks in a cell mean "default".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class PointBinding:
    """A point as its connector sees it.

    `handle` goes into Frame.point; `settings` is the validated PointConfig row;
    `place` ("pumps.csv:12") names the row in problems.
    """

    handle: int
    path: str
    kind: ValueKind
    settings: PluginConfig
    place: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class PollGroup:
    """What is read together: one device's points of one rate. `requests` is the wire cost."""

    name: str
    device: str
    period_ns: int
    points: tuple[int, ...]
    requests: int


@dataclass(frozen=True, slots=True)
class Line:
    """One socket or wire: its devices share it, and one worker serves it."""

    name: str
    address: str
    devices: tuple[str, ...]
    points: tuple[PointBinding, ...]
    is_protected: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Answer of Connector.plan: lines to run, and every problem found without connecting."""

    lines: tuple[Line, ...]
    problems: tuple[ConfigProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """Columns of one read. `is_silent`: the device did not answer, though its line works.

    A point that could not be read is a row with a bad quality and the no-value
    flag. `requests` counts what went over the wire.
    """

    frames: tuple[Frame, ...] = ()
    blocks: tuple[Block, ...] = ()
    is_silent: bool = False
    requests: int = 1
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a device can hold of a float: value = raw x factor / divisor + offset.

    Of a "count" the raw value is a whole number, halves going to the even one; of a
    "float32" it has 24 bits. The connector has to calculate in the same order.
    """

    raw: Literal["unknown", "count", "float32", "float64"] = "unknown"
    factor: float = 1.0
    divisor: float = 1.0
    offset: float = 0.0

    def held(self, value: float) -> float:
        """What the device shows after `value` was written; infinite when it cannot hold it.

        >>> Resolution("count").held(33.4), Resolution("count", divisor=10.0).held(33.44)
        (33.0, 33.4)
        """
        if self.raw == "unknown":
            return value
        raw = (value - self.offset) * self.divisor / self.factor
        if not isfinite(raw):
            return inf
        if self.raw == "count":
            raw = float(round(raw))
        elif self.raw == "float32":
            raw = _float32(raw)
        return raw * self.factor / self.divisor + self.offset

    def slack(self, value: float) -> float:
        """How far `held(value)` may lie from `value` by the width of the number alone."""
        width = 2.0**-23 if self.raw == "float32" else 1e-9
        return (abs(value) + abs(self.offset)) * width


def _float32(value: float) -> float:
    try:
        held: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return inf
    return held


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One value for one point; checked by the desk and by the host before it comes here."""

    handle: int
    value: float | int | str


class WriteOutcome(Enum):
    """What is known after a write was tried."""

    ACCEPTED = "accepted"  # the device said yes; only a read-back says that it is so
    REFUSED = "refused"  # the device said no
    NOT_SENT = "not_sent"  # nothing went over the wire
    UNKNOWN = "unknown"  # sent, no answer: never repeat


@dataclass(frozen=True, slots=True)
class WriteResult:
    """Outcome and the protocol's own words for it."""

    outcome: WriteOutcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What the device holds now."""

    value: float | int | str | None
    quality: Quality
    time_ns: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ConnectorContext:
    """What the host gives to a connector."""

    clock: Clock
    counters: dict[str, int] = field(default_factory=dict)

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a metric of this line, for example "exceptions" or "splits"."""
        self.counters[name] = self.counters.get(name, 0) + amount


ConfigT = TypeVar("ConfigT", bound=PluginConfig)


class Connector(ABC, Generic[ConfigT]):
    """One protocol on one line. Read-only until a point is released for writing.

    Lifetime: `plan` (no I/O) -> `__init__` (stores) -> `open` -> `read`/`write` ->
    `close`. The host never calls two methods of one connector at the same time.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    Config: ClassVar[type[PluginConfig]]
    PointConfig: ClassVar[type[PluginConfig]]

    @classmethod
    @abstractmethod
    def plan(cls, name: str, config: ConfigT, points: Sequence[PointBinding]) -> Plan:
        """Check everything that can be known without connecting; all problems at once."""

    @classmethod
    def resolution(cls, _point: PointBinding, /) -> Resolution:
        """What the device can hold of a float; people see it before they confirm a command."""
        return Resolution()

    def __init__(self, config: ConfigT, line: Line, context: ConnectorContext) -> None:
        self.config = config
        self.line = line
        self.context = context

    @abstractmethod
    def groups(self) -> tuple[PollGroup, ...]:
        """What to read and how often; asked again after each `open`."""

    @abstractmethod
    async def open(self) -> None:
        """Connect; raises NotConnected."""

    @abstractmethod
    async def read(self, group: PollGroup) -> Reading:
        """Read one group once; raises NotConnected when the line is lost."""

    async def probe(self, device: str) -> bool:
        """One short request: does the device answer? Raises NotConnected for the line."""
        group = next(group for group in self.groups() if group.device == device)
        return not (await self.read(group)).is_silent

    async def write(self, request: WriteRequest) -> WriteResult:
        """Write exactly this point; never raises for what the device says."""
        return WriteResult(WriteOutcome.NOT_SENT, f"{self.name} cannot write")

    async def read_back(self, handle: int) -> ReadBack:
        """Read one point now, by its own request."""
        return ReadBack(None, Quality.BAD_NOT_AVAILABLE, self.context.clock.now_ns())

    @abstractmethod
    async def close(self) -> None:
        """Close the session; never raises, returns within a second."""

    def statistics(self) -> Mapping[str, int]:
        """Counters of this line."""
        return self.context.counters
