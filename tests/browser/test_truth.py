"""What the screen says is so now: what has returned, what is lost, and what is only simulated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page
from rig import Rig, running_rig
from screen import log_in, open_page, set_language, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

DESK = {"viewport": {"width": 1440, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
CELL = "/assets/Rig/Cell"
TWIN = """plugin = "modbus"
host = "127.0.0.1"
port = {port}
unit_id = 1
rate_s = 1.0
simulated = true
"""
TWIN_POINTS = "asset,name,kind,unit,address,type\nTwin/Tank,level,float,m,holding 20,float32\n"
CLOCK = r"\d\d:\d\d:\d\d"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A real machine and a simulated one in one plant."""
    with running_rig(tmp_path_factory.mktemp("mixed")) as rig:
        folder = Path(rig.product.home) / "plant" / "connectors"
        (folder / "twin.toml").write_text(TWIN.format(port=rig.machine.port), encoding="utf-8")
        (folder / "twin.csv").write_text(TWIN_POINTS, encoding="utf-8")
        applied = rig.product.cli("apply")
        assert 0 == applied.returncode, applied.stderr
        yield rig


def opened(page: Page, rig: Rig, path: str, name: str = "administrator") -> Page:
    log_in(page, rig.product, name)
    open_page(page, rig.product, path)
    return page


def simulation_on(page: Page) -> str:
    """The mark in the head of the page: none, some or all."""
    mark = page.get_by_test_id("simulated")
    return str(mark.get_attribute("data-simulated")) if mark.count() else "none"


def test_the_mark_of_simulated_data_follows_what_the_page_shows(mixed: Rig, page: Page) -> None:
    real, made = mixed.point("flow"), mixed.anna.point("Twin/Tank/level")
    expected = {
        CELL: "none",
        "/assets/Twin/Tank": "all",
        f"/trend?points={real['id']}": "none",
        f"/trend?points={real['id']},{made['id']}": "some",
        "/trend": "none",
        "/alarms": "none",
        "/": "some",
        "/system": "some",
    }
    log_in(page, mixed.product, "viewer")
    found = {}
    for path in expected:
        open_page(page, mixed.product, path)
        found[path] = simulation_on(page)

    assert expected == found


def test_beside_real_machines_each_simulated_thing_is_marked(mixed: Rig, page: Page) -> None:
    opened(page, mixed, CELL, "viewer")
    page.get_by_role("treeitem", name="Tank").locator(".badge.sim").wait_for()
    assert 0 == page.locator("main h1 .badge.sim").count()

    open_page(page, mixed.product, "/system")
    connections = page.get_by_role("region", name="Connections")
    page.locator("td", has_text="twin").first.wait_for()
    assert 1 == connections.locator(".badge.sim").count()


def test_the_plant_is_found_before_the_node(mixed: Rig, page: Page) -> None:
    opened(page, mixed, "/", "viewer")
    page.keyboard.press("/")
    page.get_by_role("combobox").fill("rig")
    page.locator(".hits a[aria-selected=true]", has_text="Rig").wait_for()
    page.keyboard.press("Enter")

    page.wait_for_url(re.compile(r"/assets/Rig(/|$)"))


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_trend_without_pens_shows_the_last_hour(mixed: Rig, page: Page, language: str) -> None:
    log_in(page, mixed.product, "viewer")
    set_language(page, mixed.product, language)
    open_page(page, mixed.product, "/trend")
    window = page.get_by_test_id("trend-window")
    window.wait_for()

    assert not re.search(r"\b1\.? Jan", window.inner_text())
    first, last = re.findall(CLOCK, window.inner_text())
    assert first != last
    set_language(page, mixed.product, "en")


@pytest.mark.parametrize("mode", [DESK, PHONE], ids=["desk", "phone"])
def test_a_set_point_is_changed_from_its_row(mixed: Rig, new_page: Any, mode: Any) -> None:
    """As the tutorial says it; whoever may not command sees no button."""
    page = opened(new_page(**mode), mixed, CELL)
    page.get_by_role("button", name="Change Set point").click()
    page.get_by_test_id("command-value").wait_for()

    page = opened(new_page(**mode), mixed, CELL, "viewer")
    assert 0 == page.get_by_test_id("command-row").count()


def test_german_has_no_english_left_where_the_node_speaks(mixed: Rig, page: Page) -> None:
    log_in(page, mixed.product, "viewer")
    set_language(page, mixed.product, "de")
    open_page(page, mixed.product, "/assets/system/node/rig/rig")
    page.locator("main", has_text="rig antwortet").wait_for()
    wait_until(page, lambda: "ja" == page.locator(".wrap .val").inner_text(), "the value in words")
    open_page(page, mixed.product, "/system")
    text = page.locator("main").inner_text()
    set_language(page, mixed.product, "en")

    assert not re.search(r"\bauthority\b|\bserver\b|\bPSS\b|\bHead\b", text)


def test_the_counters_are_in_words_and_every_process_says_how_long_it_runs(
    mixed: Rig, page: Page
) -> None:
    opened(page, mixed, "/system")
    page.locator("summary", has_text="Counters").click()
    counters = page.get_by_role("region", name="Counters").locator("td:first-of-type")
    assert [] == [text for text in counters.all_inner_texts() if "_" in text]
    assert "History: records in the log not taken yet" in counters.all_inner_texts()

    ups = page.locator("[aria-labelledby=processes] tbody tr td:nth-child(2)").all_inner_texts()
    assert 4 == len(ups)
    assert all(re.match(r"\d", up) for up in ups)


def test_paper_has_nothing_to_press(mixed: Rig, page: Page) -> None:
    opened(page, mixed, CELL)
    page.emulate_media(media="print")

    assert not page.locator("nav").first.is_visible()
    assert 0 == len([b for b in page.locator("button").all() if b.is_visible()])
    assert page.locator("h1", has_text="Cell").is_visible()


def test_a_lost_device_stands_at_its_assets_and_its_return_is_said(mixed: Rig, page: Page) -> None:
    mixed.machine.kill()
    opened(page, mixed, CELL)
    alarm = page.locator(".alarmlist li", has_text="rig does not answer")
    alarm.wait_for()
    assert "1" == page.locator(".tabs .n").inner_text()

    open_page(page, mixed.product, "/")
    page.get_by_test_id("quality-head").get_by_text("connections lost").wait_for()
    rows = page.locator(".matrix4 tbody tr")
    wait_until(page, lambda: 3 == page.locator(".matrix4 tbody .prio").count(), "each area")
    assert 2 == rows.filter(has_text=re.compile("Cell|Annex")).locator(".prio").count()
    assert page.locator("p", has_text="1 alarm concerns several areas").is_visible()
    open_page(page, mixed.product, "/alarms?asset=Rig%2FAnnex")
    page.get_by_test_id("alarm-row").filter(has_text="rig does not answer").wait_for()

    mixed.machine.revive()
    banner = page.locator(".banner a.msg", has_text="not acknowledged")
    banner.wait_for()
    assert re.search(f"did not answer( SIM)? · returned {CLOCK}, not acknowledged", said(banner))
    row = page.get_by_test_id("alarm-row").filter(has_text="rig did not answer")
    assert re.search(f"Returned {CLOCK}, not acknowledged", said(row))
    row.click()
    detail = page.get_by_test_id("alarm-detail")
    wait_until(page, lambda: "yes" in detail.locator(".big").inner_text(), "the value of now")
    raised = re.findall(f"Raised ({CLOCK})", said(detail))
    since = re.findall(f"since ({CLOCK})", said(page.get_by_test_id("value-at")))
    assert raised != since

    page.keyboard.press("n")
    page.locator("textarea").fill("a fuse")
    page.keyboard.press("Control+Enter")
    detail.get_by_text("a fuse").wait_for()


def said(place: Any) -> str:
    return re.sub(r"\s+", " ", place.inner_text())


def test_a_csv_is_named_by_its_point_and_time(mixed: Rig) -> None:
    point = mixed.point("flow")
    span = {"from": "2026-11-26T11:00:00Z", "to": "2026-11-26T12:00:00Z"}
    answer = mixed.anna.ask("GET", "/trend.csv", params={"points": point["id"], **span})

    name = 'filename="Cell-flow_20261126T110000Z_20261126T120000Z.csv"'
    assert name in answer.headers["content-disposition"]
