"""Assets and points with their identities, also of those that are gone (tombstones).

A handle lies in history for ever, so a removed point keeps its row.
"""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, PrimaryKeyConstraint, Text, UniqueConstraint

revision = "0002_registry"
down_revision = "0001_security"


def upgrade() -> None:
    """Make the two tables."""
    op.create_table(
        "assets",
        Column("tenant", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("path", Text, nullable=False),
        Column("document", Text, nullable=False),
        Column("removed_ns", BigInteger, nullable=False),
        PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_table(
        "points",
        Column("tenant", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("handle", BigInteger, nullable=False),
        Column("path", Text, nullable=False),
        Column("kind", Integer, nullable=False),
        Column("document", Text, nullable=False),
        Column("removed_ns", BigInteger, nullable=False),
        PrimaryKeyConstraint("tenant", "id"),
        UniqueConstraint("tenant", "handle"),
    )
