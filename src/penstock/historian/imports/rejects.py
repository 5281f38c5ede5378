"""Rejects: rows of a file that do not fit, each with its place and why; listed up to a limit."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from penstock.model import TextColumn

if TYPE_CHECKING:
    import numpy.typing as npt

LISTED_MAX = 1_000
_LINES_MAX = 5_000_000
_PART_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reject:
    """One row, or one cell of a wide row; `row` is its line (of Parquet its number, from 1)."""

    row: int
    column: str
    text: str
    reason: str


class Rejects:
    """All that was rejected: counted by reason, and the first of them."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.listed: list[Reject] = []

    @property
    def total(self) -> int:
        """Rows and cells that were rejected."""
        return self.counts.total()

    def add(
        self,
        reason: str,
        rows: npt.NDArray[np.int64],
        column: str,
        texts: TextColumn | Sequence[str],
        at: npt.NDArray[np.intp],
    ) -> None:
        """The rows `at` of a chunk; `rows` are the line numbers of all of it."""
        if not len(at):
            return
        self.counts[reason] += len(at)
        at = at[: max(0, LISTED_MAX - len(self.listed))]
        if not len(at):
            return
        shown = texts.take(at).to_list() if isinstance(texts, TextColumn) else [*texts] * len(at)
        for row, text in zip(rows[at].tolist(), shown, strict=False):
            self.listed.append(Reject(row, column, text[:80], reason))

    def with_lines(self, path: Path, delimiter: str, skipped: int, records: int) -> list[Reject]:
        """The listed ones with true line numbers: empty lines and texts over lines shift them."""
        if not self.listed or _line_count(path) == skipped + records:
            return sorted(self.listed, key=lambda item: item.row)
        wanted = {item.row for item in self.listed}
        lines = _lines_of(path, delimiter, skipped, wanted)
        moved = [replace(item, row=lines.get(item.row, item.row)) for item in self.listed]
        return sorted(moved, key=lambda item: item.row)


def _line_count(path: Path) -> int:
    count, last = 0, b"\n"
    with path.open("rb") as file:
        while part := file.read(_PART_BYTES):
            count += part.count(b"\n")
            last = part[-1:]
    return count + (last != b"\n")


def _lines_of(path: Path, delimiter: str, skipped: int, wanted: set[int]) -> dict[int, int]:
    """Lines of records that count from the line behind `skipped`."""
    found: dict[int, int] = {}
    with path.open("r", encoding="utf-8", errors="replace", newline="") as file:
        for _ in range(skipped):
            file.readline()
        reader = csv.reader(file, delimiter=delimiter)
        number, begin = skipped, skipped + 1
        for row in reader:
            if row:
                number += 1
                if number in wanted:
                    found[number] = begin
                if len(found) == len(wanted) or number > _LINES_MAX:
                    break
            begin = skipped + reader.line_num + 1
    return found
