"""More states than are told apart: the known ones stay right, the others are counted."""

from __future__ import annotations

import httpx
import numpy as np
import pytest
from samples import GOOD, S, Sample, answer, every, stored
from test_aggregate_routes import ASKED
from test_routes import COUNT, client

from penstock.historian.cells import Cells
from penstock.historian.regions import STATES_MAX, States

__all__ = ["client"]
MORE = STATES_MAX + 44


@pytest.mark.parametrize("part", [0, 50])
def test_the_time_in_each_known_state_and_in_all_others(part: int) -> None:
    """A second in each of 300 states, then 100 s between 0 and 1."""
    values = [*range(MORE), *(second % 2 for second in range(101))]
    samples: list[Sample] = [(second, value, GOOD) for second, value in enumerate(values)]
    store = stored(samples, "int", part=part)

    found = answer(store, every(MORE + 100, 0, MORE + 100), "time_in_state")
    assert found.other_states is not None
    known = {state: int(ns.sum()) for state, ns in found.states.items()}

    assert STATES_MAX == len(known)
    assert (51 * S, 51 * S) == (known.pop(0), known.pop(1))
    assert {S} == set(known.values())
    assert (MORE - STATES_MAX) * S == int(found.other_states.sum())
    assert [(MORE + 100) * S] == found.columns["time_in_state"].to_list()


def test_a_known_state_is_added_after_the_others_came() -> None:
    """Batch by batch: the second one begins when there is no room any more."""
    states, cells = States(2), Cells(2, np.dtype(np.int64))
    many = np.arange(MORE)
    states.add(many % 2, many, np.full(MORE, 10), cells)
    states.add(np.array([0, 1, 1]), np.array([4, 4, MORE + 7]), np.array([1, 2, 3]), cells)

    assert [11, 2] == states.duration_ns[4].tolist()
    assert states.other_ns is not None
    assert [22 * 10, 22 * 10 + 3] == states.other_ns.tolist()
    told = sum(int(ns.sum()) for ns in states.duration_ns.values())
    assert MORE * 10 + 6 == told + int(states.other_ns.sum())


async def test_no_others_are_null(client: httpx.AsyncClient) -> None:
    body = {**ASKED, "points": [str(COUNT)], "aggregates": ["time_in_state"]}

    point = (await client.post("/aggregate", json=body)).json()["points"][0]

    assert point["states"]
    assert point["other_states"] is None
