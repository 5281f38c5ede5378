"""Gaps: a projection of the log's gap records, with times and whether samples are lost."""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, PrimaryKeyConstraint, Text

revision = "0006_gaps"
down_revision = "0005_readers"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "gaps",
        Column("tenant", Text, nullable=False),
        Column("sequence", BigInteger, nullable=False),
        Column("cause", Text, nullable=False),
        Column("scope", Text, nullable=False),
        Column("first", BigInteger, nullable=False),
        Column("last", BigInteger, nullable=False),
        Column("from_ns", BigInteger, nullable=False),
        Column("to_ns", BigInteger, nullable=False),
        Column("is_lost", Boolean, nullable=False),
        Column("detail", Text, nullable=False),
        PrimaryKeyConstraint("tenant", "sequence"),
    )
    op.create_index("gaps_by_time", "gaps", ["tenant", "from_ns"])
