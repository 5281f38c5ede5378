"""A real server on real sockets, each test with its own."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from running import Running, running, trial_router


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    """Not set up yet, with the trial routes."""
    async with running(tmp_path, routers=[trial_router()]) as found:
        yield found
