"""Small answers of JSON as columns: newest samples, and gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.client.document import rows, whole
from penstock.client.samples import Page
from penstock.client.table import Column, Table, Texts
from penstock.client.words import quality_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.client.document import Document
    from penstock.client.points import Points
    from penstock.client.session import Session

GAPS_AT_ONCE = 10_000


def last_page(place: int, kind: str, row: Document) -> Page:
    """The newest sample of one point."""
    kind = "float" if kind == "waveform" else kind
    value = row["value"]
    is_there = np.array([value is not None])
    data: Any
    if kind == "text":
        data = Texts.of(["" if value is None else str(value)])
    elif kind == "int":
        data = np.array([0 if value is None else whole(value)], np.int64)
    else:
        data = np.array([np.nan if value is None else value], np.float64)
    return Page(
        kind,
        np.array([place], np.uint32),
        np.array([whole(row["time_ns"])], np.int64),
        data,
        is_there,
        np.array([whole(row["quality"])], np.uint8),
    )


def gaps_of(session: Session, id_: str, begin_ns: int, end_ns: int, known: str) -> list[Document]:
    """Gaps of one point, however many."""
    found: list[Document] = []
    while True:
        query = {"from": str(begin_ns), "to": str(end_ns), "limit": str(GAPS_AT_ONCE)}
        answer = session.get(f"/points/{id_}/gaps", {**query, "as_of": known})
        found += rows(answer["gaps"])
        if answer["is_complete"]:
            return found
        begin_ns = whole(found[-1]["end_ns"])


def gap_table(points: Points, found: Sequence[tuple[int, Document]], zone: str) -> Table:
    """Gaps of the points, (place of the point, gap) in order."""
    begins = np.array([whole(row["begin_ns"]) for _, row in found], np.int64)
    ends = np.array([whole(row["end_ns"] or 0) for _, row in found], np.int64)
    is_ended = np.array([row["end_ns"] is not None for _, row in found], bool)
    codes = np.array([whole(row["quality"]) for _, row in found], np.uint8)
    return Table(
        {
            "path": Column("word", np.array([p for p, _ in found], np.int32), words=points.paths),
            "begin": Column("time", begins, zone=zone),
            "end": Column("time", ends, is_ended, zone=zone),
            "cause": quality_column(codes),
            "is_open": Column("bool", np.array([bool(row["is_open"]) for _, row in found], bool)),
        }
    )
