"""The audit chain: altered, removed, inserted, re-ordered and cut off are all noticed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from penstock.security import Audit, Entry, NodeKeys, open_keys
from penstock.state import State
from penstock.testing import FakeClock

ENTRIES = 8
SWAP = """UPDATE audit SET number = CASE number WHEN 3 THEN -4 ELSE -3 END WHERE number IN (3, 4);
UPDATE audit SET number = -number WHERE number < 0"""


@pytest.fixture
async def audit(state: State, keys: NodeKeys, clock: FakeClock) -> Audit:
    """A chain of eight entries, checked once, so that its head is anchored."""
    made = Audit(state, keys, clock)
    for number in range(ENTRIES):
        clock.advance(1)
        await made.record(Entry("user:1", "point.change", f"p{number}", number, number + 1))
    await made.check()
    return made


async def test_chain_holds(audit: Audit) -> None:
    status = await audit.check()

    assert (status.entries, status.is_unbroken) == (ENTRIES, True)


@pytest.mark.parametrize(
    ("damage", "broken_at"),
    [
        ("UPDATE audit SET new = '99' WHERE number = 3", 3),
        ("UPDATE audit SET principal = 'user:2' WHERE number = 3", 3),
        ("UPDATE audit SET time_ns = time_ns + 1 WHERE number = 3", 3),
        ("UPDATE audit SET hash = replace(hash, 'a', 'b') WHERE number = 3", 3),
        ("UPDATE audit SET signature = 'zz' WHERE number = 3", 3),
        ("DELETE FROM audit WHERE number = 3", 3),
        ("DELETE FROM audit WHERE number = 8", 8),
        ("DELETE FROM audit", 1),
        (SWAP, 3),
    ],
)
async def test_damage_is_found(audit: Audit, database: Path, damage: str, broken_at: int) -> None:
    _damage(database, damage)

    status = await audit.check()

    assert (status.is_unbroken, status.broken_at) == (False, broken_at)
    assert not audit.status().is_unbroken


async def test_chain_of_another_node_is_found(audit: Audit, state: State, tmp_path: Path) -> None:
    """Somebody who re-computes all hashes still lacks the key."""
    other = Audit(state, open_keys(tmp_path / "other"), FakeClock())

    assert (await other.check()).broken_at == 1


async def test_failed_change_leaves_no_entry(audit: Audit, state: State) -> None:
    def work(connection: object) -> None:
        audit.append(connection, Entry("user:1", "point.change"))  # type: ignore[arg-type]
        raise ValueError("the change itself failed")

    with pytest.raises(ValueError, match="failed"):
        await state.write(work)

    assert audit.status().entries == ENTRIES
    assert (await audit.check()).is_unbroken


async def test_pages_are_newest_first(audit: Audit) -> None:
    first = audit.page(None, 5)
    second = audit.page(first[-1].number, 5)

    assert [record.number for record in first + second] == list(range(ENTRIES, 0, -1))


async def test_huge_value_leaves_its_hash(audit: Audit) -> None:
    await audit.record(Entry("user:1", "file.change", new="x" * 100_000))

    found = audit.page(None, 1)[0].entry.new
    assert isinstance(found, dict)
    assert found["bytes"] == 100_002


async def test_short_check_goes_on_from_the_last(audit: Audit, database: Path) -> None:
    """It sees what is new; what was altered before it is found by the next whole check."""
    await audit.record(Entry("user:1", "point.change"))
    short = await audit.check(is_whole=False)
    _damage(database, "UPDATE audit SET new = '99' WHERE number = 3")
    old = await audit.check(is_whole=False)
    await audit.record(Entry("user:1", "point.change"))
    _damage(database, "UPDATE audit SET new = '99' WHERE number = 10")
    new = await audit.check(is_whole=False)
    whole = await audit.check()

    assert (short.entries, old.broken_at, new.broken_at, whole.broken_at) == (9, None, 10, 3)


def _damage(database: Path, script: str) -> None:
    with sqlite3.connect(database) as connection:
        connection.executescript(script)
    connection.close()
