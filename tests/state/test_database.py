"""The one writer: groups, savepoints, refusals; and what a reader sees."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, OperationalError

from penstock.model import Refused
from penstock.state import State
from penstock.state.database import QUEUE_WORKS_MAX

INSERT = text("INSERT INTO setup_tokens VALUES ('default', :id, 0, '')")
IDS = text("SELECT id FROM setup_tokens ORDER BY id")


def adding(row_id: str, then: Exception | None = None) -> Callable[[Connection], str]:
    """A work that adds a row and then, if asked, fails."""

    def work(connection: Connection) -> str:
        connection.execute(INSERT, {"id": row_id})
        if then is not None:
            raise then
        return row_id

    return work


def ids(state: State) -> list[str]:
    with state.read() as connection:
        return list(connection.scalars(IDS))


async def test_result_comes_after_the_commit(state: State) -> None:
    assert await state.write(adding("a")) == "a"

    assert ids(state) == ["a"]


async def test_failing_work_does_not_hurt_its_neighbours(state: State) -> None:
    works = [state.write(adding(f"{n}", ValueError("no") if n == 3 else None)) for n in range(6)]

    found = await asyncio.gather(*works, return_exceptions=True)

    assert [str(item) for item in found] == ["0", "1", "2", "no", "4", "5"]
    assert ids(state) == ["0", "1", "2", "4", "5"]


async def test_failing_statement_does_not_hurt_its_neighbours(state: State) -> None:
    """SQLite ends a statement, not the savepoint; PostgreSQL would end both."""
    found = await asyncio.gather(
        *(state.write(adding(name)) for name in ("a", "a", "b")), return_exceptions=True
    )

    assert isinstance(found[1], IntegrityError)
    assert ids(state) == ["a", "b"]


@contextlib.asynccontextmanager
async def busy_writer(state: State) -> AsyncIterator[None]:
    """Inside, the writer thread is held up; what is submitted waits."""
    began, gate = threading.Event(), threading.Event()

    def work(_connection: Connection) -> None:
        began.set()
        assert gate.wait(10)

    held = asyncio.ensure_future(state.write(work))
    assert await asyncio.to_thread(began.wait, 10)
    yield
    gate.set()
    await held


async def test_works_that_wait_together_share_a_commit(state: State) -> None:
    async with busy_writer(state):
        works = [asyncio.ensure_future(state.write(adding(f"{n}"))) for n in range(20)]
        await asyncio.sleep(0)
    await asyncio.gather(*works)
    await state.write(lambda _connection: None)

    assert state.statistics()["group_max"] == 20
    assert len(ids(state)) == 20


async def test_full_queue_refuses_and_counts(state: State) -> None:
    async with busy_writer(state):
        works = [
            asyncio.ensure_future(state.write(lambda _connection: None))
            for _ in range(QUEUE_WORKS_MAX + 3)
        ]
        await asyncio.sleep(0)
    found = await asyncio.gather(*works, return_exceptions=True)

    refused = [item for item in found if isinstance(item, Refused)]
    assert [item.code for item in refused] == ["busy"] * 3
    assert state.statistics()["refused"] == 3


async def test_cancelled_work_that_has_not_begun_is_dropped(state: State) -> None:
    async with busy_writer(state):
        work = asyncio.ensure_future(state.write(adding("a")))
        await asyncio.sleep(0)
        work.cancel()
        await asyncio.sleep(0)
    await state.write(adding("b"))

    assert ids(state) == ["b"]


async def test_failed_commit_fails_the_whole_group_and_stores_nothing(state: State) -> None:
    """A deferred foreign key is only judged at the commit."""

    def make(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE parent (id TEXT PRIMARY KEY)"))
        connection.execute(
            text("CREATE TABLE child (id TEXT REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)")
        )

    await state.write(make)

    found = await asyncio.gather(
        state.write(adding("a")),
        state.write(lambda connection: connection.execute(text("INSERT INTO child VALUES ('x')"))),
        return_exceptions=True,
    )

    is_stored = "a" in ids(state)
    assert isinstance(found[1], IntegrityError)
    assert is_stored == (found[0] == "a")


def test_two_writers_wait_for_each_other(url: str) -> None:
    """Two processes may hold the file: none gets "database is locked"."""
    first, second = State.open(url), State.open(url)
    threads = [
        threading.Thread(
            target=lambda n=n: (first if n % 2 else second).write_blocking(adding(f"{n:03}"))
        )
        for n in range(40)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ids(first)) == 40
    first.close()
    second.close()


def test_reader_keeps_its_snapshot(state: State) -> None:
    state.write_blocking(adding("a"))

    with state.read() as connection:
        before = list(connection.scalars(IDS))
        state.write_blocking(adding("b"))
        after = list(connection.scalars(IDS))

    assert before == after == ["a"]
    assert ids(state) == ["a", "b"]


def test_reader_cannot_write(state: State) -> None:
    with state.read() as connection, pytest.raises(OperationalError, match="readonly"):
        connection.execute(INSERT, {"id": "a"})


def test_database_is_durable_and_private(state: State, tmp_path: Path) -> None:
    def pragmas(connection: Connection) -> tuple[object, ...]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return tuple(connection.scalar(text(f"PRAGMA {name}")) for name in names)

    found = state.write_blocking(pragmas)

    assert found == ("wal", 2, 1)
    assert (tmp_path / "data" / "state.db").stat().st_mode & 0o777 == 0o600
