"""Point lists as people really save them, and every wrong cell named with its row."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.point_list import ROWS_MAX, decode_table, read_points
from penstock.model import ValueKind

HEADER = "id,asset,name,kind,unit,low,high,description,address\n"
ID = "01890a5d-ac96-774b-bcce-b302099a80aa"


def messages(text: str, encoding: str = "utf-8") -> list[str]:
    return [str(problem) for problem in read_points(text.encode(encoding), "p.csv")[1]]


def cell_problems(**cells: str) -> list[str]:
    """Problems of one row that is right but for these cells."""
    row = {"asset": "plant", "name": "p", "kind": "float"} | cells
    return messages(f"{';'.join(row)}\n{';'.join(row.values())}\n")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_separator_line_end_and_encoding_are_found(
    separator: str, ending: str, encoding: str
) -> None:
    text = "asset,name,kind\nWerk/Öfen,Füllstand,float\n"
    data = text.replace(",", separator).replace("\n", ending).encode(encoding)

    points, problems = read_points(data, "p.csv")

    assert [] == problems
    assert ["Werk/Öfen/Füllstand"] == [point.path for point in points]
    assert "p.csv:2" == points[0].place


def test_a_german_excel_writes_decimal_commas() -> None:
    text = "asset;name;kind;low;high;scale\nw;p;float;-0,5;1,25;0,1\n"

    point = read_points(text.encode("cp1252"), "p.csv")[0][0]

    assert (-0.5, 1.25) == (point.low, point.high)
    assert {"scale": "0.1"} == point.columns


def test_a_comma_separated_list_has_no_decimal_comma() -> None:
    assert ["p.csv:2: low '1,5' is not a number"] == messages(
        'asset,name,kind,low\nw,p,float,"1,5"\n'
    )


def test_names_are_stored_composed() -> None:
    """Two ways to type an umlaut must not be two points."""
    points, _ = read_points("asset,name,kind\nw,Fu\u0308llstand,float\n".encode(), "p.csv")

    assert "w/Füllstand" == points[0].path


def test_the_connectors_columns_stay_text() -> None:
    text = HEADER + f"{ID},w,p,INT,bar,0,10,Pressure,4x0001\n"

    point = read_points(text.encode(), "p.csv")[0][0]

    assert UUID(ID) == point.id
    assert ValueKind.INT is point.kind
    assert ("bar", 0.0, 10.0, "Pressure") == (point.unit, point.low, point.high, point.description)
    assert {"address": "4x0001"} == point.columns


def test_labels_are_numbers_with_texts() -> None:
    text = "asset,name,kind,labels\nw,p,int,0=STOP;1=RUN; -1 = FAULT\n"

    assert {0: "STOP", 1: "RUN", -1: "FAULT"} == read_points(text.encode(), "p")[0][0].labels


def test_blank_lines_are_passed_by_and_counted() -> None:
    text = "\nasset,name,kind\n\nw,a,float\n,,\n   \nw,b,float\n"

    points, problems = read_points(text.encode(), "p.csv")

    assert [] == problems
    assert ["p.csv:4", "p.csv:7"] == [point.place for point in points]


@pytest.mark.parametrize(
    ("cell", "value", "message"),
    [
        ("kind", "double", "kind 'double' is not float, int, text or waveform"),
        ("name", "a/b", "name 'a/b' has a slash; it belongs into asset"),
        ("name", "", "asset or name is empty"),
        ("asset", "a//b", "'a//b/p' has an empty part"),
        ("low", "high", "low 'high' is not a number"),
        ("low", "1_000", "low '1_000' is not a finite number"),
        ("high", "inf", "high 'inf' is not a finite number"),
        ("decimals", "10", "decimals '10' is not 0 to 9"),
        ("decimals", "²", "decimals '²' is not 0 to 9"),
        ("writable", "maybe", "writable 'maybe' is not true or false"),
        ("id", "17", "id '17' is not a UUID"),
        ("labels", "RUN", "labels 'RUN' is not of the form"),
        ("labels", "--1=RUN", "labels '--1=RUN' is not of the form"),
        ("labels", "²=RUN", "labels '²=RUN' is not of the form"),
    ],
)
def test_a_wrong_cell_is_named_with_its_row(cell: str, value: str, message: str) -> None:
    found = cell_problems(**{cell: value})

    assert 1 == len(found)
    assert found[0].startswith(f"p.csv:2: {message}")


@pytest.mark.parametrize(
    ("low", "high"),
    [("low", "high"), ("normal_low", "normal_high"), ("command_low", "command_high")],
)
def test_a_range_has_a_lower_and_an_upper_end(low: str, high: str) -> None:
    assert [f"p.csv:2: {low} 5.0 is not below {high} 5.0"] == cell_problems(**{low: "5", high: "5"})


def test_a_waveform_is_a_kind_that_nobody_can_write() -> None:
    text = HEADER + f"{ID},w,p,waveform,m/s2,,,Axis x,\n"

    assert ValueKind.WAVEFORM is read_points(text.encode(), "p.csv")[0][0].kind
    assert ["p.csv:2: a waveform cannot be written; leave writable empty"] == cell_problems(
        kind="waveform", writable="true"
    )


def test_no_wrong_cell_hides_another() -> None:
    found = cell_problems(kind="double", low="x", id="y", decimals="z")

    assert 4 == len(found)


def test_no_wrong_row_hides_another() -> None:
    text = "asset,name,kind\nw,a,x\nw,b,float\nw,c,y\n"

    points, problems = read_points(text.encode(), "p.csv")

    assert ["w/b"] == [point.path for point in points]
    assert ["p.csv:2", "p.csv:4"] == [problem.place for problem in problems]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "p.csv: the file has no header row"),
        ("\n \n", "p.csv: the file has no header row"),
        ("asset,name\nw,p\n", "p.csv:1: no column kind"),
        ("\n\nasset,name\nw,p\n", "p.csv:3: no column kind"),
        ("asset,name,kind,Unit,unit\nw,p,int,,\n", "p.csv:1: column unit stands twice"),
        ("asset,name,kind\nw,p,int,extra\n", "p.csv:2: 4 cells under 3 headings"),
        ('asset,name,kind\nw,"p"x,int\n', "p.csv:2: not a CSV"),
        ('asset,name,kind\nw,"p,int\n', "p.csv:2: not a CSV"),
    ],
)
def test_a_list_of_the_wrong_form_is_named(text: str, message: str) -> None:
    assert messages(text)[0].startswith(message)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_unicode_text_of_excel_is_named_as_such(encoding: str) -> None:
    data = "\ufeff".encode("utf-16-le") if encoding == "utf-16-le" else b""
    data += "asset\tname\tkind\nw\tp\tint\n".encode(encoding)

    table, problems = decode_table(data, "p.csv")

    assert table is None
    assert "is neither UTF-8 nor Windows-1252" in problems[0].message


def test_bytes_of_no_encoding_are_refused_not_replaced() -> None:
    """A name with a replacement character would be another point after the file is mended."""
    assert "is neither UTF-8 nor Windows-1252" in str(
        read_points(b"asset,name,kind\nw,\x81,int\n", "p.csv")[1][0]
    )


@pytest.mark.slow
def test_the_limit_counts_points_not_the_header() -> None:
    most = "asset,name,kind\n" + "w,p,int\n" * ROWS_MAX

    assert [] == decode_table(most.encode(), "p")[1]
    assert (
        f"more than {ROWS_MAX} rows" == decode_table(f"{most}w,p,int\n".encode(), "p")[1][0].message
    )


@given(st.binary(max_size=200))
def test_no_bytes_are_an_exception(data: bytes) -> None:
    read_points(data, "p.csv")


@given(st.lists(st.text(max_size=8), min_size=15, max_size=15))
def test_no_cells_are_an_exception(cells: list[str]) -> None:
    names = "id asset name kind low high labels decimals writable unit label address type scale x"
    row = ";".join('"' + cell.replace('"', '""') + '"' for cell in cells)

    read_points(f"{names.replace(' ', ';')}\n{row}\n".encode("utf-8", "ignore"), "p.csv")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ("low,high,command_low,command_high;0,120,40,90", (40.0, 90.0)),
        ("low,high,command_low,command_high;0,120,,90", (0.0, 90.0)),
        ("low,high;0,120", (0.0, 120.0)),
        ("labels;0=STOP|1=RUN", (0.0, 1.0)),
        ("low;0", (0.0, None)),
    ],
)
def test_a_set_point_without_a_range_of_its_own_keeps_to_what_can_be_measured(
    cells: str, expected: tuple[float | None, float | None]
) -> None:
    names, values = cells.split(";")
    text = f"asset,name,kind,writable,{names}\nw,p,int,yes,{values}\nw,q,int,no,{values}\n"

    writable, read_only = read_points(text.encode(), "p.csv")[0]

    assert expected == (writable.command_low, writable.command_high)
    assert (None, None) == (read_only.command_low, read_only.command_high)
