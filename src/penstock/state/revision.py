"""Whether a database has the newest schema, without importing Alembic.

Core asks this at every start and Alembic costs 12 MB; so the newest revision is
read off the file names, which are the revision identifiers, in a line.
"""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

MIGRATIONS = Path(__file__).parent / "migrations"

_REVISION = re.compile(r"\d{4}_[a-z0-9_]+\.py\Z")


def head_revision() -> str:
    """Identifier of the newest migration, for example "0004_commands"."""
    return max(path.stem for path in MIGRATIONS.iterdir() if _REVISION.match(path.name))


def stored_revision(url: str) -> str | None:
    """Revision of the database, None for one that is empty or not there yet."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
        return None
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return found


def needs_migration(url: str) -> bool:
    """Whether `python -m penstock.state.migrate <url>` has to run before `State.open`."""
    return stored_revision(url) != head_revision()
