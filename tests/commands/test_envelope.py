"""The signed envelope and what the field process makes of it."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from penstock.commands.command import EventKind, Value
from penstock.commands.envelope import Envelope, seal, verify
from penstock.commands.field_side import USED_IDS_KEEP_NS, USED_IDS_MAX, UsedIds, decide
from penstock.model import Point, ValueKind
from penstock.plugin import WriteRequest

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
ENVELOPE = Envelope(
    id=str(UUID(int=5)), point=str(UUID(int=1)), kind=ValueKind.FLOAT, value=42.5, held=42.5,
    tolerance=0.25,
    author="user:olga", reason="more water", node="node", sequence=9, expires_ns=100,
)  # fmt: skip
POINT = Point(
    UUID(int=1), 1, "plant/p", "plant", "p", ValueKind.FLOAT,
    writable=True, command_low=0.0, command_high=50.0,
)  # fmt: skip
POINTS = {POINT.id: POINT}


def test_it_comes_out_as_it_went_in() -> None:
    assert ENVELOPE == verify(seal(ENVELOPE, KEY), PUBLIC, 50, ()).envelope


@given(
    st.one_of(
        st.tuples(st.just(ValueKind.INT), st.integers(-(2**63), 2**63 - 1)),
        st.tuples(st.just(ValueKind.FLOAT), st.floats(allow_nan=False, allow_infinity=False)),
        st.tuples(st.just(ValueKind.TEXT), st.text(max_size=20)),
    )
)
def test_every_value_survives(kind_and_value: tuple[ValueKind, Value]) -> None:
    kind, value = kind_and_value
    if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        return

    envelope = replace(ENVELOPE, kind=kind, value=value, held=value)
    found = verify(seal(envelope, KEY), PUBLIC, 50, ()).envelope

    assert found is not None
    assert (type(value), repr(value)) == (type(found.value), repr(found.value))
    assert (type(value), repr(value)) == (type(found.held), repr(found.held))


@given(st.integers(0, len(seal(ENVELOPE, KEY)) - 1), st.integers(1, 255))
def test_no_flipped_bit_is_a_command(index: int, change: int) -> None:
    data = bytearray(seal(ENVELOPE, KEY))
    data[index] ^= change

    assert verify(bytes(data), PUBLIC, 50, ()).envelope is None


def test_why_not() -> None:
    data = seal(ENVELOPE, KEY)
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()

    assert "signature" == verify(data, other, 50, ()).problem
    assert "expired" == verify(data, PUBLIC, 100, ()).problem
    assert "used" == verify(data, PUBLIC, 50, {ENVELOPE.id}).problem
    assert "form" == verify(data[:64], PUBLIC, 50, ()).problem


def test_a_plain_signature_of_the_same_key_is_no_command() -> None:
    body = seal(ENVELOPE, KEY)[64:]

    assert "signature" == verify(KEY.sign(body) + body, PUBLIC, 50, ()).problem


def test_the_field_writes_once() -> None:
    used, data = UsedIds(), seal(ENVELOPE, KEY)

    first = decide(data, PUBLIC, 50, used, POINTS)
    second = decide(data, PUBLIC, 50, used, POINTS)

    assert WriteRequest(1, 42.5) == first.request
    assert (None, EventKind.NOT_SENT) == (second.request, second.answer)
    assert ENVELOPE.id == second.command


@pytest.mark.parametrize(
    ("point", "detail"),
    [
        (replace(POINT, writable=False), "not writable"),
        (replace(POINT, command_high=42.0), "out of range"),
        (replace(POINT, command_low=43.0), "out of range"),
        (replace(POINT, kind=ValueKind.INT), "wrong kind"),
        (replace(POINT, id=UUID(int=2)), "unknown point"),
    ],
)
def test_a_signed_but_violating_envelope_stops_at_the_field(point: Point, detail: str) -> None:
    used = UsedIds()

    decision = decide(seal(ENVELOPE, KEY), PUBLIC, 50, used, {point.id: point})

    assert (None, detail) == (decision.request, decision.detail)
    assert {} == used.until_ns


def test_used_ids_are_bounded_and_never_forgotten_early() -> None:
    used = UsedIds({str(number): 1_000 for number in range(USED_IDS_MAX)})

    assert not used.add(ENVELOPE, 999)
    assert used.add(ENVELOPE, 1_000)
    assert {ENVELOPE.id: 1_000 + USED_IDS_KEEP_NS} == used.until_ns
