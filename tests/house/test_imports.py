"""The import contracts hold, and each kind of violation is caught when one is planted."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tree import PACKAGE, ROOT, modules

PLANTS = {
    "upwards": ("model/planted.py", "import penstock.world\n", "Imports point down"),
    "fakes": ("config/planted.py", "import penstock.testing\n", "does not import its fakes"),
    "simulator": ("node/planted.py", "import penstock.simulator\n", "nothing imports the simul"),
    "client": ("client/planted.py", "import penstock.plugin\n", "The client imports"),
    "leaf": ("connectors/planted.py", "import penstock.world\n", "A connector imports plugin"),
    "two leaves": ("connectors/planted.py", "import penstock.connectors.other\n", "A connector"),
    "root": ("rules/planted.py", "import penstock.outputs.other\n", "Below the composition root"),
    "fastapi": ("rules/engine_planted.py", "import fastapi\n", "FastAPI appears only"),
    "library": ("rules/planted.py", "import pymodbus\n", "A protocol library appears only"),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package and its contracts in a folder of their own, complete enough to plant in."""
    ignored = shutil.ignore_patterns("__pycache__", "static", "*.so")
    shutil.copytree(PACKAGE, tmp_path / "penstock", ignore=ignored)
    shutil.copy(ROOT / ".importlinter", tmp_path)
    for name in ("simulator", "testing", "connectors", "outputs"):
        plant(tmp_path, f"{name}/other.py", "")
    return tmp_path


def plant(root: Path, name: str, text: str) -> None:
    path = root / "penstock" / name
    path.parent.mkdir(exist_ok=True)
    path.parent.joinpath("__init__.py").touch()
    path.write_text(text, encoding="utf-8")


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports_command as main; main(['--no-cache'])"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_copy_as_it_is_keeps_every_contract(copy: Path) -> None:
    done = lint(copy)

    assert 0 == done.returncode, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_violation_is_caught(copy: Path, name: str) -> None:
    path, text, contract = PLANTS[name]
    plant(copy, path, text)

    done = lint(copy)

    assert 0 != done.returncode
    broken = [line for line in done.stdout.splitlines() if " BROKEN" in line]
    assert any(contract in line for line in broken), done.stdout


def importable() -> list[str]:
    """Dotted names of the product's modules; `__main__` runs when it is imported."""
    paths = [path.relative_to(PACKAGE.parent) for path in modules() if path.stem != "__main__"]
    parts = [path.with_suffix("").parts for path in paths]
    return [".".join(each[:-1] if each[-1] == "__init__" else each) for each in parts]


@pytest.mark.parametrize("name", importable())
def test_every_module_imports_or_lacks_an_extra(name: str) -> None:
    """Collecting doctests skips what it cannot import, so that it has to be noticed here."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "penstock").startswith("penstock"):
            raise
        pytest.skip(f"{error.name} comes with an extra that is not installed")
