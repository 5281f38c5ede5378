"""SQLAlchemy engines for SQLite and PostgreSQL, set up so that savepoints hold.

Python's sqlite3 opens transactions behind one's back; it is switched off here
and BEGIN is sent by hand, otherwise a savepoint commits what it should not.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

READERS_MAX = 8
BUSY_TIMEOUT_MS = 5_000

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=ON",
    "PRAGMA cache_size=-1024",
    "PRAGMA journal_size_limit=16777216",
)


def open_writer(url: str) -> Engine:
    """The engine of the one writer; a transaction takes the write lock at its start."""
    engine = create_engine(url, pool_size=1, max_overflow=1, connect_args=_connect_args(url))
    if engine.dialect.name == "sqlite":
        _prepare_file(url)
        _listen(engine, begin="BEGIN IMMEDIATE", pragmas=_PRAGMAS)
    return engine


def open_readers(url: str) -> Engine:
    """The engine of the readers; a read sees one snapshot from its first statement."""
    engine = create_engine(
        url, pool_size=READERS_MAX, max_overflow=0, pool_timeout=5, connect_args=_connect_args(url)
    )
    if engine.dialect.name == "sqlite":
        _listen(engine, begin="BEGIN", pragmas=(*_PRAGMAS, "PRAGMA query_only=ON"))
    return engine


def damage_of(url: str) -> str | None:
    """What SQLite finds wrong in its file, indexes against their tables too; None if nothing.

    Half a CPU-second for 200 MB. `sqlalchemy.exc.DatabaseError` for a file that cannot be read.
    """
    engine = open_readers(url)
    try:
        with engine.connect() as connection:
            found = str(connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar())
            return None if found == "ok" else found
    finally:
        engine.dispose()


def is_memory(url: str) -> bool:
    """Whether the url names a database that only one connection could see."""
    parsed = make_url(url)
    return parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:")


def _connect_args(url: str) -> dict[str, object]:
    is_sqlite = make_url(url).get_backend_name() == "sqlite"
    return {"check_same_thread": False} if is_sqlite else {}


def _prepare_file(url: str) -> None:
    """Make the file with mode 0600 before SQLite makes it with the umask."""
    database = make_url(url).database
    assert database, "a State needs a file"
    path = Path(database)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _listen(engine: Engine, begin: str, pragmas: tuple[str, ...]) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)
