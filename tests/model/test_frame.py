"""Columns: rows keep together, texts keep their bytes, and a kind is never mixed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model import Batch, Flag, Frame, Origin, TextColumn, ValueKind
from penstock.model.batch import BATCH_ROWS_MAX
from penstock.model.frame import TEXT_VALUE_BYTES_MAX, concatenate
from penstock.model.identity import new_id
from penstock.model.quality import Quality, Severity, severity
from penstock.testing import frame

texts = st.lists(st.text(st.characters(codec="utf-8"), max_size=6), max_size=8)


@given(texts, texts, st.data())
def test_texts_can_be_taken_and_joined(one: list[str], two: list[str], data: st.DataObject) -> None:
    joined = concatenate([_text_frame(one), _text_frame(two)])
    picked = data.draw(st.lists(st.integers(0, max(len(one + two) - 1, 0)), max_size=9))
    picked = picked if one + two else []

    assert one + two == joined.value.to_list()  # type: ignore[union-attr]
    taken = joined.take(np.array(picked, np.intp)).value
    assert [(one + two)[at] for at in picked] == taken.to_list()  # type: ignore[union-attr]


def _text_frame(values: list[str]) -> Frame:
    rows = len(values)
    return Frame(
        np.zeros(rows, np.uint32),
        np.zeros(rows, np.int64),
        TextColumn.of(values),
        np.zeros(rows, np.uint8),
        np.zeros(rows, np.uint8),
    )


def test_rows_keep_together() -> None:
    found = frame([1, 2, 3], [10, 20, 30], [1.5, 2.5, 3.5], [192, 2, 64]).take(np.array([2, 0]))

    assert [3, 1] == found.point.tolist()
    assert [30, 10] == found.time_ns.tolist()
    assert [3.5, 1.5] == found.value.tolist()  # type: ignore[union-attr]
    assert [64, 192] == found.quality.tolist()


def test_the_kind_is_that_of_the_column() -> None:
    kinds = [frame(1, 1, [1.0]).kind, frame(1, 1, [1]).kind, frame(1, 1, ["a"]).kind]

    assert [ValueKind.FLOAT, ValueKind.INT, ValueKind.TEXT] == kinds
    with pytest.raises(AssertionError):
        concatenate([frame(1, 1, [1.0]), frame(1, 1, [1])])


def test_columns_of_different_length_are_a_bug() -> None:
    good = frame([1, 2], 1, [1.0, 2.0])
    with pytest.raises(AssertionError):
        Frame(good.point[:1], good.time_ns, good.value, good.quality, good.flags)


def test_a_text_has_a_limit_in_bytes() -> None:
    TextColumn.of(["ö" * (TEXT_VALUE_BYTES_MAX // 2)])
    with pytest.raises(AssertionError):
        TextColumn.of(["ö" * (TEXT_VALUE_BYTES_MAX // 2 + 1)])


@pytest.mark.parametrize("kind", list(ValueKind))
def test_rows_without_values_keep_points_and_say_why(kind: ValueKind) -> None:
    point, quality = np.array([7, 9], np.uint32), np.array([Quality.GOOD, 3])
    one = Frame.without_values(point, kind, 5, Quality.BAD_NO_COMMUNICATION, Flag.NO_VALUE)
    each = Frame.without_values(point, kind, 5, quality, np.array([0, 16]))

    assert one.kind is (ValueKind.FLOAT if kind is ValueKind.WAVEFORM else kind)
    assert [7, 9] == one.point.tolist()
    assert [5, 5] == one.time_ns.tolist()
    assert [Quality.BAD_NO_COMMUNICATION] * 2 == one.quality.tolist()
    assert [16, 16] == one.flags.tolist()
    assert [Quality.GOOD, 3] == each.quality.tolist()
    assert [0, 16] == each.flags.tolist()
    assert 0 == len(Frame.without_values(point[:0], kind, 5, 0, 0))


def test_a_batch_has_one_frame_a_kind_and_a_limit() -> None:
    origin = Origin(new_id(0), 0, 1)
    one, two = frame(1, 1, [1.0]), frame(1, 1, [1])
    assert 2 == Batch(origin, 1, (one, two)).rows
    assert two is Batch(origin, 1, (one, two)).frame(ValueKind.INT)
    assert None is Batch(origin, 1, (one,)).frame(ValueKind.TEXT)

    for wrong in ((two, one), (one, one), (frame(1, 1, [1.0] * (BATCH_ROWS_MAX + 1)),)):
        with pytest.raises(AssertionError):
            Batch(origin, 1, wrong)


def test_every_quality_has_its_severity_and_the_worst_is_the_minimum() -> None:
    for quality in Quality:
        assert severity(quality).name == quality.name.partition("_")[0]
    assert Severity.UNCERTAIN is severity(128 | 5)
    assert Quality.BAD_NO_COMMUNICATION == min(Quality.GOOD, Quality.UNCERTAIN, 2)


@given(st.lists(st.integers(0, 2**47), min_size=2, max_size=20))
def test_identities_sort_by_the_time_they_were_made(milliseconds: list[int]) -> None:
    found = [new_id(ms * 1_000_000) for ms in sorted(set(milliseconds))]

    assert sorted(found) == found
    assert {7} == {id_.version for id_ in found}
