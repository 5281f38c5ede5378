"""A device that counts, and a whole product beside it that nothing outlives."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from counting_server import CountingServer
from whole import Whole


@pytest.fixture
def server() -> Iterator[CountingServer]:
    found = CountingServer()
    yield found
    found.close()


@pytest.fixture
def whole(tmp_path: Path, server: CountingServer) -> Iterator[Callable[..., Whole]]:
    """Makes the product of this test; `folder` may lie on another file system."""
    made: list[Whole] = []

    def make(folder: Path = tmp_path, **options: object) -> Whole:
        made.append(Whole(folder, server, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for item in made:
        item.end()
