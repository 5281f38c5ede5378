"""From a register to the screen and back, on a machine that the test owns."""

from __future__ import annotations

import pytest
from rig import TEMPERATURE_AT, Rig
from screen import log_in, open_page, value_on, wait_until

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

    assert truth == rig.point("temperature")["last"]["value"]
    assert truth == rig.anna.samples(point)["value"][-1]
    assert 192 == rig.anna.samples(point)["quality"][-1]
