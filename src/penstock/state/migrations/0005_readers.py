"""Positions of the log's readers, whatever they project."""

from alembic import op
from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Text

revision = "0005_readers"
down_revision = "0004_commands"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "readers",
        Column("tenant", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("incarnation", BigInteger, nullable=False),
        Column("sequence", BigInteger, nullable=False),
        Column("snapshot", Text, nullable=False),
        PrimaryKeyConstraint("tenant", "name"),
    )
