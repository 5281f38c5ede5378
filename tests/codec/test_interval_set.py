"""The interval set against a plain set of numbers."""

from __future__ import annotations

from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.codec.dictionary import Interval
from penstock.codec.interval_set import IntervalSet
from penstock.model import Origin

ONE, TWO = Origin(UUID(int=1), 1, 1), Origin(UUID(int=1), 1, 2)
spans = st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda s: (s[0], s[0] + s[1]))


@given(st.lists(spans, max_size=40))
def test_it_is_a_set_of_numbers(added: list[tuple[int, int]]) -> None:
    found, naive = IntervalSet(), set[int]()
    for first, last in added:
        span = set(range(first, last + 1))

        assert bool(span - naive) == found.add(ONE, first, last)
        naive |= span

    assert naive == {number for number in range(80) if found.has(ONE, number)}


@given(st.lists(spans, max_size=40))
def test_its_intervals_are_sorted_apart_and_as_few_as_possible(
    added: list[tuple[int, int]],
) -> None:
    found = IntervalSet(Interval(ONE, first, last) for first, last in added)
    bounds = [(item.first, item.last) for item in found.intervals()]

    for (_, last), (first, _) in pairwise(bounds):
        assert last + 1 < first
    assert found.intervals() == IntervalSet(reversed(found.intervals())).intervals()


def test_a_long_life_in_order_is_one_interval() -> None:
    found = IntervalSet()
    for number in range(1, 1001):
        assert found.add(ONE, number)

    assert [Interval(ONE, 1, 1000)] == found.intervals()
    assert not found.add(ONE, 500)


def test_the_largest_sequence_has_its_place() -> None:
    found = IntervalSet([Interval(ONE, 2**64 - 1, 2**64 - 1)])

    assert found.has(ONE, 2**64 - 1)
    assert not found.has(ONE, 2**64 - 2)


def test_incarnations_are_apart() -> None:
    found = IntervalSet([Interval(ONE, 1, 5), Interval(TWO, 1, 2)])

    assert found.has(ONE, 5)
    assert not found.has(TWO, 5)


def test_a_span_that_ends_before_it_begins_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        IntervalSet().add(ONE, 2, 1)
