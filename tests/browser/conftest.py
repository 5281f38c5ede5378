"""A real Chromium for tests, and a watch that fails a test when the page complained.

The sync API of playwright leaves its event loop marked as running in this thread, and
asyncio tests would then refuse to start; so tests that use `chromium` run last of all
(see tests/conftest.py), and an async test cannot use it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright
from product import Product, running_product

sys.path.insert(0, str(Path(__file__).parent))

from people import PASSWORD, ROLES
from rig import Rig, running_rig

EXECUTABLE = shutil.which("chromium") or "/usr/bin/chromium"
AXE = Path(__file__).resolve().parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
HERE = Path(__file__).resolve().parent
TIMEOUT_S = 300
# Half-way through a fade a button has a contrast that nobody sees for longer than a blink.
STILL = """() => document.getAnimations().forEach(each =>
    each.effect.getComputedTiming().iterations === Infinity || each.finish())"""
LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1", ""}
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]


@dataclasses.dataclass
class Watch:
    """What the pages of one test complained about; all three stay empty in a good test.

    Without slots, because playwright hangs attributes on the owner of a listener.
    """

    console_errors: list[str] = dataclasses.field(default_factory=list)
    csp_violations: list[str] = dataclasses.field(default_factory=list)
    foreign_requests: list[str] = dataclasses.field(default_factory=list)
    expected: list[str] = dataclasses.field(default_factory=list)

    def expect(self, pattern: str) -> None:
        """Complaints that match are part of this test, for example while it cuts the network."""
        self.expected.append(pattern)

    def unexpected(self) -> list[str]:
        """Every complaint that the test did not announce."""
        rows = [
            *(f"console: {text}" for text in self.console_errors),
            *(f"CSP: {text}" for text in self.csp_violations),
            *(f"request to another host: {url}" for url in self.foreign_requests),
        ]
        return [row for row in rows if not any(re.search(each, row) for each in self.expected)]

    def attach(self, page: Page) -> None:
        """Listen to everything this page says from now on."""
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.csp_violations.append(message.text)
        elif message.type == "error":
            self.console_errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"data", "blob"} and parts.hostname not in LOCAL_HOSTS:
            self.foreign_requests.append(request.url)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Waits end as soon as they can; a machine half as fast must still not reach this end."""
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests; each test gets a context of its own."""
    if not Path(EXECUTABLE).exists():
        pytest.skip("Chromium is not installed: apt-get install chromium fonts-noto-core")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=EXECUTABLE, chromium_sandbox=False, args=FLAGS
        )
        yield browser
        browser.close()
    asyncio._set_running_loop(None)


@pytest.fixture(scope="session")
def works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The demonstration plant with one user for each role; no test changes anything in it."""
    with running_product(tmp_path_factory.mktemp("works")) as product:
        for role in ROLES:
            product.add_user(role, PASSWORD, role)
        yield product


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A small plant on a machine of our own; each test leaves the machine alive and honest."""
    with running_rig(tmp_path_factory.mktemp("rig")) as rig:
        yield rig


@pytest.fixture
def watch() -> Iterator[Watch]:
    """The test fails at its end if a page complained about anything it did not announce."""
    watch = Watch()
    yield watch

    assert [] == watch.unexpected()


@pytest.fixture
def new_page(chromium: Browser, watch: Watch) -> Iterator[Callable[..., Page]]:
    """Makes watched pages; options are those of a context, for example color_scheme="dark"."""
    contexts = []

    def make(**options: Any) -> Page:
        context = chromium.new_context(**{"locale": "en-GB", "timezone_id": "UTC", **options})
        contexts.append(context)
        context.on("page", watch.attach)
        return context.new_page()

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """A watched page in a fresh context of desktop size."""
    return new_page(viewport={"width": 1440, "height": 900})


@pytest.fixture
def axe() -> Callable[[Page], list[str]]:
    """Runs axe-core in a page and returns its violations, one sentence each."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: ./dev setup, without PENSTOCK_NO_UI")
    source = AXE.read_text(encoding="utf-8")

    def run(page: Page) -> list[str]:
        page.evaluate(STILL)
        page.evaluate(source)
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
        result = page.evaluate("tags => axe.run(document, {runOnly: tags})", tags)
        return [
            f"{row['id']}: {row['help']} ({node['target']})"
            for row in result["violations"]
            for node in row["nodes"]
        ]

    return run
