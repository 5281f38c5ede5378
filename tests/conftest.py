"""What every test gets: a home of its own, and nothing of the person who runs it.

`--import-mode=importlib` keeps test folders off sys.path; the few modules that
tests share (`tests/house/tree.py`) are put there by the folder's own conftest.
"""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh HOME for each test: keys, sockets and settings never leak between tests."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    for name in ("PENSTOCK_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests go last: playwright's sync API blocks asyncio tests that come after it."""
    items.sort(key=lambda item: "chromium" in getattr(item, "fixturenames", ()))
