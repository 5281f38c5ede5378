"""From a register to the screen and back, on a machine that the test owns."""

from __future__ import annotations

from typing import Any

import pytest
from rig import TEMPERATURE_AT, Rig
from screen import log_in, open_page, value_on, wait_until

from penstock.model.time import SECOND_NS, format_ns

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELL = "/assets/Rig/Cell"


@pytest.mark.parametrize("wanted", [47.3, 0.1, 79.99])
def test_a_register_is_on_the_screen_and_bit_equal_in_api_and_history(
    rig: Rig, page, wanted: float
) -> None:
    log_in(page, rig.product, "viewer")
    open_page(page, rig.product, CELL)
    point = rig.point("temperature")
    truth = rig.machine.put_float(TEMPERATURE_AT, wanted)

    wait_until(page, lambda: value_on(page, point) == round(truth, 2), "on screen")

    wait_until(page, lambda: truth == rig.point("temperature")["last"]["value"], "the last value")
    wait_until(page, lambda: truth == rig.anna.samples(point)["value"][-1], "in the history")
    assert 192 == rig.anna.samples(point)["quality"][-1]


RECORD = """id => {
    window.shown = [];
    setInterval(() => {
        const place = document.querySelector(`[data-testid=point-value][data-point='${id}']`);
        const now = place?.dataset.shown;
        if (now && now !== window.shown.at(-1)) window.shown.push(now);
    }, 20);
}"""
COLOURED = """([id, margin]) => {
    const chart = document.querySelector('[data-testid=trend-chart]');
    const gaps = JSON.parse(chart.dataset.gaps)[id];
    const canvas = chart.querySelector('canvas');
    const scale = canvas.width / canvas.clientWidth;
    const image = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const columns = new Set();
    const axisAt = (canvas.clientHeight - 24) * scale;
    for (let at = 0; at < image.width * axisAt * 4; at += 4) {
        const [r, g, b, a] = image.data.subarray(at, at + 4);
        const isGrey = Math.max(r, g, b) - Math.min(r, g, b) < 24;
        const x = ((at / 4) % image.width) / scale;
        if (a > 0 && !isGrey && x > 52) columns.add(x);
    }
    const all = [...columns].sort((a, b) => a - b);
    const [left, right] = gaps[0];
    const count = test => all.filter(test).length;
    return {gaps, before: count(x => x < left), after: count(x => x > right),
            inside: all.filter(x => x > left + margin && x < right - margin)};
}"""


def test_a_dead_machine_is_stale_then_bad_and_leaves_a_gap_in_the_trend(rig: Rig, page) -> None:
    point = rig.point("flow")
    log_in(page, rig.product, "viewer")
    open_page(page, rig.product, CELL)
    wait_until(page, lambda: value_on(page, point) == 33.0, "33.0 on screen")
    page.evaluate(RECORD, point["id"])
    begin_ns = rig.point("flow")["last"]["time_ns"]

    rig.machine.kill()
    wait_until(page, lambda: "bad" in page.evaluate("shown"), "bad on screen")
    lost = wait_until(page, lambda: communication_alarm(rig), "a communication alarm")

    shown = page.evaluate("shown")  # a busy machine may have been late, so stale, before
    assert "good" == shown[0]
    assert ["good", "stale", "bad"] == shown[-3:]
    assert value_on(page, point) is None
    assert rig.point("flow")["last"]["quality"] < 64
    assert "unacknowledged" == lost["state"]
    banner = page.locator(".banner a.msg")
    wait_until(page, lambda: "rig does not answer" in banner.inner_text(), "alarm in the banner")

    page.wait_for_timeout(1_000)
    rig.machine.revive()
    wait_until(page, lambda: "good" == page.evaluate("shown.at(-1)"), "good again")
    wait_until(page, lambda: not communication_alarm(rig, is_active=True), "the alarm to return")
    back = len(good_times(rig, point))
    wait_until(page, lambda: len(good_times(rig, point)) >= back + 4, "a line after the gap")
    end_ns = rig.point("flow")["last"]["time_ns"]
    first, last = format_ns(int(begin_ns) - 4 * SECOND_NS), format_ns(int(end_ns))

    open_page(page, rig.product, f"/trend?points={point['id']}&from={first}&to={last}")
    page.locator("[data-testid=trend-chart][data-loading=false][data-gaps*='[[']").wait_for()

    def drawing() -> dict[str, Any] | None:
        found = page.evaluate(COLOURED, [point["id"], 1.5])
        return found if found["after"] > 40 else None

    drawn = wait_until(page, drawing, "the line after the gap on the chart")

    assert 1 == len(drawn["gaps"])
    assert drawn["gaps"][0][1] - drawn["gaps"][0][0] > 100
    assert [] == drawn["inside"]
    assert drawn["before"] > 40


def good_times(rig: Rig, point: dict[str, Any]) -> list[str]:
    found = rig.anna.samples(point)
    pairs = zip(found["time_ns"], found["quality"], strict=True)
    return [time_ns for time_ns, quality in pairs if quality == 192]


def communication_alarm(rig: Rig, *, is_active: bool = True) -> dict[str, Any] | None:
    alarms = rig.anna.get("/alarms", state="all")["alarms"]
    found = [a for a in alarms if a["kind"] == "communication" and a["active"] == is_active]
    return found[0] if found else None
