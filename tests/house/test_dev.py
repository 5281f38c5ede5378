"""./dev speaks to people: every foreseeable failure is one sentence with a remedy.

The script runs before anything is installed, so these tests run copies of it
with a plain interpreter, and never touch the folder they run in.
"""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from tree import ROOT

DEV = ROOT / "dev"
VERBS = ("setup", "up", "test", "check", "bench", "docs", "clean")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another user may enter, with what `./dev setup` reads."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        for item in ("dev", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
            shutil.copy(ROOT / item, path)
        shutil.copytree(ROOT / "requirements", path / "requirements")
        (path / "src" / "penstock").mkdir(parents=True)
        shutil.copy(ROOT / "src" / "penstock" / "__init__.py", path / "src" / "penstock")
        yield path


@pytest.fixture(scope="module")
def dev() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("penstock_dev", str(DEV))
    spec = importlib.util.spec_from_loader("penstock_dev", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


def run(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    text = [str(part) for part in command]
    return subprocess.run(text, capture_output=True, text=True, check=False, **options)


def assert_sentence(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert 0 != done.returncode
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert [] == [part for part in parts if part not in last], done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help(verb: str) -> None:
    done = run(sys.executable, DEV, verb, "--help")

    assert 0 == done.returncode
    assert f"usage: ./dev {verb}" in done.stdout


def test_an_unknown_verb_is_a_usage_error() -> None:
    assert 2 == run(sys.executable, DEV, "fly").returncode


def test_the_script_parses_on_an_old_python() -> None:
    """Otherwise the person sees a SyntaxError instead of the sentence."""
    ast.parse(DEV.read_text(encoding="utf-8"), feature_version=(3, 7))


def test_an_old_python_is_told_what_to_do() -> None:
    program = (
        "import sys; sys.version_info = (3, 9, 2, 'final', 0); "
        f"exec(compile(open({str(DEV)!r}).read(), 'dev', 'exec'))"
    )

    done = run(sys.executable, "-c", program)

    assert_sentence(done, "needs Python 3.11", "this is 3.9", "python3.12 ./dev setup")


def test_a_missing_venv_module_is_named_with_its_package(folder: Path) -> None:
    program = (
        "import importlib.util as u, runpy, sys; u.find_spec = lambda name: None; "
        "sys.argv = ['dev', 'setup']; runpy.run_path('dev', run_name='__main__')"
    )

    done = run(sys.executable, "-c", program, cwd=folder, env={"PATH": "/nonexistent"})

    assert_sentence(done, "lacks the venv module", "python3-venv", "./dev setup again")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a program as somebody else")
def test_a_folder_that_cannot_be_written_is_named(folder: Path) -> None:
    python = Path("/usr/bin/python3")
    if not python.exists():
        pytest.skip("nobody may not enter this interpreter's folder, and there is no other")

    done = run(python, folder / "dev", "setup", user=65534, group=65534, env={"PATH": "/usr/bin"})

    assert_sentence(done, str(folder), "cannot be written", "a folder that is yours")


@pytest.mark.slow
@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_failed_download_says_so(folder: Path, installer: str) -> None:
    """Nothing answers on port 9 of this machine; the same as a cut cable, only faster."""
    if installer == "uv" and shutil.which("uv") is None:
        pytest.skip("uv is not on this machine")
    nowhere = "http://127.0.0.1:9/simple"
    settings = {"UV_DEFAULT_INDEX": nowhere, "UV_HTTP_RETRIES": "0", "UV_NO_CACHE": "1"}
    settings |= {"PIP_INDEX_URL": nowhere, "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1"}
    settings |= {"PENSTOCK_NO_UV": "1"} if installer == "pip" else {}
    theirs = ("PIP_", "UV_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    env |= settings

    done = run(sys.executable, folder / "dev", "setup", env=env)

    assert_sentence(done, "download failed", "check the network", "run ./dev again")


def test_a_bench_without_a_name_that_exists_lists_what_there_is() -> None:
    done = run(sys.executable, DEV, "bench", "no-such-bench")

    assert_sentence(done, "no bench 'no-such-bench'")


@pytest.mark.parametrize("text", ["", "{}\n{}", "[]", "ready\n{}"])
def test_a_bench_that_prints_more_than_one_object_is_refused(dev: ModuleType, text: str) -> None:
    with pytest.raises(dev.Failed, match="exactly one JSON object"):
        dev._require_one_object("codec", text)


def test_a_bench_that_prints_one_object_is_accepted(dev: ModuleType) -> None:
    dev._require_one_object("codec", '{"calibration_cpu_s": 1.0}\n')
