"""Roles: which columns of a file are times, names, values and qualities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from penstock.historian.imports.formats import fit_share, is_clock, is_number
from penstock.historian.imports.numbers import FALSE_WORDS, TRUE_WORDS, decimal_of
from penstock.historian.imports.options import Choice, Options, Proposal, Question
from penstock.historian.imports.table import Table
from penstock.model import Refused

_TIME = frozenset(
    {"time", "timestamp", "ts", "time_ns", "zeit", "zeitstempel", "datum", "date", "datetime"}
)
_NAME = frozenset(
    {
        "point", "path", "tag", "tagname", "name", "signal", "sensor", "variable", "messstelle",
        "punkt", "series", "metric", "item", "channel", "kanal", "merkmal", "point_id",
    }
)  # fmt: skip
_VALUE = frozenset({"value", "wert", "val", "messwert", "reading"})
_QUALITY = frozenset({"quality", "qualität", "qualitaet", "quality_code", "status", "statuscode"})
_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Series:
    """A column of values with a name of its own: `time` are the columns of its times."""

    name: str
    unit: str
    column: str
    time: tuple[str, ...]


@dataclass(slots=True)
class Roles:
    """What was found; questions stand for what was not."""

    layout: str = "wide"
    time: tuple[str, ...] = ()
    name: str = ""
    value: str = ""
    quality: str = ""
    series: list[Series] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    proposals: list[Proposal] = field(default_factory=list)


def roles_of(table: Table, options: Options) -> Roles:
    """Roles of the columns; Refused("import_unreadable") without a time."""
    _check_named(table.names, options)
    found = Roles(time=_time_columns(table, options))
    pairs = _pairs(table, options)
    if pairs:
        found.layout, found.series = "pairs", pairs
        return found
    _find_layout(table, options, found)
    if found.layout == "wide":
        found.quality = options.quality_column or ""
        taken = {*found.time, found.quality, *options.ignored_columns}
        if table.names[:2] == ["TIMESTAMP", "RECORD"]:
            taken.add("RECORD")
            found.proposals.append(
                Proposal(id="ignored_columns", value="RECORD", because="it counts records")
            )
        found.series = [
            Series(heading.name, heading.unit, heading.name, found.time)
            for heading in table.headings
            if heading.name not in taken
        ]
    return found


def _check_named(names: Sequence[str], options: Options) -> None:
    named = [
        *options.time_columns,
        *filter(None, (options.name_column, options.value_column, options.quality_column)),
    ]
    missing = next((name for name in named if name not in names), None)
    if missing is not None:
        shown = ", ".join(names[:20])
        raise Refused("import_unreadable", f"There is no column {missing!r}; there are {shown}.")


def _time_columns(table: Table, options: Options) -> tuple[str, ...]:
    if options.time_columns:
        return tuple(options.time_columns)
    names = table.names
    order = sorted(range(len(names)), key=lambda at: names[at].casefold() not in _TIME)
    for at in order[:64]:
        cells = table.column(at)
        if fit_share(cells) >= _SHARE and (not is_number(cells) or at < 4):
            has_clock = at + 1 < len(names) and is_clock(table.column(at + 1))
            return (names[at], names[at + 1]) if has_clock else (names[at],)
    raise Refused("import_unreadable", "No column holds times; name it with `time_columns`.")


def _pairs(table: Table, options: Options) -> list[Series]:
    """A column of times before each column of values, as people paste them side by side."""
    if options.layout not in (None, "pairs"):
        return []
    width = len(table.headings)
    is_paired = (
        width >= 4
        and width % 2 == 0
        and all(
            fit_share(table.column(at)) >= _SHARE and fit_share(table.column(at + 1)) < _SHARE
            for at in range(0, min(width, 64), 2)
        )
    )
    if not is_paired:
        return []
    found = []
    for at in range(0, width, 2):
        time, value = table.headings[at], table.headings[at + 1]
        is_named_above = value.name == f"column {at + 2}"
        named = time if is_named_above else value
        found.append(Series(named.name, named.unit, value.name, (time.name,)))
    return found


def _find_layout(table: Table, options: Options, found: Roles) -> None:
    names = {name.casefold(): name for name in table.names}
    name = options.name_column or _first(names, _NAME)
    value = options.value_column or _first(names, _VALUE)
    if options.layout == "wide":
        return
    if name and value:
        found.layout, found.name, found.value = "long", name, value
        quality = options.quality_column
        found.quality = _first(names, _QUALITY) if quality is None else quality
        return
    rest = [heading.name for heading in table.headings if heading.name not in found.time]
    words = [column for column in rest if _is_words(table, column)]
    numbers = [column for column in rest if _is_numbers(table, column)]
    if options.layout == "long" or (len(words) == len(numbers) == 1 and len(rest) <= 4):
        found.layout = "long" if options.layout == "long" else "open"
        found.name = name or (words[0] if words else "")
        found.value = value or (numbers[0] if numbers else "")
        _ask_layout(options, found)


def _ask_layout(options: Options, found: Roles) -> None:
    if options.layout is None:
        found.questions.append(
            Question(
                id="layout",
                text=f"Is column {found.name!r} the name of a point, or a point itself?",
                choices=[
                    Choice(
                        value="long",
                        meaning=f"each row is one sample of the point in {found.name!r}",
                    ),
                    Choice(value="wide", meaning="each column is a point"),
                ],
            )
        )
        return
    for id_, column in (("name_column", found.name), ("value_column", found.value)):
        if not column:
            found.questions.append(
                Question(id=id_, text=f"Which column is the {id_.removesuffix('_column')}?")
            )


def _first(names: dict[str, str], wanted: frozenset[str]) -> str:
    return next((original for name, original in names.items() if name in wanted), "")


def _is_words(table: Table, column: str) -> bool:
    cells = [cell.casefold() for cell in table.column(table.names.index(column))]
    kinds = set(cells)
    is_text = not any(cell[:1].isdigit() for cell in kinds) and not kinds <= {
        *TRUE_WORDS, *FALSE_WORDS, "good", "bad", "uncertain",
    }  # fmt: skip
    return bool(cells) and is_text and (len(kinds) < len(cells) or len(cells) < 3)


def _is_numbers(table: Table, column: str) -> bool:
    cells = table.column(table.names.index(column))
    hits = sum(bool(decimal_of(cell)) or is_number([cell]) for cell in cells)
    return hits > _SHARE * len(cells)
