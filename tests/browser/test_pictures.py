"""Pictures for the README and for the eye, made only when asked for.

`PENSTOCK_UPDATE_SCREENSHOTS=1` writes docs/images/overview.png;
`PENSTOCK_SCREENSHOTS=FOLDER` writes every page in light, dark and phone there.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pages import PAGES, open_named
from product import Product
from screen import log_in, open_page
from test_screens import MODES

FOLDER = os.environ.get("PENSTOCK_SCREENSHOTS", "")
OVERVIEW = Path(__file__).parents[2] / "docs" / "images" / "overview.png"
BYTES_MAX = 300_000
RUN_S = 60
ALARM_WAIT_S = 240

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.skipif(
    not os.environ.get("PENSTOCK_UPDATE_SCREENSHOTS"), reason="PENSTOCK_UPDATE_SCREENSHOTS is unset"
)
def test_the_picture_of_the_readme(works: Product, new_page) -> None:
    """After a minute, and with the first alarm of the plant if it comes soon."""
    page = new_page(**MODES["light"])
    log_in(page, works, "administrator")
    open_page(page, works, "/")
    page.wait_for_timeout(RUN_S * 1000)
    for _ in range(ALARM_WAIT_S):
        if page.locator(".banner a.msg").count():
            break
        page.wait_for_timeout(1000)
    OVERVIEW.parent.mkdir(exist_ok=True)
    page.screenshot(path=OVERVIEW, animations="disabled")

    assert OVERVIEW.stat().st_size <= BYTES_MAX


@pytest.mark.skipif(not FOLDER, reason="PENSTOCK_SCREENSHOTS is unset")
@pytest.mark.parametrize("mode", MODES)
def test_pictures_of_every_page(works: Product, new_page, mode: str) -> None:
    page = new_page(**MODES[mode])
    for name in PAGES:
        open_named(page, works, name)
        page.screenshot(path=Path(FOLDER) / f"{mode}-{name}.png", animations="disabled")
