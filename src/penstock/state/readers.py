"""Where the readers of the log have been: one table for all projections.

The position commits in the same transaction as the effects up to there, so that
a reader that is killed anywhere finds both or neither.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Column, MetaData, Table, Text, delete, insert, select

from penstock.state.database import DEFAULT_TENANT

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

metadata = MetaData()

readers = Table(
    "readers",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("incarnation", BigInteger),
    Column("sequence", BigInteger),
    Column("snapshot", Text),
)


@dataclass(frozen=True, slots=True)
class ReaderPosition:
    """Where a reader of the log has been, and what it remembers there."""

    incarnation: int = 0
    sequence: int = 0
    snapshot: str = ""


class ReaderStore:
    """Statements of one tenant; each works inside the caller's transaction."""

    def __init__(self, tenant: str = DEFAULT_TENANT) -> None:
        self._tenant = tenant

    def position(self, connection: Connection, name: str) -> ReaderPosition:
        """Stored position of a reader, the log's beginning for a new one."""
        row = connection.execute(select(readers).where(self._is(name))).mappings().first()
        if row is None:
            return ReaderPosition()
        return ReaderPosition(row["incarnation"], row["sequence"], row["snapshot"])

    def set_position(self, connection: Connection, name: str, position: ReaderPosition) -> None:
        """Belongs into the same transaction as the effects up to there."""
        connection.execute(delete(readers).where(self._is(name)))
        row = {"tenant": self._tenant, "name": name, **asdict(position)}
        connection.execute(insert(readers).values(row))

    def _is(self, name: str) -> ColumnElement[bool]:
        return (readers.c.tenant == self._tenant) & (readers.c.name == name)
