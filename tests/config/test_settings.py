"""penstock.toml: defaults for everything, and every mistake with its dotted key."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.config.settings import load_settings
from penstock.model import ConfigError
from penstock.node.settings import Settings


def problems(home: Path, text: str) -> list[str]:
    (home / "penstock.toml").write_text(text, "utf-8")
    with pytest.raises(ConfigError) as raised:
        load_settings(home, Settings)
    return [str(problem) for problem in raised.value.problems]


def test_no_file_is_all_defaults(tmp_path: Path) -> None:
    assert Settings() == load_settings(tmp_path, Settings)
    assert "UTC" == Settings().plant.zone


def test_a_file_of_windows_is_read(tmp_path: Path) -> None:
    (tmp_path / "penstock.toml").write_bytes(
        '\ufeff[plant]\r\nname = "Werk Süd"\r\nzone = "Europe/Berlin"\r\n'.encode()
    )

    plant = load_settings(tmp_path, Settings).plant

    assert ("Werk Süd", "Europe/Berlin") == (plant.name, plant.zone)


def test_every_wrong_value_comes_with_its_key(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        '[plant]\nzone = "Europe/Lakeside"\nlanguage = "fr"\n[node]\nname = "a b"\n'
        "nome = 1\n[sever]\nx = 1\n",
    )

    assert {
        "penstock.toml: plant.zone",
        "penstock.toml: plant.language",
        "penstock.toml: node.name",
        "penstock.toml: node.nome",
        "penstock.toml: sever",
    } == {": ".join(text.split(": ")[:2]) for text in found}


@pytest.mark.parametrize("zone", ["", "Europe", "../etc/passwd", "/etc/passwd", "UTC+99", "\x00"])
def test_a_zone_that_is_none_is_one_problem(tmp_path: Path, zone: str) -> None:
    text = f'[plant]\nzone = "{zone}"\n'.replace("\x00", "\\u0000")

    assert ["no IANA time zone"] == [item.split(": ")[2][:17] for item in problems(tmp_path, text)]


@pytest.mark.parametrize("text", ["[plant", "plant = ", "a = 1\na = 2"])
def test_broken_toml_is_one_problem_with_its_line(tmp_path: Path, text: str) -> None:
    found = problems(tmp_path, text)

    assert 1 == len(found)
    assert found[0].startswith("penstock.toml: ")
    assert "line" in found[0] or "end of document" in found[0]


def test_bytes_that_are_no_text_are_one_problem(tmp_path: Path) -> None:
    (tmp_path / "penstock.toml").write_bytes(b"name = '\xff'")

    with pytest.raises(ConfigError):
        load_settings(tmp_path, Settings)
