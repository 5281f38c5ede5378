"""Events as bytes: equal events are equal bytes, and old readers read newer events."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.codec.event import decode_event, encode_event
from penstock.codec.layout import Damaged
from penstock.model import Event
from penstock.model.event import EVENT_BYTES_MAX

EVENT = Event("1", "alarm.raised", 5, data={"b": 1, "a": [None, True, "ä", 0.5]})
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text("abcä"), values, max_size=4), st.integers(-(2**63), 2**63 - 1))
def test_it_comes_out_as_it_went_in(data: dict[str, object], time_ns: int) -> None:
    event = Event("1", "a.b", time_ns, data=data)  # type: ignore[arg-type]

    assert event == decode_event(encode_event(event))


def test_the_order_of_keys_makes_no_difference() -> None:
    other = Event("1", "alarm.raised", 5, data=dict(reversed(EVENT.data.items())))

    assert encode_event(EVENT) == encode_event(other)


def test_what_a_newer_schema_adds_is_left_out() -> None:
    newer = orjson.loads(encode_event(EVENT)) | {"schema": 2, "colour": "red"}

    assert (EVENT.id, 2) == (
        decode_event(orjson.dumps(newer)).id,
        decode_event(orjson.dumps(newer)).schema,
    )


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b"1", b'"id"', b"{}", b'{"id": "1"}', b"\xff"]
)
def test_what_is_no_event_is_damage(payload: bytes) -> None:
    with pytest.raises(Damaged):
        decode_event(payload)


def test_too_large_an_event_is_a_bug_of_its_author() -> None:
    with pytest.raises(AssertionError, match=r"a\.b"):
        encode_event(Event("1", "a.b", 1, data={"text": "x" * EVENT_BYTES_MAX}))
