"""The plant folder as a whole: everything is read, and every problem comes at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.config import Plant
from penstock.config.loader import load_plant
from penstock.config.plant import PATH_BYTES_MAX, path_problem

ID = "01890a5d-ac96-774b-bcce-b302099a80aa"
REMEDY = "leave it empty for a new point"


def load(home: Path, files: dict[str, str]) -> Plant:
    for name, text in files.items():
        path = home / "plant" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return load_plant(home)


def problems(plant: Plant) -> list[str]:
    return [str(problem) for problem in plant.problems]


def test_no_folder_is_an_empty_plant(tmp_path: Path) -> None:
    assert Plant() == load_plant(tmp_path)


def test_assets_connectors_and_points_are_read(tmp_path: Path) -> None:
    plant = load(
        tmp_path,
        {
            "assets.toml": '[[assets]]\npath = "w/pump"\nlevel = "work_unit"\ntype = "pump"\n',
            "connectors/plc.toml": 'plugin = "modbus"\nhost = "10.0.0.1"\nsimulated = true\n',
            "connectors/plc.csv": "asset,name,kind,address\nw/pump,speed,float,40001\n",
            "points/loose.csv": "asset,name,kind\nw,note,text\n",
        },
    )

    assert [] == problems(plant)
    assert ["w/pump"] == [asset.path for asset in plant.assets]
    assert {"host": "10.0.0.1"} == plant.connectors[0].settings
    assert ("plc", "modbus", True) == (
        plant.connectors[0].name,
        plant.connectors[0].plugin,
        plant.connectors[0].simulated,
    )
    assert ["w/pump/speed", "w/note"] == [point.path for point in plant.all_points()]
    assert 4 == len(plant.digests)


def test_all_problems_of_all_files_come_together(tmp_path: Path) -> None:
    plant = load(
        tmp_path,
        {
            "assets.toml": '[[assets]]\npath="w"\nlevel="floor"\n[[assets]]\npat="x"\n[odd]\n',
            "connectors/a.toml": "plugin = \n",
            "connectors/b.toml": "host = 1\n",
            "points/p.csv": "asset,name,kind\nw,p,bool\n",
        },
    )

    expected = [
        "plant/assets.toml: odd: unknown key; the file holds [[assets]] tables",
        "plant/assets.toml: assets[1]: level 'floor' is none of",
        "plant/assets.toml: assets[2]: path: Field required",
        "plant/assets.toml: assets[2]: pat: Extra inputs",
        "plant/connectors/a.toml: Invalid value",
        "plant/connectors/b.toml: plugin: Field required",
        "plant/points/p.csv:2: kind 'bool' is not",
    ]
    found = problems(plant)
    assert len(expected) == len(found)
    assert expected == [text[: len(begin)] for begin, text in zip(expected, found, strict=True)]


def test_assets_that_are_no_list_are_named(tmp_path: Path) -> None:
    assert ["plant/assets.toml: assets is not a list of [[assets]] tables"] == problems(
        load(tmp_path, {"assets.toml": "assets = 3\n"})
    )


def test_a_file_that_is_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "plant" / "points" / "p.csv").mkdir(parents=True)

    assert problems(load_plant(tmp_path))[0].startswith("plant/points/p.csv: cannot be read")


def test_two_points_never_share_a_path_or_an_id(tmp_path: Path) -> None:
    plant = load(
        tmp_path,
        {
            "points/a.csv": f"id,asset,name,kind\n{ID},w,p,int\n,w,q,int\n",
            "points/b.csv": f"id,asset,name,kind\n,w,p,int\n{ID},w,r,int\n,w,s,int\n",
        },
    )

    assert [
        "plant/points/b.csv:2: 'w/p' stands also at plant/points/a.csv:2",
        f"plant/points/b.csv:3: id {ID} stands also at plant/points/a.csv:2; {REMEDY}",
    ] == problems(plant)


def test_a_path_is_an_asset_or_a_point(tmp_path: Path) -> None:
    plant = load(
        tmp_path,
        {
            "assets.toml": "".join(f'[[assets]]\npath = "{path}"\n' for path in ("w/p", "w", "w")),
            "points/a.csv": "asset,name,kind\nw,p,int\nw/p/deep,q,int\n",
        },
    )

    assert [
        "plant/points/a.csv:3: asset 'w/p' is also a point (plant/points/a.csv:2)",
        "plant/assets.toml: assets[1]: 'w/p' is also a point (plant/points/a.csv:2)",
        "plant/assets.toml: assets[3]: 'w' stands also at plant/assets.toml: assets[2]",
    ] == problems(plant)


def test_the_nodes_own_points_cannot_be_claimed(tmp_path: Path) -> None:
    text = "asset,name,kind\nsystem/node/plc/dev,connected,int\nsystematic,p,int\n"

    found = problems(load(tmp_path, {"points/a.csv": text}))

    assert 1 == len(found)
    assert "belong to the node" in found[0]


def test_a_point_list_beside_no_connector_is_said(tmp_path: Path) -> None:
    plant = load(tmp_path, {"connectors/pumps.csv": "asset,name,kind\nw,p,int\n"})

    assert [
        "plant/connectors/pumps.csv: is not read: there is no pumps.toml beside it"
    ] == problems(plant)
    assert plant.problems[0].is_warning


@pytest.mark.parametrize("path", ["w", "Werk 1/Öfen/T-101", "a/b.c/...", "x" * PATH_BYTES_MAX])
def test_paths_that_may_be(path: str) -> None:
    assert path_problem(path) is None


@pytest.mark.parametrize(
    "path",
    ["", "/", "a/", "/a", "a//b", "a/./b", "..", " a", "a /b", "a\tb", "a\x7fb", "a\x85b", "a\0"],
)
def test_paths_that_may_not_be(path: str) -> None:
    assert path_problem(path) is not None


def test_a_path_is_counted_in_bytes() -> None:
    assert path_problem("ö" * (PATH_BYTES_MAX // 2)) is None
    assert path_problem("ö" * (PATH_BYTES_MAX // 2 + 1)) is not None


def test_a_set_point_without_any_range_is_warned_of(tmp_path: Path) -> None:
    """3000 °C went to a boiler that ends at 120 °C: its row had no command range."""
    rows = "asset,name,kind,writable,low,high\nw,p,float,x,,\nw,q,float,x,0,9\nw,r,text,x,,\n"
    plant = load(
        tmp_path,
        {"connectors/a.toml": 'plugin = "modbus"\nhost = "h"\n', "connectors/a.csv": rows},
    )

    (warning,) = plant.problems

    assert warning.is_warning
    assert "plant/connectors/a.csv:2" == warning.place
