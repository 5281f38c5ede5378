"""A page stays open while processes die: it says so, and is live again without a reload."""

from __future__ import annotations

import pytest
from rig import Rig, running_rig
from screen import log_in, open_page, place_of, value_on, wait_live, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OUTAGE = r"Failed to load resource|WebSocket connection|ERR_CONNECTION|50[0-9]"


@pytest.fixture(scope="module")
def mortal(tmp_path_factory):
    """A rig of its own, because its processes are killed."""
    with running_rig(tmp_path_factory.mktemp("mortal")) as rig:
        yield rig


def test_a_killed_core_is_said_on_screen_and_heals_without_a_reload(
    mortal: Rig, page, watch
) -> None:
    watch.expect(OUTAGE)
    point = mortal.point("flow")
    log_in(page, mortal.product, "viewer")
    open_page(page, mortal.product, "/assets/Rig/Cell")
    wait_until(page, lambda: value_on(page, point) == 33.0, "the value before the outage")
    page.evaluate("window.neverReloaded = true")
    killed = mortal.product.kill("core")

    page.locator(".banner.lost").wait_for()
    assert "No connection" in page.locator(".banner.lost").inner_text()
    assert 1 == page.locator(".conn.lost").count()
    wait_until(
        page,
        lambda: place_of(page, point).get_attribute("data-shown") != "good",
        "no value that looks fresh",
    )

    wait_live(page, 60)
    wait_until(page, lambda: value_on(page, point) == 33.0, "the value")
    mortal.machine.put_float(20, 44.0)
    wait_until(page, lambda: value_on(page, point) == 44.0, "a new value")
    mortal.machine.put_float(20, 33.0)
    assert page.evaluate("window.neverReloaded")
    assert 0 == page.locator(".banner.lost").count()
    assert killed != mortal.product.pid("core")


def test_earlier_data_is_in_the_trend_after_a_restart_of_everything(
    mortal: Rig, page, watch
) -> None:
    watch.expect(OUTAGE)
    point = mortal.point("flow")
    wait_until(page, lambda: len(mortal.anna.samples(point)["value"]) > 5, "some history")
    before = mortal.anna.samples(point)

    mortal.restart()
    after = mortal.anna.samples(point)
    count = len(before["value"])

    assert before["time_ns"] == after["time_ns"][:count]
    assert before["value"] == after["value"][:count]

    log_in(page, mortal.product, "viewer")
    open_page(page, mortal.product, f"/trend?points={point['id']}&range=15m")
    chart = page.locator("[data-testid=trend-chart][data-loading=false]")
    chart.wait_for()
    first_ms, to_ms = int(before["time_ns"][0]) / 1e6, float(chart.get_attribute("data-to-ms"))
    ink = wait_until(page, lambda: 1 > (at := page.evaluate(FIRST_INK)) and at, "a drawn pen")
    from_ms = float(chart.get_attribute("data-from-ms"))
    drawn_ms = from_ms + ink * (to_ms - from_ms)

    assert abs(drawn_ms - first_ms) < 20_000


# Where the leftmost ink of the pen lies, as a share of the plot's width.
FIRST_INK = """() => {
    const canvas = document.querySelector('[data-testid=trend-chart] canvas');
    const scale = canvas.width / canvas.clientWidth;
    const [left, right] = [50 * scale, canvas.width - 108 * scale];
    const image = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const axisAt = (canvas.clientHeight - 24) * scale;
    let first = Infinity;
    for (let at = 0; at < image.width * axisAt * 4; at += 4) {
        const [r, g, b, a] = image.data.subarray(at, at + 4);
        const x = (at / 4) % image.width;
        const isGrey = Math.max(r, g, b) - Math.min(r, g, b) < 24;
        if (a > 0 && x > left && !isGrey) first = Math.min(first, x);
    }
    return (first - left) / (right - left);
}"""
