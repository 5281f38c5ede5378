"""What requests for aggregates, values at moments and gaps look like, and their answers."""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
import re
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from penstock.historian.aggregate import Options, check
from penstock.historian.at import MOMENTS_MAX
from penstock.historian.intervals import Intervals, Unit, of_calendar, of_width, whole
from penstock.historian.request import ids_of, span_of
from penstock.model import Refused
from penstock.model.time import DAY_NS, HOUR_NS, MILLISECOND_NS, MINUTE_NS, SECOND_NS

POINTS_MAX = 1_000
AGGREGATES_MAX = 32
RESULTS_MAX = 500_000
_WIDTHS = {"ms": MILLISECOND_NS, "s": SECOND_NS, "m": MINUTE_NS, "h": HOUR_NS, "d": DAY_NS}
_WIDTH = re.compile(r"(\d{1,9})(ms|s|m|h|d)\Z")
_UNITS: dict[str, Unit] = {"hour": "hour", "day": "day", "week": "week", "month": "month"}
JsonValue = float | str | None
Interpolation = Literal["previous", "stepped", "sloped"]


class AggregateRequest(BaseModel):
    """Which aggregates of which points, by which intervals: docs/reference/aggregates.md."""

    model_config = ConfigDict(extra="forbid", strict=True)

    points: list[Annotated[UUID, Field(strict=False)]] = Field(min_length=1, max_length=POINTS_MAX)
    aggregates: list[str] = Field(min_length=1, max_length=AGGREGATES_MAX)
    from_: str = Field(alias="from", description="RFC 3339, or nanoseconds since 1970.")
    to: str = Field(description="RFC 3339, or nanoseconds since 1970.")
    every: str = Field(
        "all", description='A width such as "15m", "hour", "day", "week", "month", or "all".'
    )
    zone: str = Field("UTC", max_length=64, description="Time zone of hour, day, week and month.")
    interpolation: Literal["stepped", "sloped"] = "stepped"
    treat_uncertain_as_bad: bool = False
    percent_good: float = Field(100.0, ge=0, le=100)
    percent_bad: float = Field(100.0, ge=0, le=100)
    hold: bool = Field(False, description="The newest value holds until now.")
    as_of: str = Field("", max_length=40, description="Log sequence, or RFC 3339 time of receipt.")


class AggregateQuery(BaseModel):
    """The same as parameters of an address: lists are separated by commas."""

    model_config = ConfigDict(extra="forbid")

    points: str = Field(description="Identities of points, separated by commas.")
    aggregates: str = Field(description="Names of aggregates, separated by commas.")
    from_: str = Field(alias="from")
    to: str
    every: str = "all"
    zone: str = "UTC"
    interpolation: Literal["stepped", "sloped"] = "stepped"
    treat_uncertain_as_bad: bool = False
    percent_good: float = Field(100.0, ge=0, le=100)
    percent_bad: float = Field(100.0, ge=0, le=100)
    hold: bool = False
    as_of: str = ""

    def as_request(self) -> AggregateRequest:
        """Refused when a list is empty, too long or holds what it should not."""
        fields = self.model_dump(by_alias=True)
        fields["points"] = list(ids_of(self.points, POINTS_MAX))
        fields["aggregates"] = [name for name in self.aggregates.split(",") if name]
        try:
            return AggregateRequest.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise Refused("invalid_request", f"{place}: {first['msg']}") from error


class ColumnView(BaseModel):
    """Results of one aggregate, an entry an interval; `time_ns` where it says when.

    `unit` is the UCUM code of the results: that of a total is unit x seconds.
    """

    unit: str
    value: list[JsonValue]
    quality: list[int]
    info: list[int]
    time_ns: list[str | None] | None


class PointAggregates(BaseModel):
    """Results of one point; `states` are the nanoseconds in each state (time_in_state).

    `other_states` are those in all states beyond the 256 that one request tells apart; null
    where there is no other.
    """

    id: UUID
    kind: str
    unit: str
    simulated: bool
    columns: dict[str, ColumnView]
    states: dict[str, list[str]]
    other_states: list[str] | None


class AggregateAnswer(BaseModel):
    """Results in the order of the request; null is a point that does not exist for the caller."""

    sequence: str
    begin_ns: list[str]
    end_ns: list[str]
    points: list[PointAggregates | None]


class AtRequest(BaseModel):
    """Values of many points at the same moments."""

    model_config = ConfigDict(extra="forbid", strict=True)

    points: list[Annotated[UUID, Field(strict=False)]] = Field(min_length=1, max_length=POINTS_MAX)
    times: list[str] = Field(min_length=1, max_length=MOMENTS_MAX)
    interpolation: Interpolation = "previous"
    treat_uncertain_as_bad: bool = False
    as_of: str = Field("", max_length=40)


class AtView(BaseModel):
    """Values of one point at the asked moments; `sample_ns` is when the sample before was."""

    id: UUID
    kind: str
    unit: str
    value: list[JsonValue]
    quality: list[int]
    info: list[int]
    sample_ns: list[str | None]


class AtAnswer(BaseModel):
    """In the order of the request; null is a point that does not exist for the caller."""

    sequence: str
    time_ns: list[str]
    points: list[AtView | None]


class GapView(BaseModel):
    """A span without a usable value; `end_ns` is null while it lasts."""

    begin_ns: str
    end_ns: str | None
    is_open: bool
    began_before: bool
    ends_behind: bool
    quality: int
    cause: str


class GapsView(BaseModel):
    """Gaps of a point in time order; `is_complete` is false where more follow."""

    point: UUID
    sequence: str
    gaps: list[GapView]
    is_complete: bool


def intervals_of(request: AggregateRequest) -> Intervals:
    """The intervals of a request; Refused when its words make none."""
    from_ns, to_ns = span_of(request.from_, request.to)
    every = request.every
    if every == "all":
        return whole(from_ns, to_ns)
    if every in _UNITS:
        return of_calendar(from_ns, to_ns, _UNITS[every], request.zone)
    match = _WIDTH.match(every)
    if match is None:
        raise Refused(
            "invalid_request",
            f'{every[:40]!r} is not a width such as "15m", nor hour, day, week, month or all.',
        )
    return of_width(from_ns, to_ns, int(match[1]) * _WIDTHS[match[2]])


def check_size(request: AggregateRequest, intervals: int) -> None:
    """Refused when the answer would be too large to send."""
    check(request.aggregates, len(request.points), intervals)
    results = len(request.points) * len(set(request.aggregates)) * intervals
    if results > RESULTS_MAX:
        raise Refused(
            "too_large", f"{results} results; at most {RESULTS_MAX}. Ask for longer intervals."
        )


def options_of(request: AggregateRequest, now_ns: int) -> Options:
    """How samples become values."""
    return Options(
        request.interpolation == "sloped",
        request.treat_uncertain_as_bad,
        request.percent_good,
        request.percent_bad,
        now_ns if request.hold else None,
    )
