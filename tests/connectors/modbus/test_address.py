"""Five notations of four tables: one number, counted from 0."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.connectors.modbus.address import ADDRESSES, Address, Table, parse_address

NAMES = {Table.COIL: "coil", Table.DISCRETE: "di", Table.INPUT: "input", Table.HOLDING: "HR"}

tables = st.sampled_from(list(Table))
offsets = st.integers(0, ADDRESSES - 1)


def notations(table: Table, offset: int) -> list[str]:
    """Every way in which a manual may print the place."""
    five = [f"{table:d}{offset + 1:04d}"] if offset < 9_999 else []
    name = NAMES[table]
    return [
        *five,
        f"{table:d}{offset + 1:05d}",
        f"{table:d}x{offset + 1:04d}",
        f"{name} {offset}",
        f"{name}:0x{offset:04X}",
        f"  {name}  {offset:x}h ",
    ]


@given(tables, offsets)
def test_all_notations_are_one_address(table: Table, offset: int) -> None:
    found = {parse_address(text) for text in notations(table, offset)}

    assert {Address(table, offset)} == found


@given(tables, offsets)
def test_what_is_shown_is_read_again(table: Table, offset: int) -> None:
    address = Address(table, offset)

    assert address == parse_address(address.reference)


@given(st.sampled_from([Table.INPUT, Table.HOLDING]), offsets, st.integers(0, 15))
def test_a_bit_of_a_register(table: Table, offset: int, bit: int) -> None:
    expected = Address(table, offset, bit)

    assert {expected} == {parse_address(f"{t}.{bit}") for t in notations(table, offset)}
    assert expected == parse_address(expected.reference)


@given(st.text(max_size=12))
def test_any_text_is_an_address_or_a_sentence(text: str) -> None:
    offset = 0
    with contextlib.suppress(ValueError):
        offset = parse_address(text).offset

    assert 0 <= offset < ADDRESSES


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "999", "40000", "400000", "20001", "50001", "465537", "4x0", "4x65537", "4x",
        "holding", "holding -1", "holding 65536", "holding 0x10000", "register 3", "0x00FF",
        "40001.16", "40001.", "40001.1.1", "40001.x", "00001.0", "di 5.1", "4000a", "holding 0x",
    ],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_address(text)


def test_both_numbers_are_shown() -> None:
    assert "holding 0 (40001)" == str(parse_address("4x0001"))
    assert "holding 9998 (49999)" == str(parse_address("holding 9998"))
    assert "holding 9999 (410000)" == str(parse_address("holding 9999"))
    assert "input 16.3 (30017.3)" == str(parse_address("input 0x10.3"))
    assert "coil 0 (00001)" == str(parse_address("0x0001"))
