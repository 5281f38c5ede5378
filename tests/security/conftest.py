"""A node's security with a clock that stands still and passwords that cost nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.security import (
    NodeKeys,
    PasswordSettings,
    Security,
    SecuritySettings,
    open_keys,
)
from penstock.state import State
from penstock.state.migrate import migrate
from penstock.testing import FakeClock

CHEAP = SecuritySettings(passwords=PasswordSettings(memory_kib=8, time_cost=1))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keys(tmp_path: Path) -> NodeKeys:
    return open_keys(tmp_path / "keys")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "state.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def state(database: Path) -> Iterator[State]:
    opened = State.open(f"sqlite:///{database}")
    yield opened
    opened.close()


@pytest.fixture
def security(state: State, keys: NodeKeys, clock: FakeClock) -> Iterator[Security]:
    made = Security(state, keys, CHEAP, clock)
    yield made
    made.close()


@pytest.fixture
async def administrator(security: Security) -> str:
    """Session token of anna, the first administrator."""
    token = security.issue_setup_token()
    return await security.set_up(token, "anna", "Anna", "correct horse battery", "en", "::1")
