"""When a refused request is tried again: what the plant says is believed, and nothing lasts."""

from __future__ import annotations

import itertools

import pytest

from penstock.client.errors import BrokenOff, Cancelled, ClientError, Problem, TimedOut, Unreachable
from penstock.client.patience import LONGEST_S, Patience


def busy(wait_s: float | None = None, status: int = 429) -> Problem:
    return Problem("busy", "The server is busy.", status=status, wait_s=wait_s)


class Watch:
    """Keeps the waits; `answer` is True when the client was cancelled meanwhile."""

    def __init__(self, answer: bool = False) -> None:
        self.waited: list[float] = []
        self._answer = answer

    def __call__(self, wait_s: float) -> bool:
        self.waited.append(wait_s)
        return self._answer


@pytest.mark.parametrize("status", [429, 503])
def test_the_time_that_the_plant_names_is_waited(status: int) -> None:
    watch = Watch()
    waits = Patience(wait=watch).waits()

    waits.after(busy(7.0, status))
    waits.after(busy(2.0, status))

    assert [7.0, 2.0] == watch.waited


def test_without_one_the_waits_double_up_to_a_bound() -> None:
    watch = Watch()
    waits = Patience(tries=12, wait=watch).waits()

    for _ in range(9):
        waits.after(busy())

    assert all(earlier / 2 <= later for earlier, later in itertools.pairwise(watch.waited))
    assert 0.1 <= watch.waited[0] <= 0.2
    assert LONGEST_S / 2 <= watch.waited[-1] <= LONGEST_S


def test_it_ends_after_so_many_tries() -> None:
    waits = Patience(tries=3, wait=Watch()).waits()
    waits.after(busy(1.0))
    waits.after(busy(1.0))

    with pytest.raises(Problem):
        waits.after(busy(1.0))


def test_it_ends_when_the_wait_is_longer_than_all_of_them_may_be() -> None:
    watch = Watch()
    waits = Patience(wait_s_max=10, wait=watch).waits()
    waits.after(busy(6.0))

    with pytest.raises(Problem):
        waits.after(busy(6.0))

    assert [6.0] == watch.waited


@pytest.mark.parametrize(
    "error",
    [
        busy(status=400),
        busy(status=422),
        busy(status=500),
        TimedOut("late"),
        ClientError("other"),
    ],
    ids=str,
)
def test_what_will_not_be_better_is_not_tried_again(error: ClientError) -> None:
    watch = Watch()

    with pytest.raises(type(error)):
        Patience(wait=watch).waits().after(error)

    assert [] == watch.waited


@pytest.mark.parametrize("error", [BrokenOff("cut"), Unreachable("nobody")])
def test_a_node_that_restarts_is_waited_for(error: ClientError) -> None:
    watch = Watch()

    Patience(wait=watch).waits().after(error)

    assert 1 == len(watch.waited)


def test_a_wait_can_be_cancelled() -> None:
    with pytest.raises(Cancelled):
        Patience(wait=Watch(answer=True)).waits().after(busy(5.0))
