"""Ids go into a person's file, and nothing else of it changes by a byte."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.identity import with_ids, write_ids
from penstock.config.loader import load_plant
from penstock.config.point_list import read_points
from penstock.model import ConfigError
from penstock.world import SystemDisk

ONE = UUID("01890a5d-ac96-774b-bcce-b302099a80aa")
TWO = UUID("01890a5d-ac96-774b-bcce-b302099a80bb")


def test_an_empty_cell_is_filled() -> None:
    data = b"id,asset,name,kind\n,w,a,int\n,w,b,int\n"

    expected = f"id,asset,name,kind\n,w,a,int\n{ONE},w,b,int\n".encode()
    assert expected == with_ids(data, {3: ONE})


def test_a_missing_column_comes_first() -> None:
    data = b"asset,name,kind\nw,a,int\n\nw,b,int"

    expected = f"id,asset,name,kind\n{ONE},w,a,int\n\n{TWO},w,b,int".encode()
    assert expected == with_ids(data, {2: ONE, 4: TWO})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_the_authors_way_of_writing_stays(encoding: str, separator: str, ending: str) -> None:
    text = 'asset,ID,name,kind,description\n"w ö",@,"a",int,"needless quotes"\nw,@,b,int, blank \n'
    text = text.replace(",", separator).replace("\n", ending)

    found = with_ids(text.replace("@", "").encode(encoding), {2: ONE, 3: ONE})

    assert text.replace("@", str(ONE)).encode(encoding) == found


def test_quotes_line_breaks_and_inches_in_cells_stay() -> None:
    text = (
        'asset,name,kind,description,id\nw,a,int,"two\nlines, ""x""",@1\n'
        'w,b,int,5" pipe,@2\n"",,,,\n  \nw,c,int,"","@3"\r\n'
    )
    ids = {3: UUID(int=1), 4: UUID(int=2)}

    found = with_ids(text.replace("@1", "").replace("@2", "").replace("@3", "").encode(), ids)

    expected = text.replace("@1", str(ids[3])).replace("@2", str(ids[4])).replace("@3", "")
    assert expected.encode() == found


def test_a_short_row_gets_the_cells_in_between() -> None:
    assert f"asset,name,kind,unit,id\nw,a,int,,{ONE}\n".encode() == with_ids(
        b"asset,name,kind,unit,id\nw,a,int\n", {2: ONE}
    )


def test_an_id_that_stands_there_is_never_replaced() -> None:
    """Somebody has inserted a row since the list was read: line 2 is another point now."""
    data = f"id,asset,name,kind\n{TWO},w,new,int\n,w,a,int\n".encode()

    assert data == with_ids(data, {2: ONE})


cells = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=6)


@given(st.lists(st.lists(cells, min_size=4, max_size=4), max_size=5), st.sampled_from(",;\t"))
def test_what_a_reader_sees_changes_in_the_id_cells_only(
    rows: list[list[str]], separator: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerows([["asset", "id", "name", "kind"], *rows])
    table = list(csv.reader(io.StringIO(text.getvalue()), delimiter=separator))
    ids = {line: UUID(int=line) for line in range(2, 200)}

    found = with_ids(text.getvalue().encode(), ids).decode()
    again = list(csv.reader(io.StringIO(found), delimiter=separator))

    assert len(table) == len(again)
    for before, after in zip(table[1:], again[1:], strict=True):
        is_filled = any(map(str.strip, before)) and not before[1].strip(' "')
        assert before[:1] + before[2:] == after[:1] + after[2:]
        assert is_filled == (before[1:2] != after[1:2])


def test_written_ids_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "plant" / "points" / "loose.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes("asset;name;kind\r\nÖfen;a;int\r\n".encode("cp1252"))
    place = load_plant(tmp_path).points[0].place

    files = write_ids(tmp_path, {place: ONE}, SystemDisk(), load_plant(tmp_path).digests)

    assert ["plant/points/loose.csv"] == files
    assert [ONE] == [point.id for point in read_points(path.read_bytes(), "p")[0]]
    assert f"id;asset;name;kind\r\n{ONE};Öfen;a;int\r\n".encode("cp1252") == path.read_bytes()


def test_who_could_read_the_list_still_can(tmp_path: Path) -> None:
    real = tmp_path / "shared.csv"
    real.write_text("asset,name,kind\nw,a,int\n")
    real.chmod(0o664)
    link = tmp_path / "plant" / "points" / "loose.csv"
    link.parent.mkdir(parents=True)
    link.symlink_to(real)

    write_ids(
        tmp_path, {"plant/points/loose.csv:2": ONE}, SystemDisk(), load_plant(tmp_path).digests
    )

    assert 0o664 == real.stat().st_mode & 0o777
    assert link.is_symlink()
    assert str(ONE) in real.read_text()


def test_a_list_that_was_edited_meanwhile_gets_no_ids(tmp_path: Path) -> None:
    """Line numbers of another content would give a row its neighbour's history."""
    path = tmp_path / "plant" / "points" / "loose.csv"
    path.parent.mkdir(parents=True)
    path.write_text("asset,name,kind\nw,a,int\n")
    plant = load_plant(tmp_path)
    edited = "asset,name,kind\nw,new,int\nw,a,int\n"
    path.write_text(edited)

    with pytest.raises(ConfigError, match="changed while it was applied"):
        write_ids(tmp_path, {plant.points[0].place: ONE}, SystemDisk(), plant.digests)
    assert edited == path.read_text()
