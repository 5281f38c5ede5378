"""Wheel and sdist carry the web app and install where there is neither Node nor a compiler.

Minutes long, because the packages are built and installed for real.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from tree import ROOT, tracked

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone would hold: only files that are or would be committed."""
    folder = tmp_path_factory.mktemp("clone")
    for path in tracked():
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folder


KERNEL = '''"""A kernel that exists only in this test."""

import cython


def add(left: cython.int, right: cython.int) -> cython.int:
    """Sum."""
    return left + right
'''


@pytest.fixture(scope="module")
def packages(clone: Path) -> Path:
    """Wheel and sdist of the clone, with one more kernel in it."""
    (clone / "src" / "penstock" / "model" / "planted_kernel.py").write_text(KERNEL, "utf-8")
    call(sys.executable, "-m", "hatchling", "build", "-d", "packages", cwd=clone)
    return clone / "packages"


def call(*command: object, **options: object) -> str:
    text = [str(part) for part in command]
    done = subprocess.run(
        text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options
    )
    assert 0 == done.returncode, done.stdout
    return done.stdout


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def test_the_wheel_carries_the_web_app_and_its_licences(packages: Path) -> None:
    names = zipfile.ZipFile(only(packages, "*.whl")).namelist()

    for name in ("index.html", "THIRD_PARTY.txt", ".stamp"):
        assert f"penstock/server/static/{name}" in names
    assert "penstock/py.typed" in names
    assert [] == [name for name in names if "node_modules" in name or name.endswith(".c")]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed: apt-get install gcc")
def test_only_the_wheel_carries_compiled_kernels(packages: Path) -> None:
    def compiled(names: list[str]) -> list[str]:
        return [name for name in names if name.endswith(".so") or "kernels.json" in name]

    wheel = zipfile.ZipFile(only(packages, "*.whl")).namelist()
    with tarfile.open(only(packages, "*.tar.gz")) as archive:
        sdist = archive.getnames()

    assert [] != [name for name in compiled(wheel) if "planted_kernel" in name]
    assert "penstock/kernels.json" in wheel
    assert [] == compiled(sdist)


def test_the_sdist_needs_no_node(packages: Path, tmp_path: Path) -> None:
    """Its stamp fits its sources, so the hook does not ask for Node."""
    with tarfile.open(only(packages, "*.tar.gz")) as archive:
        archive.extractall(tmp_path, filter="data")
    root = only(tmp_path, "penstock-*")
    spec = importlib.util.spec_from_file_location("hook", root / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)

    stamp = (root / "src" / "penstock" / "server" / "static" / ".stamp").read_text("utf-8")

    assert stamp == hook.web_hash(root / "web")
    assert not (root / "web" / "node_modules").exists()
    assert only(packages, "*.tar.gz").stat().st_size < 8_000_000


def test_the_wheel_runs_without_compiler_and_node(packages: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    env["PATH"] = "/nonexistent"
    install = [python, "-m", "pip", "install", "-q", "--only-binary", ":all:"]

    lock = ROOT / "requirements" / "default.txt"
    call(*install, "--require-hashes", "-r", lock, env=env, cwd=tmp_path)
    call(*install, "--no-deps", only(packages, "*.whl"), env=env, cwd=tmp_path)
    shown = call(python, "-m", "pip", "check", env=env, cwd=tmp_path)
    assert "No broken requirements" in shown
    said = call(tmp_path / "venv" / "bin" / "penstock", "--help", env=env, cwd=tmp_path)

    assert "up" in said
