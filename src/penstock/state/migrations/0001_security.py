"""Users, sessions, the set-up token and the audit chain.

`checksum` is an HMAC over the row, because SQLite notices few flipped bits.
"""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, PrimaryKeyConstraint, Text, UniqueConstraint

revision = "0001_security"
down_revision = None


def upgrade() -> None:
    """Make the four tables."""
    op.create_table(
        "users",
        Column("tenant", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("display_name", Text, nullable=False),
        Column("password_hash", Text, nullable=False),
        Column("grants", Text, nullable=False),
        Column("preferences", Text, nullable=False),
        Column("is_enabled", Boolean, nullable=False),
        Column("created_ns", BigInteger, nullable=False),
        Column("deleted_ns", BigInteger, nullable=False),
        Column("checksum", Text, nullable=False),
        PrimaryKeyConstraint("tenant", "id"),
        UniqueConstraint("tenant", "name", "deleted_ns"),
    )
    op.create_table(
        "sessions",
        Column("tenant", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("user_id", Text, nullable=False),
        Column("created_ns", BigInteger, nullable=False),
        Column("used_ns", BigInteger, nullable=False),
        Column("checksum", Text, nullable=False),
        PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_table(
        "setup_tokens",
        Column("tenant", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("expires_ns", BigInteger, nullable=False),
        Column("checksum", Text, nullable=False),
        PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_table(
        "audit",
        Column("tenant", Text, nullable=False),
        Column("number", BigInteger, nullable=False),
        Column("id", Text, nullable=False),
        Column("time_ns", BigInteger, nullable=False),
        Column("principal", Text, nullable=False),
        Column("action", Text, nullable=False),
        Column("object", Text, nullable=False),
        Column("old", Text, nullable=False),
        Column("new", Text, nullable=False),
        Column("outcome", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("hash", Text, nullable=False),
        Column("signature", Text, nullable=False),
        PrimaryKeyConstraint("tenant", "number"),
    )
    op.create_index("sessions_by_user", "sessions", ["tenant", "user_id"])
