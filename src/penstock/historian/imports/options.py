"""Options: what a person has said about a file, and how a look at it has completed that.

None means: not said. A look fills in what the file leaves no doubt about and asks for the
rest; a check runs only on options in which nothing is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

Decimal = Literal["dot", "comma"]
TimeFormat = Literal["ymd", "dmy", "mdy", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns"]
Layout = Literal["long", "wide", "pairs"]
DoubleHour = Literal["order", "first", "second"]
Encoding = Literal[
    "utf-8", "utf-16", "cp1252", "latin-1", "cp1250", "cp1251", "cp437", "cp850", "iso8859-15"
]
NAMES_MAX = 100_000
QUALITY_WORDS_MAX = 64


class Options(BaseModel):
    """What may be said about one file; every field that is None or empty is left to the look."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoding: Encoding | None = Field(None, description="Of a CSV file.")
    delimiter: Literal[",", ";", "\t", "|"] | None = Field(None, description="Of a CSV file.")
    header_row: int | None = Field(
        None, ge=0, le=100, description="Line of the column names, from 1; 0: there are none."
    )
    first_row: int | None = Field(None, ge=1, le=1_000, description="Line of the first sample.")
    layout: Layout | None = Field(
        None,
        description="long: a row a sample; wide: a column a point; "
        "pairs: a column of times before each column of values.",
    )
    time_columns: Sequence[str] = Field((), max_length=2, description="Date and time, or one.")
    name_column: str | None = None
    value_column: str | None = None
    quality_column: str | None = Field(None, description="Empty text: there is none.")
    ignored_columns: Sequence[str] = Field((), max_length=10_000)
    decimal: Decimal | None = None
    time_format: TimeFormat | None = None
    zone: str | None = Field(None, description="IANA name for times without an offset.")
    double_hour: DoubleHour | None = Field(
        None, description="Which of the two hours is meant at the end of daylight saving."
    )
    quality_words: dict[str, Literal["good", "uncertain", "bad"]] = Field(
        default_factory=dict, max_length=QUALITY_WORDS_MAX
    )
    names: dict[str, str] = Field(
        default_factory=dict,
        max_length=NAMES_MAX,
        description='Names of the file to paths or UUIDs of points; "" leaves a name out.',
    )
    asset: str = Field("", description="Names are looked for below it first.")
    skip_unknown: bool = Field(False, description="Leave out names that are no points.")
    ignore_units: bool = Field(False, description="Take values whose unit is not the point's.")
    skip_bad: bool = Field(False, description="Leave out rows that do not fit.")
    replace: bool = Field(False, description="Values replace those of the same time.")

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, zone: str | None) -> str | None:
        if zone is not None:
            try:
                ZoneInfo(zone)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                raise ValueError(
                    f"{zone[:60]!r} is not a time zone such as Europe/Berlin"
                ) from error
        return zone


class Choice(BaseModel):
    """One answer: the value of the option, and what it would mean."""

    model_config = ConfigDict(frozen=True)

    value: str
    meaning: str


class Example(BaseModel):
    """A place in the file."""

    model_config = ConfigDict(frozen=True)

    row: int
    column: str
    text: str


class Question(BaseModel):
    """What a file leaves open; `id` is the option that answers it."""

    model_config = ConfigDict(frozen=True)

    id: str
    text: str
    choices: Sequence[Choice] = ()
    examples: Sequence[Example] = ()


class Proposal(BaseModel):
    """What was read off the file without doubt, and from what."""

    model_config = ConfigDict(frozen=True)

    id: str
    value: str
    because: str
