"""A migrated database for the tests of `state`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.state import State
from penstock.state.migrate import migrate


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database with the newest schema."""
    found = f"sqlite:///{tmp_path}/data/state.db"
    migrate(found)
    return found


@pytest.fixture
def state(url: str) -> Iterator[State]:
    """The open database."""
    opened = State.open(url)
    yield opened
    opened.close()
