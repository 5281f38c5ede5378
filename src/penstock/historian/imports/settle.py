"""Settle: how the times and numbers of a file are written, as far as it leaves no doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from penstock.historian.imports.formats import formats_of, has_offsets
from penstock.historian.imports.numbers import weigh
from penstock.historian.imports.options import Choice, Example, Options, Proposal, Question
from penstock.historian.imports.times import EPOCHS, read_times
from penstock.historian.imports.zones import Zone
from penstock.model import TextColumn
from penstock.model.time import format_ns

if TYPE_CHECKING:
    from penstock.historian.imports.roles import Roles
    from penstock.historian.imports.table import Table

_EXAMPLES = 3
_MEANINGS = {
    "ymd": "year, month, day", "dmy": "day, month, year", "mdy": "month, day, year",
    "epoch_s": "seconds since 1970", "epoch_ms": "milliseconds since 1970",
    "epoch_us": "microseconds since 1970", "epoch_ns": "nanoseconds since 1970",
}  # fmt: skip


@dataclass(slots=True)
class Look:
    """What was found; `settled` counts once there are no questions."""

    settled: dict[str, Any] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)
    proposals: list[Proposal] = field(default_factory=list)
    names: list[dict[str, Any]] = field(default_factory=list)
    preview: dict[str, Any] = field(default_factory=dict)
    rows: int = 0

    def propose(self, id_: str, value: str, because: str) -> None:
        """Something that the file leaves no doubt about."""
        self.proposals.append(Proposal(id=id_, value=value, because=because))

    def _settled(self) -> dict[str, Any]:
        """JSON objects lose the order of their keys on a link; columns must keep it."""
        rest = {name: value for name, value in self.settled.items() if name != "types"}
        return {**rest, "columns": [[*item] for item in self.settled["types"].items()]}

    def document(self) -> dict[str, Any]:
        """As JSON; the names go into a file of their own."""
        return {
            "settled": self._settled(),
            "questions": [item.model_dump() for item in self.questions],
            "proposals": [item.model_dump() for item in self.proposals],
            "preview": self.preview,
            "rows": self.rows,
        }


def settle_time(found: Look, roles: Roles, table: Table, options: Options, plant_zone: str) -> None:
    """Format of the times, and their zone where they need one; else questions."""
    columns = list(dict.fromkeys(s.time for s in roles.series)) or [roles.time]
    type_ = found.settled["types"][columns[0][0]]
    if type_.startswith("TIMESTAMP") or type_ == "DATE":
        is_utc = "TIME ZONE" in type_ or type_.startswith("TIMESTAMPTZ")
        found.settled["time_format"] = "timestamp"
        _settle_zone(found, ["(time of day)"], "", options, plant_zone, is_utc=is_utc)
        return
    texts = [text for names in columns[:8] for text in _joined(table, names)]
    found.settled["time_format"] = _time_format(found, texts, columns[0], options)
    chosen = found.settled["time_format"]
    if not chosen:
        return
    is_utc = chosen in EPOCHS or has_offsets(texts, chosen)
    _settle_zone(found, texts, chosen, options, plant_zone, is_utc=is_utc)


def _joined(table: Table, names: Sequence[str]) -> list[str]:
    places = [table.names.index(name) for name in names]
    rows = (row for row in table.rows if all(place < len(row) for place in places))
    joined = (" ".join(row[place].strip() for place in places).strip() for row in rows)
    return [text for text in joined if text]


def _time_format(
    found: Look, texts: Sequence[str], columns: Sequence[str], options: Options
) -> str:
    if options.time_format:
        return options.time_format
    unit = columns[0].rpartition("_")[2]
    formats = formats_of(texts)
    if f"epoch_{unit}" in EPOCHS and (not formats or f"epoch_{unit}" in formats):
        formats = [f"epoch_{unit}"]
    if len(formats) > 1 and _is_named(texts):
        formats = formats[:1]
    if len(formats) == 1:
        found.propose("time_format", formats[0], _read_as(texts[0], formats[0]))
        return formats[0]
    examples = [
        Example(row=0, column=" + ".join(columns), text=text)
        for text in dict.fromkeys(texts[: _EXAMPLES * 50])
    ][:_EXAMPLES]
    found.questions.append(
        Question(
            id="time_format",
            text="How are the times written?",
            choices=[
                Choice(value=name, meaning=f"{_MEANINGS[name]}: {_read_as(texts[0], name)}")
                for name in (formats or _MEANINGS)
            ],
            examples=examples,
        )
    )
    return ""


def _is_named(texts: Sequence[str]) -> bool:
    """Months are names, so their order with the day is no question."""
    return all(sum(letter.isalpha() for letter in text[:12]) >= 3 for text in texts[:100])


def _read_as(text: str, time_format: str) -> str:
    times = read_times(TextColumn.of([text[:64]]), time_format)
    if not times.is_time[0]:
        return f"{text!r} is none"
    shown = format_ns(int(times.time_ns[0]))
    return f"{text} is {shown if times.is_utc[0] else shown.removesuffix('Z') + ' local time'}"


def _settle_zone(
    found: Look,
    texts: Sequence[str],
    time_format: str,
    options: Options,
    plant_zone: str,
    *,
    is_utc: bool,
) -> None:
    if is_utc:
        return
    if options.zone:
        found.settled["zone"] = options.zone
        return
    names = dict.fromkeys([plant_zone, "UTC", "Europe/Berlin"] if plant_zone else ["UTC"])
    example = next(
        (
            t
            for t in texts
            if time_format and read_times(TextColumn.of([t[:64]]), time_format).is_time[0]
        ),
        "",
    )
    found.questions.append(
        Question(
            id="zone",
            text="The times have no offset from UTC. In which time zone are they?",
            choices=[
                Choice(value=name, meaning=_in_zone(example, time_format, name)) for name in names
            ],
            examples=[Example(row=0, column="", text=text) for text in texts[:1]],
        )
    )


def _in_zone(text: str, time_format: str, zone: str) -> str:
    if not text:
        return ""
    local = read_times(TextColumn.of([text[:64]]), time_format).time_ns
    return f"{text} is {format_ns(int(Zone(zone).read(local).first_ns[0]))}"


def settle_decimal(found: Look, roles: Roles, table: Table, options: Options) -> None:
    """The decimal sign of the texts; a question where no cell settles it."""
    if options.decimal:
        found.settled["decimal"] = options.decimal
        return
    columns = [roles.value] if roles.layout == "long" else [s.column for s in roles.series]
    types = found.settled["types"]
    columns = [name for name in columns if types[name] == "VARCHAR"]
    cells = [(name, cell) for name in columns for cell in table.column(table.names.index(name))]
    seen = weigh(cell for _, cell in cells)
    if seen.decimal:
        found.settled["decimal"] = seen.decimal
        found.propose("decimal", seen.decimal, f"{seen.dot or seen.comma} can be nothing else")
    elif seen.is_open:
        shown = [text for text in (seen.dot, seen.comma, *seen.either) if text][:_EXAMPLES]
        where = {cell: name for name, cell in cells}
        found.questions.append(
            Question(
                id="decimal",
                text=f"Is {shown[0]} written with a decimal dot or a decimal comma?",
                choices=[
                    Choice(value="dot", meaning=f"{shown[0]} is {shown[0].replace(',', '')}"),
                    Choice(
                        value="comma",
                        meaning=f"{shown[0]} is {shown[0].replace('.', '').replace(',', '.')}",
                    ),
                ],
                examples=[Example(row=0, column=where[text], text=text) for text in shown],
            )
        )
