"""Without a mouse: an alarm is acknowledged with one key, a command is given with keys alone."""

from __future__ import annotations

import pytest
from rig import TEMPERATURE_AT, Rig
from screen import log_in, open_page, place_of, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FOCUSED = "document.activeElement.dataset.testid || document.activeElement.getAttribute('href')"


def test_an_alarm_is_acknowledged_with_one_key_on_any_page(rig: Rig, page) -> None:
    rig.machine.put_float(TEMPERATURE_AT, 20.0)
    log_in(page, rig.product, "operator")
    open_page(page, rig.product, "/trend")
    rig.machine.put_float(TEMPERATURE_AT, 85.0)
    banner = page.locator(".banner a.msg")
    wait_until(page, lambda: banner.count() and "Cell hot" in banner.inner_text(), "the alarm")

    page.keyboard.press("a")

    def is_acknowledged() -> bool:
        alarms = rig.anna.get("/alarms", state="active")["alarms"]
        return any(a["name"] == "Cell hot" and a["acknowledged"] for a in alarms)

    wait_until(page, is_acknowledged, "acknowledged")
    page.get_by_text("Cell hot").first.wait_for()
    rig.machine.put_float(TEMPERATURE_AT, 20.0)
    wait_until(page, lambda: not is_hot(rig), "the end of the alarm")


def is_hot(rig: Rig) -> bool:
    alarms = rig.anna.get("/alarms", state="all")["alarms"]
    return any(a["name"] == "Cell hot" and a["active"] for a in alarms)


def test_a_viewer_cannot_acknowledge_with_a_key(rig: Rig, page) -> None:
    rig.machine.put_float(TEMPERATURE_AT, 86.0)
    log_in(page, rig.product, "viewer")
    open_page(page, rig.product, "/alarms")
    row = page.locator("[data-testid=alarm-row]", has_text="Cell hot")
    row.and_(page.locator("[data-state=unacknowledged]")).wait_for()

    page.keyboard.press("a")
    page.get_by_text("Your role may not acknowledge alarms.").first.wait_for()

    assert "unacknowledged" == row.get_attribute("data-state")
    rig.machine.put_float(TEMPERATURE_AT, 20.0)
    wait_until(page, lambda: row.get_attribute("data-state").startswith("returned"), "the return")


def test_a_command_needs_no_mouse_and_esc_closes(rig: Rig, page) -> None:
    """Tab to the point, Enter, S, the value, Enter, Esc: and nothing was sent."""
    rig.assert_owned()
    before = len(rig.machine.writes)
    point = rig.point("set-point")
    log_in(page, rig.product, "operator")
    open_page(page, rig.product, "/assets/Rig/Cell")
    place_of(page, point).wait_for()
    for _ in range(60):
        page.keyboard.press("Tab")
        if (page.evaluate(FOCUSED) or "").endswith(f"?point={point['id']}"):
            break
    page.keyboard.press("Enter")
    page.get_by_test_id("command-open").wait_for()
    page.keyboard.press("s")
    wait_until(page, lambda: page.evaluate(FOCUSED) == "command-value", "the value to have focus")
    page.keyboard.type("12.25")
    page.keyboard.press("Enter")
    wait_until(page, lambda: page.evaluate(FOCUSED) == "command-reason", "the reason to have focus")
    assert "Send 12.25 %" == page.get_by_test_id("command-send").inner_text()
    page.keyboard.press("Escape")
    page.locator("dialog[open]").wait_for(state="detached")

    commands = rig.anna.get("/commands", point_id=point["id"])["commands"]
    wait_until(
        page,
        lambda: rig.anna.get(f"/commands/{commands[0]['id']}")["state"] != "selected",
        "the selection to be given up",
    )
    assert before == len(rig.machine.writes)
