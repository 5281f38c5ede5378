"""Locks: every package has a hash, none names a registry, and they say what pyproject asks for."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
from tree import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==")


@pytest.mark.parametrize("path", [*LOCKS, ROOT / "web" / "package-lock.json"], ids=lambda p: p.name)
def test_a_lock_holds_no_address(path) -> None:
    assert "://" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", LOCKS, ids=lambda p: p.name)
def test_every_package_of_a_lock_has_a_hash(path) -> None:
    entries = re.split(r"\n(?=\S)", path.read_text(encoding="utf-8").strip())

    assert [] == [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry]


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {re.split(r"[\s>=<;\[]", line)[0] for line in project["dependencies"]}

    assert set() == wanted - locked("default.txt")


def test_the_test_lock_contains_the_default_lock() -> None:
    assert locked("default.txt") <= locked("test.txt")


def test_every_web_package_has_a_hash() -> None:
    lock = json.loads((ROOT / "web" / "package-lock.json").read_text(encoding="utf-8"))
    rows = {name: row for name, row in lock["packages"].items() if name and not row.get("link")}

    assert [] == [name for name, row in rows.items() if "integrity" not in row]


def locked(name: str) -> set[str]:
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    return {match.group(1) for match in map(PINNED.match, lines) if match}
