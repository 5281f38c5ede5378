"""Assets and points in SQLite; migrations 0002 and 0007 make the tables.

A digest of all rows of a table is stored with them and compared at each load: SQLite
notices few flipped bits, and a point with another scale or path would be believed.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING
from uuid import UUID

import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from penstock.model import Asset, ConfigError, ConfigProblem, Point, ValueKind
from penstock.registry.plan import StoredPoint
from penstock.state.database import DEFAULT_TENANT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from penstock.registry.plan import RegistryPlan

metadata = MetaData()

assets = Table(
    "assets",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("path", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("removed_ns", BigInteger, nullable=False),
)

points = Table(
    "points",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("handle", BigInteger, nullable=False),
    Column("path", Text, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("document", Text, nullable=False),
    Column("removed_ns", BigInteger, nullable=False),
)


digests = Table(
    "registry_digests",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("digest", Text, nullable=False),
)
_DAMAGED = (
    "is damaged: its rows are not those that were stored. Restore state.db from a backup; "
    "history and log are not touched by it."
)


def load_points(connection: Connection) -> list[StoredPoint]:
    """All rows, tombstones too; ConfigError when the table is not as it was stored."""
    _check(connection, points)
    rows = connection.execute(select(points).where(points.c.tenant == DEFAULT_TENANT))
    return [StoredPoint(_point(row.document), row.removed_ns) for row in rows]


def load_assets(connection: Connection) -> list[Asset]:
    """The tree as it was committed last; ConfigError when the table is not as it was stored."""
    _check(connection, assets)
    rows = connection.execute(
        select(assets).where(assets.c.tenant == DEFAULT_TENANT, assets.c.removed_ns == 0)
    )
    return [_asset(row.document) for row in rows]


def save(connection: Connection, plan: RegistryPlan, now_ns: int) -> None:
    """Store a plan: upsert what is live, bury what is gone."""
    connection.execute(
        update(assets)
        .where(assets.c.tenant == DEFAULT_TENANT, assets.c.removed_ns == 0)
        .values(removed_ns=now_ns)
    )
    _upsert(connection, assets, [_asset_row(asset) for asset in plan.assets])
    _upsert(connection, points, [_row(point) for point in (*plan.added, *plan.changed)])
    if plan.removed:
        bury = update(points).where(
            points.c.tenant == DEFAULT_TENANT, points.c.id == bindparam("gone")
        )
        gone = [{"gone": str(point.id)} for point in plan.removed]
        connection.execute(bury.values(removed_ns=now_ns), gone)
    names = {table.name: _digest(connection, table) for table in (assets, points)}
    connection.execute(delete(digests).where(digests.c.tenant == DEFAULT_TENANT))
    rows = [{"tenant": DEFAULT_TENANT, "name": name, "digest": names[name]} for name in names]
    connection.execute(insert(digests), rows)


def _check(connection: Connection, table: Table) -> None:
    """A database from before the digests has none until the next save."""
    wanted = select(digests.c.digest).where(
        digests.c.tenant == DEFAULT_TENANT, digests.c.name == table.name
    )
    stored = connection.scalar(wanted)
    if stored is None and not connection.scalar(select(func.count()).select_from(digests)):
        return
    if stored != _digest(connection, table):
        raise ConfigError([ConfigProblem(f"state.db, table {table.name}", _DAMAGED)])


def _digest(connection: Connection, table: Table) -> str:
    """Of all rows in the order of their identities, whatever SQLite's pages look like.

    The empty text keeps SQLite from the index of the key: it would read the key's columns
    from there, and those of the rows themselves would never be looked at.
    """
    found = hashlib.blake2b(digest_size=16)
    tenant, identity = table.c.tenant.concat(""), table.c.id.concat("")
    rows = connection.execute(select(table).where(tenant == DEFAULT_TENANT).order_by(identity))
    for row in rows:
        found.update(repr(tuple(row)).encode("utf-8", "surrogatepass"))
    return found.hexdigest()


def _asset_row(asset: Asset) -> dict[str, object]:
    return {
        "id": str(asset.id),
        "path": asset.path,
        "document": orjson.dumps(asdict(asset), option=orjson.OPT_SORT_KEYS).decode(),
        "removed_ns": 0,
    }


def _row(point: Point) -> dict[str, object]:
    document = asdict(point)
    document["labels"] = {str(number): text for number, text in point.labels.items()}
    return {
        "id": str(point.id),
        "handle": point.handle,
        "path": point.path,
        "kind": int(point.kind),
        "document": orjson.dumps(document, option=orjson.OPT_SORT_KEYS).decode(),
        "removed_ns": 0,
    }


def _asset(document: str) -> Asset:
    fields = orjson.loads(document)
    return Asset(**{**fields, "id": UUID(fields["id"])})


def _point(document: str) -> Point:
    fields = orjson.loads(document)
    fields["id"] = UUID(fields["id"])
    fields["kind"] = ValueKind(fields["kind"])
    fields["labels"] = {int(number): text for number, text in fields["labels"].items()}
    return Point(**fields)


def _upsert(connection: Connection, table: Table, rows: Sequence[dict[str, object]]) -> None:
    """One prepared statement for all rows: a list of 100,000 points takes seconds, not a minute."""
    if not rows:
        return
    is_postgresql = connection.dialect.name == "postgresql"
    statement = (postgresql if is_postgresql else sqlite).insert(table)
    changes = {key: statement.excluded[key] for key in rows[0] if key != "id"}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["tenant", "id"], set_=changes),
        [{"tenant": DEFAULT_TENANT, **row} for row in rows],
    )
