"""Help, exit codes and sentences; and that help costs nothing but the standard library."""

from __future__ import annotations

import subprocess
import sys

import pytest

from penstock.cli.docs import PAGE, page
from penstock.cli.quality_words import WORDS
from penstock.cli.verbs import ROLES, VERBS
from penstock.model import Quality
from penstock.security import ROLES as KNOWN_ROLES

pytestmark = pytest.mark.slow

PROBE = """
import sys
sys.argv = ["penstock", *{arguments!r}]
from penstock.cli.main import main
try:
    main()
except SystemExit:
    pass
foreign = {{name.split(".")[0] for name in sys.modules}} - set(sys.stdlib_module_names)
ours = {{name for name in sys.modules if name.startswith("penstock.")}}
light = {{"penstock.node", "penstock.node.home", "penstock.client"}}
light |= {{"penstock.client.errors", "penstock.client.place"}}
heavy = {{name for name in ours if not name.startswith("penstock.cli")}} - light
print(sorted(foreign), sorted(heavy), file=sys.stderr)
"""
NAMES = [verb.name for verb in VERBS]


def modules_after(arguments: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}\n"
         + PROBE.format(arguments=arguments)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stderr.strip()


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in NAMES)], ids=str)
def test_help_imports_the_standard_library_only(arguments: list[str]) -> None:
    assert "['__main__', 'penstock'] []" == modules_after(arguments)


@pytest.mark.parametrize("verb", VERBS, ids=NAMES)
def test_help_begins_with_an_example(verb, run) -> None:
    done = run(verb.name, "--help")

    assert 0 == done.returncode
    assert done.stdout.startswith(f"penstock {verb.name}")


@pytest.mark.parametrize("verb", VERBS, ids=NAMES)
def test_every_verb_has_json_and_home(verb, run) -> None:
    arguments = [verb.name, "list", "--help"] if verb.name == "user" else [verb.name, "--help"]
    shown = run(*arguments).stdout

    assert "--json" in shown
    assert "--home" in shown


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["read", "--nonsense"], ["write", "x"]])
def test_wrong_usage_ends_with_2(arguments, run) -> None:
    assert 2 == run(*arguments).returncode


NEEDS_SERVER = [
    ["apply"],
    ["apply", "--plan"],
    ["read", "--all"],
    ["write", "a/b", "1", "--reason", "test", "--yes"],
    ["watch", "a/b"],
    ["setup-link"],
    ["ports"],
]


@pytest.mark.parametrize("arguments", NEEDS_SERVER, ids=" ".join)
def test_without_a_server_a_verb_says_how_to_start_it(arguments, run, tmp_path) -> None:
    done = run(*arguments, "--home", str(tmp_path))

    assert 1 == done.returncode
    assert f"Penstock does not run in {tmp_path}; start it with" in done.stderr
    assert 1 == len(done.stderr.splitlines())


def test_read_wants_a_point_or_all(run, tmp_path) -> None:
    assert 2 == run("read", "--home", str(tmp_path)).returncode


def test_roles_and_qualities_are_those_of_the_product() -> None:
    assert tuple(KNOWN_ROLES) == ROLES
    assert {int(quality): quality.name.lower() for quality in Quality} == WORDS


def test_the_reference_page_is_up_to_date() -> None:
    """`./dev docs` writes it anew."""
    assert page() == PAGE.read_text(encoding="utf-8")
