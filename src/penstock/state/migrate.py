"""Bring a database to the newest schema: `python -m penstock.state.migrate <url>`.

A process of its own, because nothing that runs for months needs Alembic in its
memory. A database from a newer Penstock is left alone.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from penstock.model import ConfigError, ConfigProblem
from penstock.state.engine import open_writer
from penstock.state.revision import MIGRATIONS, head_revision, stored_revision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alembic.runtime.migration import MigrationContext, MigrationStep

USAGE = "usage: python -m penstock.state.migrate sqlite:////var/lib/penstock/data/state.db\n"


def migrate(url: str) -> str:
    """Run what is missing, all in one transaction; the revision it ended at."""
    head = head_revision()
    stored = stored_revision(url)
    if stored is not None and stored > head:
        raise ConfigError([ConfigProblem("state.db", _newer(stored, head))])
    script = ScriptDirectory(str(MIGRATIONS), version_locations=[str(MIGRATIONS)])
    engine = open_writer(url)
    try:
        with engine.connect() as connection, EnvironmentContext(Config(), script) as environment:

            def steps(revision: str, _context: MigrationContext) -> list[MigrationStep]:
                return script._upgrade_revs("head", revision)  # type: ignore[return-value]  # noqa: SLF001

            environment.configure(connection=connection, transactional_ddl=True, fn=steps)
            with environment.begin_transaction():
                environment.run_migrations()
    finally:
        engine.dispose()
    return head


def main(arguments: Sequence[str]) -> int:
    """0 when the schema is the newest, 1 when it could not be brought there, 2 for usage."""
    if len(arguments) != 1:
        sys.stderr.write(USAGE)
        return 2
    try:
        migrate(arguments[0])
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _newer(stored: str, head: str) -> str:
    return (
        f"The database was written by a newer Penstock (schema {stored}, this one knows {head}). "
        "Install that version, or restore the backup from before the update."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
