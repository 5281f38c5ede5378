"""Point lists in CSV: what Excel, also a German one, really writes.

Comma, semicolon or tab; UTF-8 with or without BOM, else Windows-1252; decimal
comma where the separator is not a comma. Every wrong cell is a problem with its
row, and no row hides another.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import math
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from penstock.config.plant import PointEntry, path_problem
from penstock.model import ConfigProblem, ValueKind
from penstock.model.point import KIND_BY_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROWS_MAX = 100_000
_NUMBERS = (
    "low",
    "high",
    "normal_low",
    "normal_high",
    "command_low",
    "command_high",
)
_TEXTS = ("label", "unit", "description")
HOST_COLUMNS = frozenset(
    {"id", "asset", "name", "kind", "labels", "decimals", "writable", *_NUMBERS, *_TEXTS}
)
_WHOLE = re.compile("-?[0-9]{1,18}")
_YES = {"true", "yes", "ja", "x", "1", "wahr"}
_NO = {"", "false", "no", "nein", "0", "falsch"}


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV as read: `rows` are (line number, cells by column)."""

    separator: str
    encoding: str
    header: tuple[str, ...]
    rows: tuple[tuple[int, Mapping[str, str]], ...]


def decode_table(data: bytes, place: str) -> tuple[Table | None, list[ConfigProblem]]:
    """Bytes to cells; the problems of its form."""
    text, encoding = _decode(data)
    if text is None:
        message = "is neither UTF-8 nor Windows-1252 text; save it as CSV in UTF-8"
        return None, [ConfigProblem(place, message)]
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
    try:
        lines = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        return None, [ConfigProblem(f"{place}:{reader.line_num}", f"not a CSV: {error}")]
    lines = [(number, row) for number, row in lines if any(cell.strip() for cell in row)]
    if not lines:
        return None, [ConfigProblem(place, "the file has no header row")]
    if len(lines) - 1 > ROWS_MAX:
        return None, [ConfigProblem(place, f"more than {ROWS_MAX} rows")]
    header = tuple(cell.strip().lower() for cell in lines[0][1])
    problems = _header_problems(header, f"{place}:{lines[0][0]}")
    rows = tuple((number, dict(zip(header, row, strict=False))) for number, row in lines[1:])
    problems += [
        ConfigProblem(f"{place}:{number}", f"{len(row)} cells under {len(header)} headings")
        for number, row in lines[1:]
        if len(row) > len(header)
    ]
    return Table(separator, encoding, header, rows), problems


def read_points(data: bytes, place: str) -> tuple[list[PointEntry], list[ConfigProblem]]:
    """Points of one list; a row with a problem is left out and named."""
    table, problems = decode_table(data, place)
    if table is None:
        return [], problems
    points = []
    for number, cells in table.rows:
        row = _Row(f"{place}:{number}", cells, table.separator != ",")
        point = row.point()
        problems += row.problems
        if not row.problems:
            points.append(point)
    return points, problems


def _decode(data: bytes) -> tuple[str | None, str]:
    """Text and encoding; Excel's "Unicode text" is UTF-16 and would pass for Windows-1252."""
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in () if is_utf16 else ("utf-8-sig", "cp1252"):
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode(encoding), encoding.removesuffix("-sig")
    return None, ""


def _header_problems(header: Sequence[str], place: str) -> list[ConfigProblem]:
    missing = [name for name in ("asset", "name", "kind") if name not in header]
    double = sorted({name for name in header if name and header.count(name) > 1})
    problems = []
    if missing:
        problems.append(
            ConfigProblem(
                place,
                f"no column {', '.join(missing)}; needed are asset, name, kind",
            )
        )
    if double:
        problems.append(ConfigProblem(place, f"column {', '.join(double)} stands twice"))
    return problems


def _command_range(
    numbers: Mapping[str, float | None], labels: Mapping[int, str]
) -> tuple[float | None, float | None]:
    """What may be commanded: as written, else what can be measured, else what has a label."""
    low, high = (
        numbers[f"command_{end}"] if numbers[f"command_{end}"] is not None else numbers[end]
        for end in ("low", "high")
    )
    return (
        min(labels) if low is None and labels else low,
        max(labels) if high is None and labels else high,
    )


class _Row:
    """One row on its way to a PointEntry; collects problems instead of raising."""

    def __init__(self, place: str, cells: Mapping[str, str], has_decimal_comma: bool) -> None:
        self.place = place
        self.cells = {key: (value or "").strip() for key, value in cells.items()}
        self.has_decimal_comma = has_decimal_comma
        self.problems: list[ConfigProblem] = []

    def point(self) -> PointEntry:
        """The point; it counts only while there are no problems."""
        asset, name = self._text("asset").strip("/"), self._text("name")
        if "/" in name:
            self._problem(f"name {name!r} has a slash; it belongs into asset")
        problem = path_problem(f"{asset}/{name}" if asset and name else "")
        if problem:
            self._problem("asset or name is empty" if not (asset and name) else problem)
        kind = KIND_BY_NAME.get(self._text("kind").lower())
        if kind is None:
            self._problem(f"kind {self._text('kind')!r} is not float, int, text or waveform")
        numbers = {name: self._number(name) for name in _NUMBERS}
        self._check_ranges(numbers)
        labels = self._labels()
        writable = self._flag("writable")
        if writable and kind is ValueKind.WAVEFORM:
            self._problem("a waveform cannot be written; leave writable empty")
        command_low, command_high = _command_range(numbers, labels) if writable else (None, None)
        return PointEntry(
            place=self.place,
            asset=asset,
            name=name,
            kind=kind or ValueKind.FLOAT,  # a row with a problem is left out
            id=self._id(),
            decimals=self._decimals(),
            labels=labels,
            writable=writable,
            columns=self._columns(),
            label=self._text("label"),
            unit=self._text("unit"),
            description=self._text("description"),
            low=numbers["low"],
            high=numbers["high"],
            normal_low=numbers["normal_low"],
            normal_high=numbers["normal_high"],
            command_low=command_low,
            command_high=command_high,
        )

    def _problem(self, message: str) -> None:
        self.problems.append(ConfigProblem(self.place, message))

    def _text(self, name: str) -> str:
        return unicodedata.normalize("NFC", self.cells.get(name, ""))

    def _number(self, name: str) -> float | None:
        text = self.cells.get(name, "").replace("\N{MINUS SIGN}", "-")
        if not text:
            return None
        if self.has_decimal_comma and text.count(",") == 1 and "." not in text:
            text = text.replace(",", ".")
        try:
            value = math.nan if "_" in text else float(text)  # 1_000 is a number in Python alone
        except ValueError:
            self._problem(f"{name} {text!r} is not a number")
            return None
        if not math.isfinite(value):
            self._problem(f"{name} {text!r} is not a finite number")
            return None
        return value

    def _check_ranges(self, numbers: Mapping[str, float | None]) -> None:
        for low, high in (
            ("low", "high"),
            ("normal_low", "normal_high"),
            ("command_low", "command_high"),
        ):
            below, above = numbers[low], numbers[high]
            if below is not None and above is not None and below >= above:
                self._problem(f"{low} {below} is not below {high} {above}")

    def _decimals(self) -> int | None:
        text = self.cells.get("decimals", "")
        if not text:
            return None
        if not _WHOLE.fullmatch(text) or not 0 <= int(text) <= 9:
            self._problem(f"decimals {text!r} is not 0 to 9")
            return None
        return int(text)

    def _flag(self, name: str) -> bool:
        text = self.cells.get(name, "").lower()
        if text not in _YES | _NO:
            self._problem(f"{name} {text!r} is not true or false")
        return text in _YES

    def _id(self) -> UUID | None:
        text = self.cells.get("id", "")
        if not text:
            return None
        try:
            return UUID(text)
        except ValueError:
            self._problem(f"id {text!r} is not a UUID; leave it empty for a new point")
            return None

    def _labels(self) -> dict[int, str]:
        labels: dict[int, str] = {}
        cell = self._text("labels")
        for item in filter(None, cell.split(";" if ";" in cell else "|")):
            number, sign, text = item.partition("=")
            if not sign or not _WHOLE.fullmatch(number.strip()):
                self._problem(f"labels {item!r} is not of the form 0=STOP;1=RUN")
                continue
            labels[int(number)] = text.strip()
        return labels

    def _columns(self) -> dict[str, str]:
        columns = {
            key: value for key, value in self.cells.items() if key and key not in HOST_COLUMNS
        }
        if "writable" in self.cells:
            columns["writable"] = "true" if self.cells["writable"].lower() in _YES else "false"
        return {key: self._decimal_point(value) for key, value in columns.items() if value}

    def _decimal_point(self, value: str) -> str:
        head, comma, tail = value.partition(",")
        is_decimal = comma and head.lstrip("+-").isdigit() and tail.isdigit()
        return f"{head}.{tail}" if self.has_decimal_comma and is_decimal else value
