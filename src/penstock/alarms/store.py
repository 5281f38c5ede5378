"""Alarms in the database: a projection of the log.

The whole alarm lies in `document`; the columns beside it are what is searched.
An event that the journal has is not applied again, whatever a reader's position says.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Integer,
    MetaData,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)

from penstock.alarms.alarm import Alarm, Note, is_listed
from penstock.state import DEFAULT_TENANT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, RowMapping, Select

    from penstock.model import Event

IN_MAX = 500
PAGE_MAX = 500

metadata = MetaData()


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


alarms = Table(
    "alarms",
    metadata,
    _key("tenant"),
    _key("id"),
    Column("home", Text),
    Column("rule", Text),
    Column("point", Text),
    Column("episode", BigInteger),
    Column("priority", Integer),
    Column("raised_ns", BigInteger),
    Column("is_active", Boolean),
    Column("is_listed", Boolean),
    Column("document", Text),
)
alarm_events = Table(
    "alarm_events",
    metadata,
    _key("tenant"),
    _key("id"),
    Column("sequence", BigInteger),
    Column("alarm", Text),
    Column("type", Text),
    Column("time_ns", BigInteger),
    Column("point", Text),
    Column("principal", Text),
    Column("cause", Text),
    Column("severity", Integer),
    Column("data", Text),
)
alarm_notes = Table(
    "alarm_notes",
    metadata,
    _key("tenant"),
    _key("id"),
    Column("alarm", Text),
    Column("time_ns", BigInteger),
    Column("principal", Text),
    Column("text", Text),
)
alarm_requests = Table(
    "alarm_requests",
    metadata,
    _key("tenant"),
    _key("principal"),
    _key("key"),
    Column("digest", Text),
    Column("time_ns", BigInteger),
)


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One event of the journal with its log sequence."""

    id: str
    sequence: int
    alarm: str
    type: str
    time_ns: int
    point: str
    principal: str
    cause: str
    severity: int
    data: dict[str, object]


class AlarmStore:
    """Statements of one tenant; each works inside the caller's transaction."""

    def __init__(self, tenant: str = DEFAULT_TENANT) -> None:
        self._tenant = tenant

    # --- alarms

    def listed(self, connection: Connection) -> list[Alarm]:
        """The active list."""
        query = self._alarms().where(alarms.c.is_listed)
        return [_alarm(row) for row in connection.execute(query).mappings()]

    def by_ids(self, connection: Connection, ids: Iterable[str]) -> dict[str, Alarm]:
        """Alarms by identity, as far as they exist."""
        found = {}
        for part in _parts(sorted(set(ids))):
            query = self._alarms().where(alarms.c.id.in_(part))
            for row in connection.execute(query).mappings():
                found[row["id"]] = _alarm(row)
        return found

    def page(self, connection: Connection, before: tuple[int, str] | None) -> list[Alarm]:
        """All alarms, the newest raise first, from behind (raised_ns, id)."""
        query = self._alarms()
        if before is not None:
            time_ns, alarm = before
            query = query.where(
                (alarms.c.raised_ns < time_ns)
                | ((alarms.c.raised_ns == time_ns) & (alarms.c.id < alarm))
            )
        query = query.order_by(alarms.c.raised_ns.desc(), alarms.c.id.desc()).limit(PAGE_MAX)
        return [_alarm(row) for row in connection.execute(query).mappings()]

    def episodes(self, connection: Connection, home: str) -> dict[str, int]:
        """Newest episode by rule, also of rules that are gone."""
        query = (
            select(alarms.c.rule, func.max(alarms.c.episode))
            .where(alarms.c.tenant == self._tenant, alarms.c.home == home)
            .group_by(alarms.c.rule)
        )
        return {rule: int(episode) for rule, episode in connection.execute(query)}

    def put(self, connection: Connection, changed: Iterable[Alarm]) -> None:
        """Insert or replace whole alarms."""
        for alarm in changed:
            values = {
                "home": alarm.home,
                "rule": alarm.rule,
                "point": alarm.point,
                "episode": alarm.episode,
                "priority": alarm.priority,
                "raised_ns": alarm.raised_ns,
                "is_active": alarm.active,
                "is_listed": is_listed(alarm),
                "document": orjson.dumps(asdict(alarm)).decode(),
            }
            where = (alarms.c.tenant == self._tenant) & (alarms.c.id == alarm.id)
            if not connection.execute(update(alarms).where(where).values(values)).rowcount:
                row = {"tenant": self._tenant, "id": alarm.id, **values}
                connection.execute(insert(alarms).values(row))

    # --- journal, notes, requests

    def known_events(self, connection: Connection, ids: Iterable[str]) -> set[str]:
        """Those of `ids` that the journal has."""
        known: set[str] = set()
        for part in _parts(sorted(set(ids))):
            query = select(alarm_events.c.id).where(
                alarm_events.c.tenant == self._tenant, alarm_events.c.id.in_(part)
            )
            known.update(connection.scalars(query))
        return known

    def add_event(self, connection: Connection, sequence: int, event: Event) -> None:
        """One line of the journal, and the note and the request key that it brings."""
        alarm, data = str(event.data["alarm"]), event.data
        row = {
            "tenant": self._tenant,
            "id": event.id,
            "sequence": sequence,
            "alarm": alarm,
            "type": event.type,
            "time_ns": event.time_ns,
            "point": event.point,
            "principal": event.principal,
            "cause": event.cause,
            "severity": event.severity,
            "data": orjson.dumps(dict(data)).decode(),
        }
        connection.execute(insert(alarm_events).values(row))
        who = {"tenant": self._tenant, "principal": event.principal, "time_ns": event.time_ns}
        if data.get("note"):
            row = {**who, "id": event.id, "alarm": alarm, "text": str(data["note"])}
            connection.execute(insert(alarm_notes).values(row))
        key = str(data.get("key", ""))
        if key and self.request_digest(connection, event.principal, key) is None:
            row = {**who, "key": key, "digest": str(data["request"])}
            connection.execute(insert(alarm_requests).values(row))

    def request_digest(self, connection: Connection, principal: str, key: str) -> str | None:
        """What an Idempotency-Key was used for."""
        query = select(alarm_requests.c.digest).where(
            alarm_requests.c.tenant == self._tenant,
            alarm_requests.c.principal == principal,
            alarm_requests.c.key == key,
        )
        digest: str | None = connection.scalar(query)
        return digest

    def journal(
        self,
        connection: Connection,
        *,
        point: str = "",
        from_ns: int | None = None,
        to_ns: int | None = None,
        before: int | None = None,
    ) -> list[JournalRow]:
        """Events, newest in the log first."""
        query = select(alarm_events).where(alarm_events.c.tenant == self._tenant)
        if point:
            query = query.where(alarm_events.c.point == point)
        if from_ns is not None:
            query = query.where(alarm_events.c.time_ns >= from_ns)
        if to_ns is not None:
            query = query.where(alarm_events.c.time_ns < to_ns)
        if before is not None:
            query = query.where(alarm_events.c.sequence < before)
        query = query.order_by(alarm_events.c.sequence.desc()).limit(PAGE_MAX)
        return [_journal_row(row) for row in connection.execute(query).mappings()]

    def _alarms(self) -> Select[tuple[str, str]]:
        return select(alarms.c.id, alarms.c.document).where(alarms.c.tenant == self._tenant)


def _alarm(row: RowMapping) -> Alarm:
    document = orjson.loads(row["document"])
    document["notes"] = tuple(Note(**note) for note in document["notes"])
    return Alarm(**document)


def _journal_row(row: RowMapping) -> JournalRow:
    fields = {name: row[name] for name in JournalRow.__slots__ if name != "data"}
    return JournalRow(**fields, data=orjson.loads(row["data"]))


def _parts(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    """SQLite bounds the parameters of a statement."""
    return (ids[begin : begin + IN_MAX] for begin in range(0, len(ids), IN_MAX))
