"""Points, a history, and a way to ask it, for the tests of SQL and of exports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np

from penstock.historian import Historian
from penstock.historian.sql.bounds import Box
from penstock.historian.sql.catalogue import Catalogue
from penstock.historian.sql.config import SqlSettings
from penstock.historian.sql.engine import Query
from penstock.historian.sql.scan import Selection
from penstock.model import Batch, Origin, Point, ValueKind
from penstock.model.batch import BATCH_ROWS_MAX
from penstock.testing import frame

S = 1_000_000_000
HOUR = 3_600 * S
DAY = 24 * HOUR
T0 = 1_790_000_000 * S // DAY * DAY
"""2026-09-21T00:00:00Z."""
ORIGIN = Origin(UUID(int=7), 0, 1)
LEVEL, FLOW, COUNT, STATE, SECRET = (UUID(int=number) for number in range(1, 6))
POINTS = (
    Point(LEVEL, 1, "plant/tank/level", "plant/tank", "level", ValueKind.FLOAT, "m", low=0.0),
    Point(FLOW, 2, "plant/pump/flow", "plant/pump", "flow", ValueKind.FLOAT, "m3/h"),
    Point(COUNT, 3, "plant/pump/count", "plant/pump", "count", ValueKind.INT, simulated=True),
    Point(STATE, 4, "plant/pump/state", "plant/pump", "state", ValueKind.TEXT),
    Point(SECRET, 5, "other/secret", "other", "secret", ValueKind.FLOAT, "m"),
)
VISIBLE = Catalogue.of(point for point in POINTS if point.asset.startswith("plant"))
LIMITS = SqlSettings()


class Plant:
    """A historian in the test's process; `put` appends one log record."""

    def __init__(self, historian: Historian) -> None:
        self.historian = historian
        self._sequence = 0

    def put(self, point: int, time_ns: Sequence[int], value: Sequence[Any], **more: Any) -> None:
        """One log record, or several where a batch cannot hold the rows."""
        for begin in range(0, len(time_ns), BATCH_ROWS_MAX):
            part = slice(begin, begin + BATCH_ROWS_MAX)
            self._sequence += 1
            rows = frame(point, time_ns[part], value[part], **more)
            self.historian.append(Batch(ORIGIN, self._sequence, (rows,)), self._sequence, T0)

    def flush(self) -> None:
        self.historian.seal(1)
        self.historian.adopt(self.historian.write())

    def two_days(self) -> None:
        """Level and flow each second: a segment a day."""
        for day in range(2):
            time_ns = T0 + day * DAY + np.arange(86_400) * S
            for point in (1, 2, 5):
                self.put(point, time_ns, time_ns / S % 1_000 + point)
            self.flush()


class Answer:
    """Rows as Python has them (times to the microsecond), and what was read for them."""

    def __init__(self, query: Query, rows: list[Any], names: list[str]) -> None:
        self.counters = query.counters
        self.names = names
        self.rows = rows


def ask(
    plant: Plant,
    sql: str,
    catalogue: Catalogue = VISIBLE,
    limits: SqlSettings = LIMITS,
    *,
    is_bounded: bool = True,
) -> Answer:
    """As compute asks, in this process: plan, pin, run; without bounds as a second opinion."""
    query = Query(sql, catalogue, limits)
    try:
        query.plan()
        if not is_bounded:
            query.selection = Selection.of([Box()], len(catalogue))
        with query.run(plant.historian.pin(query.handles.tolist())) as relation:
            names = relation.columns
            rows = relation.fetchall()
        return Answer(query, rows, names)
    finally:
        query.close()
