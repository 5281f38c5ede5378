"""Rates over a fixed window, the same for everybody who looks."""

from __future__ import annotations

from penstock.node.core.sampler import Sampler


def sampled(*looks: tuple[float, dict[str, float]]) -> Sampler:
    rows = iter(looks)
    current: dict[str, float] = {}
    sampler = Sampler(lambda: current)
    for time_s, counters in rows:
        current.clear()
        current.update(counters)
        sampler.take(time_s)
    return sampler


def test_a_rate_is_not_known_from_one_look() -> None:
    assert sampled((0.0, {"rows": 5.0})).rate("rows", 10) is None


def test_a_rate_is_the_change_over_the_window_and_not_since_the_start() -> None:
    sampler = sampled(*((float(second), {"rows": 100.0 * min(second, 20)}) for second in range(31)))

    assert 0.0 == sampler.rate("rows", 10)
    assert 100.0 * 10 / 20 == sampler.rate("rows", 20)


def test_who_looks_does_not_change_what_the_next_one_sees() -> None:
    sampler = sampled((0.0, {"rows": 0.0}), (10.0, {"rows": 500.0}))

    assert (50.0, 50.0) == (sampler.rate("rows", 10), sampler.rate("rows", 10))


def test_a_counter_that_begins_again_is_measured_from_there() -> None:
    sampler = sampled(
        (0.0, {"cpu": 90.0}), (1.0, {"cpu": 91.0}), (2.0, {"cpu": 0.0}), (4.0, {"cpu": 1.0})
    )

    assert 0.5 == sampler.rate("cpu", 10)


def test_a_mean_duration_is_that_of_the_window() -> None:
    sampler = sampled(
        (0.0, {"ns": 1000.0, "syncs": 1000.0}), (1.0, {"ns": 3000.0, "syncs": 1010.0})
    )

    assert 200.0 == sampler.ratio("ns", "syncs", 10)
    assert sampler.ratio("ns", "nothing", 10) is None
