"""A page whose files do not come says so and appears by itself, without a reload.

Playwright's `route` takes single files away; the last test takes the whole server.
"""

from __future__ import annotations

import pytest
from rig import Rig, running_rig
from screen import log_in, open_page, set_language, wait_live, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CUT = r"net::ERR_FAILED"
OUTAGE = r"Failed to load resource|WebSocket connection|ERR_CONNECTION|50[0-9]"
LATE = {"en": "This page is not loaded yet.", "de": "Diese Seite ist noch nicht geladen."}


@pytest.fixture(scope="module")
def mortal(tmp_path_factory):
    """A rig of its own, because its core is killed."""
    with running_rig(tmp_path_factory.mktemp("late")) as rig:
        yield rig


class Cut:
    """Requests whose address fits `pattern` fail until `mend`."""

    def __init__(self, page, pattern: str) -> None:
        self.failed: list[str] = []
        self._page, self._pattern = page, pattern
        page.route(pattern, self._fail)

    def _fail(self, route) -> None:
        self.failed.append(route.request.url)
        route.abort()

    def mend(self) -> None:
        self._page.unroute(self._pattern, self._fail)


def go_to_trend(page) -> None:
    page.locator("nav a[href='/trend']").first.click()


# Something that only this page has.
MARKS = {"/trend": ".tmain", "/alarms": ".list", "/assets": ".treebox", "/": "h1.vh"}


def wait_page(page, path: str) -> None:
    page.locator(f"main {MARKS[path]}").first.wait_for(state="attached")


@pytest.mark.parametrize("file", ["Trend-*.js", "trend.svelte-*.js"], ids=["page", "shared"])
@pytest.mark.parametrize("language", ["en", "de"])
def test_a_page_whose_file_fails_says_so_and_appears_by_itself(
    rig: Rig, page, watch, file: str, language: str
) -> None:
    """Also when the file that fails is one that the page shares with others."""
    watch.expect(CUT)
    log_in(page, rig.product, "viewer")
    set_language(page, rig.product, language)
    cut = Cut(page, f"**/assets/{file}")
    open_page(page, rig.product, "/system")
    page.evaluate("window.neverReloaded = true")
    go_to_trend(page)
    page.get_by_role("alert").filter(has_text=LATE[language]).wait_for()
    wait_until(page, lambda: len(cut.failed) > 2, "it to try again")
    cut.mend()

    wait_page(page, "/trend")
    assert 0 == page.get_by_text(LATE[language]).count()
    set_language(page, rig.product, "en")
    assert page.evaluate("window.neverReloaded")


def test_a_person_who_leaves_a_late_page_is_not_held_up(rig: Rig, page, watch) -> None:
    watch.expect(CUT)
    log_in(page, rig.product, "viewer")
    cut = Cut(page, "**/assets/Trend-*.js")
    open_page(page, rig.product, "/system")
    go_to_trend(page)
    late = page.get_by_text(LATE["en"])
    late.wait_for()

    page.locator("nav a[href='/system']").first.click()
    late.wait_for(state="detached")

    page.get_by_role("heading", name="This node works").wait_for()
    cut.mend()


def test_a_first_load_without_its_words_says_so_and_comes_by_itself(rig: Rig, page, watch) -> None:
    """There is no catalogue yet, so it is said in both languages."""
    watch.expect(CUT)
    log_in(page, rig.product, "viewer")
    cut = Cut(page, "**/assets/en-*.js")
    page.goto(f"{rig.product.url}/system")
    alert = page.get_by_role("alert")
    alert.filter(has_text="Penstock antwortet nicht.").wait_for()
    assert "Penstock does not answer." in alert.inner_text()
    cut.mend()

    wait_live(page)
    page.get_by_role("heading", name="This node works").wait_for()


def test_after_the_first_page_no_other_needs_the_server(rig: Rig, page) -> None:
    log_in(page, rig.product, "viewer")
    open_page(page, rig.product, "/system")
    page.locator("html[data-loaded=all]").wait_for(state="attached")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in ("/trend", "/alarms", "/assets", "/"):
        page.locator(f"nav a[href='{path}']").first.click()
        wait_page(page, path)

    assert [] == [url for url in asked if "/assets/" in url]


def test_a_core_that_dies_before_the_page_is_loaded_brings_it_when_it_is_back(
    mortal: Rig, page, watch
) -> None:
    watch.expect(f"{CUT}|{OUTAGE}")
    log_in(page, mortal.product, "viewer")
    cut = Cut(page, "**/assets/Trend-*.js")
    open_page(page, mortal.product, "/system")
    page.evaluate("window.neverReloaded = true")
    mortal.product.kill("core")
    page.locator(".banner.lost").wait_for()
    go_to_trend(page)
    page.get_by_text(LATE["en"]).wait_for()
    cut.mend()

    wait_live(page, 60)
    wait_page(page, "/trend")
    assert page.evaluate("window.neverReloaded")
