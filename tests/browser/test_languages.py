"""German and English: numbers as each writes them, and no page that shows a raw catalogue key."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pages import PAGES, open_named
from product import Product
from rig import TEMPERATURE_AT, Rig
from screen import log_in, open_page, set_language, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CATALOGUES = Path(__file__).parents[2] / "web" / "src" / "catalogues"
KEYS = set(json.loads((CATALOGUES / "en.json").read_text("utf-8")))
# What a page shows and says: text, titles, labels, placeholders.
TEXTS = """() => {
    const found = [document.title, document.body.innerText];
    for (const element of document.querySelectorAll('*'))
        for (const name of ['title', 'aria-label', 'placeholder', 'alt', 'aria-roledescription'])
            if (element.getAttribute(name)) found.push(element.getAttribute(name));
    return found.join('\\n');
}"""


@pytest.fixture
def german(rig: Rig, new_page):
    rig.assert_owned()
    page = new_page(viewport={"width": 1440, "height": 900}, locale="de-DE")
    log_in(page, rig.product, "operator")
    set_language(page, rig.product, "de")
    point = rig.point("set-point")
    open_page(page, rig.product, f"/assets/Rig/Cell?point={point['id']}")
    page.get_by_test_id("command-open").click()
    yield page
    set_language(page, rig.product, "en")


def test_a_german_comma_is_a_decimal_sign_and_is_repeated_with_its_unit(rig: Rig, german) -> None:
    before = len(rig.machine.writes)
    german.get_by_test_id("command-value").fill("12,5")
    german.get_by_test_id("command-next").click()

    assert "12,5 % senden" == german.get_by_test_id("command-send").inner_text()
    assert "12,5" in german.locator("dialog .nw").inner_text()
    assert before == len(rig.machine.writes)
    german.get_by_test_id("command-reason").fill("Probe mit Komma")
    german.get_by_test_id("command-send").click()
    state = german.locator("[data-testid=command-state][data-state=confirmed]")
    state.wait_for()
    assert 12.5 == rig.machine.float_at(10)
    assert "12,5 %" in state.inner_text()


@pytest.mark.parametrize("text", ["1.500", "4.999"])
def test_a_german_point_before_three_digits_is_refused_as_ambiguous(
    rig: Rig, german, text: str
) -> None:
    """1500 % and 1.5 % are both allowed here, so that only the writing can be the reason."""
    before = rig.anna.get("/commands")
    german.get_by_test_id("command-value").fill(text)
    german.get_by_test_id("command-next").click()
    said = german.get_by_test_id("command-error").inner_text()

    assert text.replace(".", ",") in said
    assert text.replace(".", "") in said
    assert 0 == german.get_by_test_id("command-send").count()
    assert before == rig.anna.get("/commands")


@pytest.mark.parametrize("language", ["en", "de"])
def test_no_page_shows_a_raw_key(works: Product, new_page, watch, language: str) -> None:
    watch.expect(r"40[13] .*/api/v1/trend")  # under way while another person logs in
    locale = {"en": "en-GB", "de": "de-DE"}[language]
    page = new_page(viewport={"width": 1440, "height": 900}, locale=locale)
    found = []
    for name in PAGES:
        open_named(page, works, name, language)
        found += [(name, key) for key in raw_keys(page.evaluate(TEXTS))]

    assert [] == found


def test_no_message_of_an_alarm_is_a_raw_key(rig: Rig, new_page) -> None:
    rig.machine.put_float(TEMPERATURE_AT, 85.0)
    page = new_page(viewport={"width": 1440, "height": 900}, locale="de-DE")
    log_in(page, rig.product, "engineer")
    set_language(page, rig.product, "de")
    open_page(page, rig.product, "/alarms")
    wait_until(page, lambda: "Die Zelle ist heiß." in page.inner_text("main"), "the German cause")
    texts = page.evaluate(TEXTS)
    open_page(page, rig.product, "/alarms?tab=history")
    page.get_by_test_id("alarm-journal").wait_for()
    texts += page.evaluate(TEXTS)
    rig.machine.put_float(TEMPERATURE_AT, 20.0)
    set_language(page, rig.product, "en")

    assert [] == raw_keys(texts)
    assert "unacknowledged" not in texts


def raw_keys(text: str) -> list[str]:
    """Words with a dot that are keys, or look like one whose text is missing; {holes} as well."""
    words = set(re.findall(r"(?<![\w./-])[a-z]+(?:[._][a-z0-9_]+)+(?![\w/-])", text))
    families = {key.split(".")[0] for key in KEYS}
    keys = [w for w in words if w in KEYS or ("." in w and w.split(".")[0] in families)]
    return sorted(keys) + re.findall(r"\{\w+\}", text)
