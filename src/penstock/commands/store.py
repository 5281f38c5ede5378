"""Commands in the database: the newest revision of each, projected from the log.

A record that is not newer than what is stored changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    MetaData,
    Table,
    Text,
    insert,
    select,
    update,
)

from penstock.commands.command import Command, CommandState, from_document, to_document
from penstock.state import DEFAULT_TENANT

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping, Select

PAGE_MAX = 500

metadata = MetaData()

commands = Table(
    "commands",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("point", Text),
    Column("created_ns", BigInteger),
    Column("sent_ns", BigInteger),
    Column("is_open", Boolean),
    Column("revision", BigInteger),
    Column("document", Text),
)
command_requests = Table(
    "command_requests",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("principal", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("digest", Text),
    Column("command", Text),
)


def sent_ns(command: Command) -> int:
    """When it went to the wire, 0 if it never did."""
    times = [step.time_ns for step in command.history if step.state is CommandState.SENT]
    return times[0] if times else 0


class CommandStore:
    """Statements of one tenant; each works inside the caller's transaction."""

    def __init__(self, tenant: str = DEFAULT_TENANT) -> None:
        self._tenant = tenant

    def put(self, connection: Connection, command: Command) -> None:
        """Insert, or replace an older revision."""
        values = {
            "point": command.point,
            "created_ns": command.created_ns,
            "sent_ns": sent_ns(command),
            "is_open": command.is_open,
            "revision": command.revision,
            "document": orjson.dumps(to_document(command)).decode(),
        }
        where = (commands.c.tenant == self._tenant) & (commands.c.id == command.id)
        stored = connection.scalar(select(commands.c.revision).where(where))
        if stored is None:
            row = {"tenant": self._tenant, "id": command.id, **values}
            connection.execute(insert(commands).values(row))
        elif stored < command.revision:
            connection.execute(update(commands).where(where).values(values))

    def find(self, connection: Connection, command: str) -> Command | None:
        """One command."""
        row = connection.execute(self._all().where(commands.c.id == command)).mappings().first()
        return None if row is None else _command(row)

    def open(self, connection: Connection) -> list[Command]:
        """Commands that keep their point busy."""
        rows = connection.execute(self._all().where(commands.c.is_open)).mappings()
        return [_command(row) for row in rows]

    def sent_since(self, connection: Connection, time_ns: int) -> list[tuple[str, int]]:
        """(point, sent_ns) of what went to the wire behind `time_ns`."""
        query = select(commands.c.point, commands.c.sent_ns).where(
            commands.c.tenant == self._tenant, commands.c.sent_ns > time_ns
        )
        return [(point, int(sent)) for point, sent in connection.execute(query)]

    def newest(self, connection: Connection, point: str, limit: int) -> list[Command]:
        """The newest, of one point if one is given."""
        query = self._all()
        if point:
            query = query.where(commands.c.point == point)
        query = query.order_by(commands.c.created_ns.desc(), commands.c.id.desc()).limit(limit)
        return [_command(row) for row in connection.execute(query).mappings()]

    def request(self, connection: Connection, principal: str, key: str) -> tuple[str, str] | None:
        """(digest, command) that an Idempotency-Key was used for."""
        query = select(command_requests.c.digest, command_requests.c.command).where(
            command_requests.c.tenant == self._tenant,
            command_requests.c.principal == principal,
            command_requests.c.key == key,
        )
        row = connection.execute(query).first()
        return None if row is None else (row.digest, row.command)

    def add_request(
        self, connection: Connection, principal: str, key: str, digest: str, command: str
    ) -> None:
        """Note what a key was used for; the first use stays."""
        if self.request(connection, principal, key) is None:
            row = {"tenant": self._tenant, "principal": principal, "key": key}
            row |= {"digest": digest, "command": command}
            connection.execute(insert(command_requests).values(row))

    def _all(self) -> Select[tuple[str]]:
        return select(commands.c.document).where(commands.c.tenant == self._tenant)


def _command(row: RowMapping) -> Command:
    return from_document(orjson.loads(row["document"]))
