"""Users, sessions, the set-up token and the audit chain.

`checksum` is an HMAC over the row, because SQLite notices few flipped bits.
"""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, PrimaryKeyConstraint, Text, UniqueConstraint

revision = "0001_security"
down_revision = None


def upgrade() -> None:
    """Make the four tables; the first column of every key is the tenant."""
    op.create_table(
        "users",
        *_texts("tenant", "id", "name", "display_name", "password_hash", "grants", "preferences"),
        Column("is_enabled", Boolean, nullable=False),
        *_times("created_ns", "deleted_ns"),
        *_texts("checksum"),
        PrimaryKeyConstraint("tenant", "id"),
        UniqueConstraint("tenant", "name", "deleted_ns"),
    )
    op.create_table(
        "sessions",
        *_texts("tenant", "id", "user_id"),
        *_times("created_ns", "used_ns"),
        *_texts("checksum"),
        PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_table(
        "setup_tokens",
        *_texts("tenant", "id"),
        *_times("expires_ns"),
        *_texts("checksum"),
        PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_table(
        "audit",
        *_texts("tenant"),
        Column("number", BigInteger, nullable=False),
        *_texts("id"),
        *_times("time_ns"),
        *_texts("principal", "action", "object", "old", "new", "outcome"),
        *_texts("key", "hash", "signature"),
        PrimaryKeyConstraint("tenant", "number"),
    )
    op.create_index("sessions_by_user", "sessions", ["tenant", "user_id"])


def _texts(*names: str) -> list[Column[str]]:
    return [Column(name, Text, nullable=False) for name in names]


def _times(*names: str) -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False) for name in names]
