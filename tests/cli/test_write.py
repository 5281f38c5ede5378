"""What `penstock write` says before it asks: never a rounding that nobody was told of."""

from __future__ import annotations

import pytest

from penstock.cli.write import _change, digits_of

POINT = {"path": "Rig/Cell/speed", "kind": "float", "decimals": 0, "unit_label": "%"}


def command(value: float, held: float) -> dict[str, object]:
    return {"old_value": 10.0, "value": value, "held": held, "checks": []}


def test_a_rounded_value_is_said_with_its_unit(capsys: pytest.CaptureFixture[str]) -> None:
    change = _change(POINT, command(33.4, 33.0))

    assert "Rig/Cell/speed: 10 % -> 33.0 %" == change
    said = "Rig/Cell/speed cannot hold 33.4 %: it will hold 33.0 %.\n"
    assert said == capsys.readouterr().err


def test_what_no_digit_shows_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    """47.3 as float32 is 47.29999923706055."""
    change = _change(POINT, command(47.3, 47.29999923706055))

    assert "Rig/Cell/speed: 10 % -> 47.3 %" == change
    assert "" == capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "digits"), [(33.4, 1), (33.0, 1), (1e-7, 7), (2e20, 0), ("9007199254740993", 0)]
)
def test_the_wanted_value_is_shown_whole(value: object, digits: int) -> None:
    assert digits == digits_of(POINT, value)
