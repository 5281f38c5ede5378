"""Assets and points in SQLite; migration 0002 makes the tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING
from uuid import UUID

import orjson
from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from penstock.model import Asset, Point, ValueKind
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


def load_points(connection: Connection) -> list[StoredPoint]:
    """All rows, tombstones too."""
    rows = connection.execute(select(points).where(points.c.tenant == DEFAULT_TENANT))
    return [StoredPoint(_point(row.document), row.removed_ns) for row in rows]


def load_assets(connection: Connection) -> list[Asset]:
    """The tree as it was committed last."""
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
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    changes = {key: statement.excluded[key] for key in rows[0] if key != "id"}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["tenant", "id"], set_=changes),
        [{"tenant": DEFAULT_TENANT, **row} for row in rows],
    )
