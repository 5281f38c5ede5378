"""Alarms, their journal and notes: projections of the log.

They may be dropped and built again from the log as long as the log reaches back.
"""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Integer, PrimaryKeyConstraint, Text

revision = "0003_alarms"
down_revision = "0002_registry"


def upgrade() -> None:
    """Make the four tables."""
    _alarms()
    _alarm_events()
    _notes_and_requests()


def _alarms() -> None:
    op.create_table(
        "alarms",
        Column("tenant", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("home", Text, nullable=False),
        Column("rule", Text, nullable=False),
        Column("point", Text, nullable=False),
        Column("episode", BigInteger, nullable=False),
        Column("priority", Integer, nullable=False),
        Column("raised_ns", BigInteger, nullable=False),
        Column("is_active", Boolean, nullable=False),
        Column("is_listed", Boolean, nullable=False),
        Column("document", Text, nullable=False),
        PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_index("alarms_listed", "alarms", ["tenant", "is_listed"])
    op.create_index("alarms_by_rule", "alarms", ["tenant", "home", "rule", "episode"])
    op.create_index("alarms_by_time", "alarms", ["tenant", "raised_ns", "id"])


def _alarm_events() -> None:
    op.create_table(
        "alarm_events",
        Column("tenant", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("sequence", BigInteger, nullable=False),
        Column("alarm", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("time_ns", BigInteger, nullable=False),
        Column("point", Text, nullable=False),
        Column("principal", Text, nullable=False),
        Column("cause", Text, nullable=False),
        Column("severity", Integer, nullable=False),
        Column("data", Text, nullable=False),
        PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_index("alarm_events_by_sequence", "alarm_events", ["tenant", "sequence"])
    op.create_index("alarm_events_by_point", "alarm_events", ["tenant", "point", "sequence"])


def _notes_and_requests() -> None:
    op.create_table(
        "alarm_notes",
        Column("tenant", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("alarm", Text, nullable=False),
        Column("time_ns", BigInteger, nullable=False),
        Column("principal", Text, nullable=False),
        Column("text", Text, nullable=False),
        PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_table(
        "alarm_requests",
        Column("tenant", Text, nullable=False),
        Column("principal", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("digest", Text, nullable=False),
        Column("time_ns", BigInteger, nullable=False),
        PrimaryKeyConstraint("tenant", "principal", "key"),
    )
