"""Names of downloads: two files of two points or two days never have the same one."""

from __future__ import annotations

import pytest

from penstock.historian.file_name import NAME_CHARACTERS_MAX, attachment, csv_name
from penstock.model.time import SECOND_NS, parse_ns

FROM = parse_ns("2026-11-26T11:00:00Z")
TO = parse_ns("2026-11-26T12:00:00.5Z")


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["Works/Boiler/temperature"], "Boiler-temperature_20261126T110000Z_20261126T120000Z.csv"),
        (["a/b", "a/c", "a/d"], "a-b-and-2_20261126T110000Z_20261126T120000Z.csv"),
        (["Werk/Kühler 2/Öl"], "Kühler-2-Öl_20261126T110000Z_20261126T120000Z.csv"),
    ],
)
def test_a_file_says_its_point_and_its_time(paths: list[str], expected: str) -> None:
    assert expected == csv_name(paths, FROM, TO)


def test_an_empty_span_and_a_long_path_have_names_too() -> None:
    name = csv_name(["x" * 500 + "/" + "y" * 500], FROM, FROM + SECOND_NS)

    assert name.startswith("x" * NAME_CHARACTERS_MAX + "_2026")


def test_no_path_can_break_out_of_the_header() -> None:
    header = attachment(csv_name(['a/b"; x=\r\n\\../ü'], FROM, TO))["Content-Disposition"]

    assert "\r" not in header
    assert "\n" not in header
    assert 2 == header.count('"')
    assert header.isascii()
    assert "filename*=UTF-8''" in header
