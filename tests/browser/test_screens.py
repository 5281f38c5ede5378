"""Every page in light, dark and on a phone: accessible, silent, at home, and as wide as the glass.

The fixture `watch` fails a test at its end on any console error, breach of the content
security policy, or request to another host.
"""

from __future__ import annotations

import pytest
from pages import PAGES, open_named
from product import Product, running_product
from screen import open_page, wait_live

pytestmark = [pytest.mark.browser, pytest.mark.slow]

DESK = {"viewport": {"width": 1440, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
MODES = {
    "light": {**DESK, "color_scheme": "light"},
    "dark": {**DESK, "color_scheme": "dark"},
    "phone": {**PHONE, "color_scheme": "light"},
}
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("mode", MODES)
def test_every_page_is_accessible_silent_and_fits(works: Product, new_page, axe, mode: str) -> None:
    page = new_page(**MODES[mode])
    violations, wide = [], []
    for name in PAGES:
        open_named(page, works, name)
        violations += [f"{name}: {violation}" for violation in axe(page)]
        if page.evaluate(OVERFLOW):
            wide.append((name, page.evaluate(OVERFLOW)))
        page.keyboard.press("Escape")

    assert [] == violations
    assert [] == wide


@pytest.mark.parametrize("mode", MODES)
def test_the_set_up_page_is_accessible_silent_and_fits(
    product: Product, new_page, axe, mode: str
) -> None:
    page = new_page(**MODES[mode])
    page.goto(product.setup_link)
    page.locator("input[name=username]").wait_for()

    assert [] == axe(page)
    assert 0 == page.evaluate(OVERFLOW)
    assert "#" not in page.url, "the token has to leave the address"


def test_the_set_up_makes_the_first_administrator_and_opens_the_overview(
    tmp_path, new_page
) -> None:
    """The way of a newcomer: the link, one form, the plant."""
    page = new_page(**DESK)
    with running_product(tmp_path) as product:
        page.goto(product.setup_link)
        page.locator("input[name=username]").fill("Anna Maier")
        page.locator("input[name=new-password]").fill("correct horse battery")
        page.get_by_role("button", name="Create").click()
        wait_live(page)
        page.wait_for_url(product.url + "/")
        open_page(page, product, "/system")
        page.get_by_role("heading", name="This node works").wait_for()
        page.goto("about:blank")


def test_a_wrong_password_says_what_to_do_and_the_right_one_opens_the_page_asked_for(
    works: Product, new_page, watch
) -> None:
    watch.expect("401")
    page = new_page(**DESK)
    page.goto(f"{works.url}/system")
    page.locator("input[name=username]").fill("viewer")
    page.locator("input[name=password]").fill("not the password")
    page.keyboard.press("Enter")
    page.locator("[role=alert], .error").first.wait_for()
    page.locator("input[name=password]").fill("correct horse battery")
    page.keyboard.press("Enter")
    wait_live(page)
    page.wait_for_url("**/system")
