"""Commands: a projection of the log's command records, with the requests that made them."""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, PrimaryKeyConstraint, Text

revision = "0004_commands"
down_revision = "0003_alarms"


def upgrade() -> None:
    """Make the two tables."""
    op.create_table(
        "commands",
        Column("tenant", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("point", Text, nullable=False),
        Column("created_ns", BigInteger, nullable=False),
        Column("sent_ns", BigInteger, nullable=False),
        Column("is_open", Boolean, nullable=False),
        Column("revision", BigInteger, nullable=False),
        Column("document", Text, nullable=False),
        PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_index("commands_open", "commands", ["tenant", "is_open"])
    op.create_index("commands_by_time", "commands", ["tenant", "created_ns"])
    op.create_index("commands_by_point", "commands", ["tenant", "point", "created_ns"])
    op.create_table(
        "command_requests",
        Column("tenant", Text, nullable=False),
        Column("principal", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("digest", Text, nullable=False),
        Column("command", Text, nullable=False),
        PrimaryKeyConstraint("tenant", "principal", "key"),
    )
