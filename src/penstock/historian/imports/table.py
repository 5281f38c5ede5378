"""Table: which lines of a CSV file are names and which are samples, and what divides the cells.

Real files begin with titles, units, or a line of groups above the names. The first line
from which a column holds times is the first sample; the names are in the lines above it.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from penstock.historian.imports.formats import fit_share
from penstock.historian.imports.options import Options
from penstock.historian.imports.sample import Sample
from penstock.model import Refused

DELIMITERS = (";", "\t", ",", "|")
SAMPLE_ROWS_MAX = 5_000
COLUMNS_MAX = 10_000
_PREAMBLE_ROWS_MAX = 50
_HINT = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
_UNIT = re.compile(r"(.*\S)\s*[\[(]([^\[\]()]{1,24})[\])]")
_TIME_SHARE = 0.6

Rows = list[list[str]]


@dataclass(frozen=True, slots=True)
class Heading:
    """A column's name, and the unit that stands with it."""

    name: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Headings, the line (from 1) of the first sample, and sampled rows with their lines."""

    delimiter: str
    headings: Sequence[Heading]
    header_row: int
    first_row: int
    rows: Rows
    lines: Sequence[int] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [heading.name for heading in self.headings]

    def column(self, place: int) -> list[str]:
        """Cells of a column that are not empty, trimmed."""
        cells = (row[place].strip() for row in self.rows if place < len(row))
        return [cell for cell in cells if cell]


def delimiters_of(sample: Sample) -> list[str]:
    """Delimiters that divide the file into columns, the best first; two if both do it as well."""
    hint = _HINT.match(sample.head)
    if hint is not None:
        return [hint[1]]
    scored = sorted(((_score(sample.head, d), d) for d in DELIMITERS), reverse=True)
    best = [d for score, d in scored if score == scored[0][0] and score[1] > 0]
    return best or [","]


def _score(text: str, delimiter: str) -> tuple[float, float, int]:
    """(has a column of times, share of rows with the usual number of cells, that number)."""
    rows = [row for row in _parse(text, delimiter)[:500] if row]
    if not rows:
        return 0.0, 0.0, 0
    count, hits = Counter(len(row) for row in rows[len(rows) // 3 :]).most_common(1)[0]
    if count < 2:
        return 0.0, 0.0, 0
    share = round(hits / len(rows[len(rows) // 3 :]), 2)
    fitting = [row for row in rows[len(rows) // 3 :] if len(row) == count]
    has_times = any(
        fit_share([row[place].strip() for row in fitting]) >= _TIME_SHARE
        for place in range(min(count, 12))
    )
    return float(has_times), share, count


def table_of(sample: Sample, options: Options, delimiter: str) -> Table:
    """Refused("import_unreadable") when no line looks like a sample and none was named."""
    rows = _parse(sample.head, delimiter)[:SAMPLE_ROWS_MAX]
    hinted = 1 if _HINT.match(sample.head) else 0
    first = options.first_row - 1 if options.first_row else _first_sample(rows, hinted)
    if first is None or first >= len(rows):
        raise Refused(
            "import_unreadable",
            "No line of the file has a time in it; name the first line of samples.",
        )
    header = _header(rows, first, hinted, options)
    headings = _headings(rows, first, header)
    found = [(line, row) for line, row in enumerate(rows[first:], first + 1) if any(row)]
    more = [row for window in sample.windows for row in _parse(window, delimiter) if any(row)]
    lines = [line for line, _ in found] + [0] * len(more)
    return Table(
        delimiter, headings, 0 if header is None else header + 1, first + 1,
        [row for _, row in found] + more, lines,
    )  # fmt: skip


def split_unit(text: str) -> Heading:
    """Name and unit of "Temperature [°C]"."""
    match = _UNIT.fullmatch(text.strip())
    return Heading(match[1].strip(), match[2].strip()) if match else Heading(text.strip())


def _parse(text: str, delimiter: str) -> Rows:
    """One row a line, also for empty lines, so that places are line numbers."""
    return [*csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)]


def _first_sample(rows: Rows, begin: int) -> int | None:
    """The first row with a time where most rows behind it have one too."""
    for first in range(begin, min(len(rows), _PREAMBLE_ROWS_MAX)):
        row = rows[first]
        for place, cell in enumerate(row[:12]):
            if not cell.strip() or fit_share([cell.strip()]) < 1 or len(row) < 2:
                continue
            below = [r[place].strip() for r in rows[first : first + 50] if place < len(r)]
            if fit_share([text for text in below if text]) >= _TIME_SHARE:
                return first
    return None


def _header(rows: Rows, first: int, hinted: int, options: Options) -> int | None:
    """Index of the row with the names, None if there is none."""
    if options.header_row is not None:
        return options.header_row - 1 if options.header_row else None
    if rows[hinted][:1] == ["TOA5"] and first >= 2:
        return hinted + 1
    width = len(rows[first])
    for place in range(first - 1, hinted - 1, -1):
        filled = sum(bool(cell.strip()) for cell in rows[place])
        if filled >= max(2, width // 2):
            return place
    return None


def _headings(rows: Rows, first: int, header: int | None) -> list[Heading]:
    """As many as there are names: a `12,5` that a comma has cut must not pass for a column."""
    filled = max(len(row) for row in rows[first : first + 50])
    width = filled if header is None else len(rows[header])
    if width > COLUMNS_MAX:
        raise Refused("import_unreadable", f"The file has more than {COLUMNS_MAX} columns.")
    if header is None:
        return [Heading(str(place + 1)) for place in range(width)]
    found = [split_unit(cell) for cell in rows[header]]
    if rows[0][:1] == ["TOA5"] and header == 1:
        units = rows[2] + [""] * width
        found = [Heading(h.name, units[at].strip()) for at, h in enumerate(found)]
    groups = _groups(rows[header - 1], len(found)) if header > 0 else None
    if groups is not None:
        found = [
            Heading(f"{group}/{heading.name}" if group else heading.name, heading.unit)
            for group, heading in zip(groups, found, strict=True)
        ]
    return _unique(found)


def _groups(row: Sequence[str], width: int) -> list[str] | None:
    """Groups over the columns (a merged cell is the first of its span); None if they are none."""
    cells = [cell.strip() for cell in row[:width]] + [""] * (width - len(row))
    filled = [place for place, cell in enumerate(cells) if cell]
    if not filled or 0 in filled or len(filled) == width:
        return None
    groups, group = [], ""
    for cell in cells:
        group = cell or group
        groups.append(group)
    return groups


def _unique(found: Sequence[Heading]) -> list[Heading]:
    seen: Counter[str] = Counter()
    result = []
    for place, heading in enumerate(found):
        name = heading.name or f"column {place + 1}"
        seen[name.casefold()] += 1
        if seen[name.casefold()] > 1:
            name = f"{name} ({seen[name.casefold()]})"
        result.append(Heading(name, heading.unit))
    return result
