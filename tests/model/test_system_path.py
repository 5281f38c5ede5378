"""The node's own paths are told from those of the plant."""

from __future__ import annotations

import pytest

from penstock.model.system_path import connected_path, is_system_path, split_connected


def test_a_connected_path_is_split_into_what_it_was_made_of() -> None:
    path = connected_path("node-1", "pumps", "pump-3")

    assert "system/node-1/pumps/pump-3/connected" == path
    assert ("node-1", "pumps", "pump-3") == split_connected(path)
    assert is_system_path(path)


@pytest.mark.parametrize(
    "path",
    ["w/n/c/d/connected", "system/n/c/d/speed", "system/n/c/connected", "system/n/c/d/e/connected"],
)
def test_other_paths_name_no_device(path: str) -> None:
    assert split_connected(path) is None


@pytest.mark.parametrize(
    ("path", "expected"), [("system", True), ("system/n", True), ("systems/n", False), ("", False)]
)
def test_only_what_is_below_system_belongs_to_the_node(path: str, expected: bool) -> None:
    assert expected is is_system_path(path)
