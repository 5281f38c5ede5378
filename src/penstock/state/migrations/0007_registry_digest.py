"""Digests of the registry's tables: SQLite notices few flipped bits, and none within a text."""

from alembic import op
from sqlalchemy import Column, PrimaryKeyConstraint, Text

revision = "0007_registry_digest"
down_revision = "0006_gaps"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "registry_digests",
        Column("tenant", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("digest", Text, nullable=False),
        PrimaryKeyConstraint("tenant", "name"),
    )
