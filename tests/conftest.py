"""What every test gets: a home of its own, and nothing of the person who runs it.

`--import-mode=importlib` keeps test folders off sys.path; the few modules that
tests share (`tests/house/tree.py`) are put there by the folder's own conftest,
and `tests/product.py`, a whole Penstock for tests, is put there here.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from product import log_section, product

__all__ = ["home", "product"]


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows the logs of every Penstock that runs."""
    report = yield
    if report.failed and (logs := log_section()):
        report.sections.append(("Penstock's logs", logs))
    return report
