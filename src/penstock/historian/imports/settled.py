"""Settled: all that a check needs to know of a file; nothing in it is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from penstock.historian.imports.source import Source


class SeriesPlan(BaseModel):
    """A column of values; its name's place in the list of names is its own place."""

    model_config = ConfigDict(frozen=True)

    column: str
    time: Sequence[str]


class Settled(BaseModel):
    """How a file is read: `columns` are names and DuckDB types, in the order of the file.

    `decimal` None: no cell of the sample has a sign, and one that has is refused.
    """

    model_config = ConfigDict(frozen=True)

    file: str
    is_parquet: bool
    columns: Sequence[tuple[str, str]]
    delimiter: str = ","
    skipped_lines: int = 0
    header_row: int = 0
    layout: str
    time: Sequence[str] = ()
    time_format: str = ""
    zone: str = ""
    double_hour: str = "order"
    decimal: str | None = None
    name: str = ""
    value: str = ""
    value_int: str = ""
    value_text: str = ""
    quality: str = ""
    quality_codes: Mapping[str, int] = {}
    series: Sequence[SeriesPlan] = ()

    def source(self, folder: Path) -> Source:
        """Where the rows are."""
        return Source(
            folder / self.file,
            dict(self.columns),
            self.is_parquet,
            self.delimiter,
            self.skipped_lines,
        )
