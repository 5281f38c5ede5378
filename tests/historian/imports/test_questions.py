"""What a file leaves open is asked with its choices; what it settles is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from import_kit import asked, imported, look

from penstock.model import Quality, Refused, ValueKind
from penstock.model.time import parse_ns

HEAD = "time,point,value\n"


def long(*rows: str, head: str = HEAD) -> str:
    return head + "".join(row + "\n" for row in rows)


@pytest.mark.parametrize(
    ("texts", "open_"),
    [
        (["1.500", "2.250"], True),
        (["1.500", "2.25"], False),
        (["1.500", "0.250"], False),
        (["1.500", "1234.500"], False),
        (["1500", "2"], False),
        (['"1,500"'], True),
        (['"1,500"', '"12,5"'], False),
        (['"1.204,7"', '"1,013"'], False),
        (['"12,5"', "12.5"], True),
    ],
)
def test_a_decimal_sign_is_asked_for_unless_a_cell_settles_it(
    texts: list[str], open_: bool, tmp_path: Path
) -> None:
    rows = [f"2026-01-0{n + 1}T00:00:00Z,a,{text}" for n, text in enumerate(texts)]

    assert (["decimal"] if open_ else []) == asked(tmp_path, long(*rows))


@pytest.mark.parametrize(("decimal", "value"), [("dot", 1.5), ("comma", 1500.0)])
def test_the_answer_decides_what_the_text_is(decimal: str, value: float, tmp_path: Path) -> None:
    data = long("2026-01-01T00:00:00Z,a,1.500")

    assert [value] == imported(tmp_path, data, decimal=decimal).values()


@pytest.mark.parametrize(
    ("times", "questions"),
    [
        (["03/04/2026 00:00:00", "04/04/2026 00:00:00"], ["time_format"]),
        (["03/04/2026 00:00:00", "13/04/2026 00:00:00"], ["zone"]),
        (["03/04/2026 00:00:00", "04/13/2026 00:00:00"], ["zone"]),
        (["03.04.2026 00:00:00"], ["zone"]),
        (["2026-04-03 00:00:00+02:00"], []),
        (["2026-04-03 00:00:00"], ["zone"]),
        (["5-Mar-26 06:00:00"], ["zone"]),
        (["1772690400"], []),
        (["1772690400000"], []),
        (["1772690400000000"], []),
        (["1772690400000000000"], []),
    ],
)
def test_times_are_asked_for_what_they_do_not_say(
    times: list[str], questions: list[str], tmp_path: Path
) -> None:
    assert questions == asked(tmp_path, long(*(f"{text},a,1.5" for text in times)))


def test_day_and_month_mean_what_was_answered(tmp_path: Path) -> None:
    data = long("03/04/2026 00:00:00,a,1.5")
    options = {"zone": "UTC"}

    day = imported(tmp_path, data, time_format="dmy", **options)
    month = imported(tmp_path, data, time_format="mdy", **options)

    assert parse_ns("2026-04-03T00:00:00Z") == day.rows[0][1]
    assert parse_ns("2026-03-04T00:00:00Z") == month.rows[0][1]


def test_a_number_that_is_no_likely_time_is_no_time(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="No line of the file has a time"):
        look(tmp_path, long("17,a,1.5", "18,a,1.5"))


def test_the_unit_in_the_name_of_a_column_settles_its_numbers(tmp_path: Path) -> None:
    data = long("17,a,1.5", "18,a,2.5", head="time_ns,point,value\n")

    found = imported(tmp_path, data, first_row=2, time_columns=["time_ns"])

    assert [17, 18] == [row[1] for row in found.rows]


def double_hour(*minutes: str) -> str:
    rows = [f"25.10.2026 {text};1,5" for text in minutes]
    return "Zeit;P\n" + "\n".join(rows) + "\n"


@pytest.mark.parametrize(
    ("clock", "utc"),
    [
        (
            ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"],
            "23:30 00:00 00:30 01:00 01:30 02:00",
        ),
        (
            ["03:00", "02:30", "02:00", "02:30", "02:00", "01:30"],
            "02:00 01:30 01:00 00:30 00:00 23:30",
        ),
        (["01:00", "02:00", "02:00", "03:00"], "23:00 00:00 01:00 02:00"),
    ],
)
def test_the_order_of_the_rows_tells_the_double_hour(
    clock: list[str], utc: str, tmp_path: Path
) -> None:
    found = imported(tmp_path, double_hour(*clock), zone="Europe/Berlin")
    expected = [
        parse_ns(f"2026-10-{'24' if text > '12' else '25'}T{text}:00Z") for text in utc.split()
    ]

    assert sorted(expected) == sorted(row[1] for row in found.rows)
    assert {} == found.checked.rejected


def test_a_double_hour_that_order_does_not_tell_is_asked(tmp_path: Path) -> None:
    data = double_hour("01:00", "02:00", "03:00")

    open_ = imported(tmp_path, data, zone="Europe/Berlin")
    first = imported(tmp_path, data, zone="Europe/Berlin", double_hour="first")
    second = imported(tmp_path, data, zone="Europe/Berlin", double_hour="second")

    assert ["double_hour"] == [question.id for question in open_.checked.questions]
    assert parse_ns("2026-10-25T00:00:00Z") == first.rows[1][1]
    assert parse_ns("2026-10-25T01:00:00Z") == second.rows[1][1]


def test_the_hour_that_is_skipped_is_no_time(tmp_path: Path) -> None:
    data = "Zeit;P\n29.03.2026 01:30;1,5\n29.03.2026 02:30;1,5\n29.03.2026 03:30;1,5\n"
    found = imported(tmp_path, data, zone="Europe/Berlin")

    assert [(3, "is a local time that daylight saving skips")] == found.reasons()


def test_a_zero_for_quality_is_asked_unless_another_number_settles_it(tmp_path: Path) -> None:
    head = "time,point,value,quality\n"
    zero = long("2026-01-01T00:00:00Z,a,1.5,0", head=head)
    both = long("2026-01-01T00:00:00Z,a,1.5,0", "2026-01-01T00:00:01Z,a,1.5,192", head=head)

    assert ["quality_words"] == asked(tmp_path, zero)
    assert [] == asked(tmp_path, zero, quality_words={"0": "good"})
    assert [Quality.BAD, Quality.GOOD] == [row[3] for row in imported(tmp_path, both).rows]


def test_two_delimiters_that_fit_as_well_are_asked(tmp_path: Path) -> None:
    data = "time;x,y\n" + "2026-01-01T00:00:00Z;1,5\n" * 4

    assert asked(tmp_path, data) in (["delimiter"], [])
    assert [1.5] * 4 == imported(tmp_path, data, delimiter=";").values()


def test_a_name_and_a_number_beside_the_time_may_be_two_layouts(tmp_path: Path) -> None:
    data = "when,which,what\n" + "2026-01-01T00:00:00Z,a,1.5\n2026-01-01T00:00:01Z,a,2.5\n"

    assert ["layout"] == asked(tmp_path, data)
    assert [1.5, 2.5] == imported(tmp_path, data, layout="long").values()
    wide = imported(tmp_path, data, {"which": ValueKind.TEXT}, layout="wide")
    assert ["a", "a"] == [row[2] for row in wide.rows if row[0] == "which"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_texts_are_read_in_the_encoding_of_the_file(encoding: str, tmp_path: Path) -> None:
    data = "Zeit;Kühler [°C]\n2026-01-01T00:00:00Z;12,5\n".encode(encoding)
    found = imported(tmp_path, data)

    assert [("Kühler", 12.5)] == [(row[0], row[2]) for row in found.rows]
    assert [{"name": "Kühler", "unit": "°C", "rows": 1}] == found.look.names


def test_no_file_reaches_beyond_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "secret.csv").write_text("time,point,value\n2026-01-01T00:00:00Z,a,1.5\n")
    (tmp_path / "a" / "source").write_bytes(b"")

    with pytest.raises(Refused, match="empty"):
        look(tmp_path / "a", "")
    with pytest.raises(Refused):
        look(tmp_path / "a", b"PAR1 and no more")


@pytest.mark.parametrize(
    "content",
    [
        b"PAR1 and no more",
        b"PAR1" + b"\0" * 64 + b"PAR1",
        b"PAR1" + b"\x07" * 64 + b"\x20\0\0\0PAR1",
    ],
)
def test_a_damaged_parquet_file_does_not_tell_where_it_lies(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Refused) as refused:
        look(tmp_path, content)

    assert "import_unreadable" == refused.value.code
    assert refused.value.detail
    assert str(tmp_path) not in refused.value.detail
