"""Gaps in the database, projected from the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from sqlalchemy import BigInteger, Boolean, Column, MetaData, Table, Text, delete, insert, select

from penstock.historian.log_gaps.gap import Gap
from penstock.state import DEFAULT_TENANT

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

PAGE_MAX = 1_000

metadata = MetaData()
gaps = Table(
    "gaps",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("cause", Text),
    Column("scope", Text),
    Column("first", BigInteger),
    Column("last", BigInteger),
    Column("from_ns", BigInteger),
    Column("to_ns", BigInteger),
    Column("is_lost", Boolean),
    Column("detail", Text),
)


class GapStore:
    """The table of gaps; a record that is projected twice is one row."""

    def put(self, connection: Connection, gap: Gap) -> None:
        """Write one."""
        connection.execute(
            delete(gaps).where(gaps.c.tenant == DEFAULT_TENANT, gaps.c.sequence == gap.sequence)
        )
        connection.execute(
            insert(gaps).values(
                tenant=DEFAULT_TENANT,
                sequence=gap.sequence,
                cause=gap.cause,
                scope=gap.scope,
                first=gap.first,
                last=gap.last,
                from_ns=gap.from_ns,
                to_ns=gap.to_ns,
                is_lost=gap.is_lost,
                detail=orjson.dumps(dict(gap.detail)).decode(),
            )
        )

    def between(
        self, connection: Connection, from_ns: int, to_ns: int, *, only_lost: bool = False
    ) -> list[Gap]:
        """Gaps that touch from <= time < to, oldest first, at most PAGE_MAX."""
        wanted = (
            select(gaps)
            .where(gaps.c.tenant == DEFAULT_TENANT, gaps.c.from_ns < to_ns, gaps.c.to_ns >= from_ns)
            .order_by(gaps.c.from_ns, gaps.c.sequence)
            .limit(PAGE_MAX)
        )
        if only_lost:
            wanted = wanted.where(gaps.c.is_lost)
        return [_gap(row) for row in connection.execute(wanted).mappings()]


def _gap(row: RowMapping) -> Gap:
    names = ("sequence", "cause", "scope", "first", "last", "from_ns", "to_ns", "is_lost")
    return Gap(**{name: row[name] for name in names}, detail=orjson.loads(row["detail"]))
