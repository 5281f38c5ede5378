"""The tables of this package as SQLAlchemy sees them; migration 0001 makes them."""

from sqlalchemy import BigInteger, Boolean, Column, MetaData, Table, Text

metadata = MetaData()

users = Table(
    "users",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("grants", Text, nullable=False),
    Column("preferences", Text, nullable=False),
    Column("is_enabled", Boolean, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("deleted_ns", BigInteger, nullable=False),
    Column("checksum", Text, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("used_ns", BigInteger, nullable=False),
    Column("checksum", Text, nullable=False),
)

setup_tokens = Table(
    "setup_tokens",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("expires_ns", BigInteger, nullable=False),
    Column("checksum", Text, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
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
)
