"""What the newest sample of a point looks like in JSON; other capabilities show it too."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import BaseModel

from penstock.historian.answer import INFINITIES, cells

if TYPE_CHECKING:
    from penstock.historian.columns import Columns
    from penstock.historian.last import LastRows, LastTable
    from penstock.model import Point

JsonValue = float | str | None


class LastView(BaseModel):
    """Newest sample of a point."""

    id: UUID
    value: JsonValue
    time_ns: str
    quality: int
    flags: int
    sequence: str


def last_view(point: Point, rows: LastRows, row: int) -> LastView | None:
    """Newest sample of one point for JSON; None if it has none."""
    if not rows.kind[row]:
        return None
    return LastView(
        id=point.id,
        value=json_value(rows.value(row)),
        time_ns=str(rows.time_ns[row]),
        quality=int(rows.quality[row]),
        flags=int(rows.flags[row]),
        sequence=str(rows.sequence[row]),
    )


def json_value(item: float | str | None) -> JsonValue:
    """float64 as a number, int64 as text (JavaScript has 53 bits), NaN as null.

    An infinity can be a good value (a ratio by zero), so it is the word that Number() reads.
    """
    if isinstance(item, float):
        return None if math.isnan(item) else INFINITIES.get(item, item)
    return None if item is None else str(item)


def last_of(table: LastTable, point: Point) -> LastView | None:
    """Newest sample of one point as it is now; on the event loop."""
    return last_view(point, table.rows([point.handle]), 0)


def newest_view(point: Point, rows: Columns) -> LastView | None:
    """The last of some rows for JSON; None if there are none."""
    if not len(rows):
        return None
    row = rows.slice(len(rows) - 1, len(rows))
    return LastView(
        id=point.id,
        value=json_value(cells(row)[0]),
        time_ns=str(row.time_ns[0]),
        quality=int(row.quality[0]),
        flags=int(row.flags[0]),
        sequence=str(row.sequence[0]),
    )
