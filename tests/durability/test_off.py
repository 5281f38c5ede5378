"""The whole product off for a while: history says so, and no alarm comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from whole import COUNTER, GOOD, Stored, Whole, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

AWAY_S = 3.0
NO_COMMUNICATION = 2


def bad_of(product: Whole) -> list[Stored]:
    return [item for item in product.history(COUNTER, time.time_ns()) if item.quality != GOOD]


def gaps_of(product: Whole) -> list[dict[str, object]]:
    id_ = product.points()[COUNTER]
    found: list[dict[str, object]] = product.get(f"/points/{id_}/gaps?from=0&to={time.time_ns()}")[
        "gaps"
    ]
    return found


def connected_of(product: Whole) -> str:
    """The point that says whether the device answers: its rule is built in."""
    points = product.get("/points?limit=500")["points"]
    (found,) = [row["id"] for row in points if row["path"].endswith("/connected")]
    return str(found)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_time_while_it_was_off_is_a_gap(whole: Callable[..., Whole], end: str) -> None:
    product = whole()
    product.start()
    product.wait_flowing()
    assert [] == bad_of(product)
    before = product.last(COUNTER)
    assert before is not None
    if end == "stop":
        assert 0 == product.stop()
    else:
        product.kill_tree()
    off_ns = time.time_ns()
    time.sleep(AWAY_S)  # real processes and a real clock
    on_ns = time.time_ns()
    product.start()
    product.wait_flowing()

    [row] = bad_of(product)
    assert NO_COMMUNICATION == row.quality
    assert int(before["time_ns"]) < row.time_ns <= off_ns
    [gap] = gaps_of(product)
    assert row.time_ns == int(str(gap["begin_ns"]))
    assert int(str(gap["end_ns"])) > on_ns
    assert [] == [item for item in product.journal() if item["point_id"] == connected_of(product)]
    assert 0 == product.stop()


def test_core_alone_can_die_without_a_gap(whole: Callable[..., Whole]) -> None:
    """The field process goes on measuring and keeps what it has."""
    product = whole()
    product.start()
    product.wait_flowing()
    dead = product.pid("core")
    product.kill("core")
    wait_until(lambda: product.pid("core") != dead, "core runs again")
    product.wait_flowing()

    assert [] == bad_of(product)
    assert [] == gaps_of(product)
    assert 0 == product.stop()
