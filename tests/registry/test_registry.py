"""The registry on a real database: what was committed is there after a restart."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from small_plant import NODE, SYSTEM, entry, plant

from penstock.model import ConfigError, ValueKind
from penstock.registry import Registry
from penstock.state import State, damage_of
from penstock.testing import FakeClock


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An empty database, migrated as a start does it: by a process of its own."""
    path = tmp_path_factory.mktemp("schema") / "state.db"
    command = [sys.executable, "-m", "penstock.state.migrate", f"sqlite:///{path}"]
    subprocess.run(command, check=True)
    return path.read_bytes()


@pytest.fixture
def url(schema: bytes, tmp_path: Path) -> str:
    (tmp_path / "state.db").write_bytes(schema)
    return f"sqlite:///{tmp_path}/state.db"


@pytest.fixture
def state(url: str) -> Iterator[State]:
    opened = State.open(url)
    yield opened
    opened.close()


def registry(state: State) -> Registry:
    return Registry(state, FakeClock(), NODE)


async def test_what_was_committed_is_there_after_a_restart(state: State) -> None:
    desired = plant(entry("w/a", ValueKind.TEXT), fed=[entry("w/b")])
    one = registry(state)
    await one.commit(one.plan(desired, [SYSTEM], {"w/b": 500}))

    two = registry(state)
    again = two.plan(desired, [SYSTEM], {"w/b": 500})

    assert one.all_known() == two.all_known()
    assert ((), (), ()) == (again.added, again.changed, again.removed)
    point = one.snapshot.by_path("w/a")
    assert point is not None
    assert point.handle == two.handle_of(point.id)


async def test_points_and_tree_are_there_before_the_first_apply(state: State) -> None:
    """The field may never come up; its points must be there to be marked bad."""
    one = registry(state)
    await one.commit(one.plan(plant(entry("w/a"), entry("gone/b")), [SYSTEM], {}))
    await one.commit(one.plan(plant(entry("w/a")), [SYSTEM], {}))

    two = registry(state).snapshot

    assert one.snapshot.points == two.points
    assert one.snapshot.assets == two.assets
    assert None is two.asset("gone")


async def test_a_removed_point_keeps_its_handle_over_a_restart(state: State) -> None:
    one = registry(state)
    await one.commit(one.plan(plant(entry("w/a"), entry("w/b")), [], {}))
    gone = one.snapshot.by_path("w/b")
    assert gone is not None
    await one.commit(one.plan(plant(entry("w/a")), [], {}))

    two = registry(state)
    added = two.plan(plant(entry("w/a"), entry("w/c")), [], {}).added

    assert None is one.by_id(gone.id)
    assert 2 == two.handle_of(gone.id)
    assert [3] == [point.handle for point in added]


async def test_a_plan_with_a_problem_is_not_committed(state: State) -> None:
    one = registry(state)
    await one.commit(one.plan(plant(entry("w/a")), [], {}))
    before = one.snapshot

    with pytest.raises(ConfigError, match="keeps its kind"):
        await one.commit(one.plan(plant(entry("w/a", ValueKind.INT), entry("w/b")), [], {}))

    assert before is one.snapshot
    assert one.all_known() == registry(state).all_known()


async def test_a_plan_alone_changes_nothing(state: State) -> None:
    one = registry(state)
    one.plan(plant(entry("w/a")), [SYSTEM], {})

    assert [] == one.all_known()
    assert 0 == one.snapshot.revision


async def test_a_query_keeps_the_snapshot_that_it_began_with(state: State) -> None:
    one = registry(state)
    first = await one.commit(one.plan(plant(entry("w/a")), [], {}))
    second = await one.commit(one.plan(plant(entry("w/b")), [], {}))

    assert (1, 2) == (first.revision, second.revision)
    assert ["w/a"] == [point.path for point in first.points]
    assert ["w/b"] == [point.path for point in second.points]


async def test_a_whole_list_can_go_at_once(state: State) -> None:
    one = registry(state)
    await one.commit(one.plan(plant(*(entry(f"w/{n}") for n in range(2_000))), [], {}))

    await one.commit(one.plan(plant(), [], {}))

    assert () == one.snapshot.points
    assert 2_000 == len([item for item in registry(state).all_known() if item.removed_ns])


@pytest.mark.parametrize("table", ["points", "assets"])
@pytest.mark.parametrize(
    "change",
    [
        "document = document || ' '",
        "path = path || '!'",
        "removed_ns = removed_ns + 1",
        "tenant = 'other'",
        "id = 'another'",
    ],
)
async def test_a_table_that_was_altered_is_named_and_never_believed(
    url: str, state: State, table: str, change: str
) -> None:
    """SQLite itself does not notice a flipped bit within a text."""
    one = registry(state)
    await one.commit(one.plan(plant(entry("w/a")), [SYSTEM], {}))
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute(
            f"UPDATE {table} SET {change} WHERE rowid = (SELECT max(rowid) FROM {table})"
        )
        connection.commit()

    with pytest.raises(ConfigError, match=f"table {table}: is damaged"):
        registry(state)


async def test_a_bit_in_a_row_that_its_index_does_not_have_is_found(
    url: str, state: State, tmp_path: Path
) -> None:
    """SQLite would read the columns of the key from the index, where they are right."""
    one = registry(state)
    await one.commit(one.plan(plant(entry("w/a")), [SYSTEM], {}))
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    data, key = bytearray(copy.read_bytes()), f"default{one.all_known()[0].point.id}".encode()
    found = [at for at in range(len(data)) if data.startswith(key, at)]
    row = next(at for at in found if b"w/a" in data[at + len(key) : at + len(key) + 12])
    data[row + len(key) - 1] ^= 1
    copy.write_bytes(data)

    damaged = State.open(f"sqlite:///{copy}")

    assert 2 <= len(found)
    assert damage_of(f"sqlite:///{copy}") is not None
    with closing(damaged), pytest.raises(ConfigError, match="table points: is damaged"):
        registry(damaged)


async def test_a_digest_that_is_gone_is_damage_and_a_database_without_any_is_an_older_one(
    url: str, state: State
) -> None:
    one = registry(state)
    await one.commit(one.plan(plant(entry("w/a")), [SYSTEM], {}))
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute("DELETE FROM registry_digests WHERE name = 'points'")
        connection.commit()
        with pytest.raises(ConfigError, match="table points: is damaged"):
            registry(state)
        connection.execute("DELETE FROM registry_digests")
        connection.commit()

    assert one.all_known() == registry(state).all_known()
