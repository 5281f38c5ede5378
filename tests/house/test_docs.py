"""Documentation against code: links lead somewhere, every setting is told."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tree import ROOT, modules, shown, tracked

from penstock.cli import docs as command_line
from penstock.cli.verbs import build_parser
from penstock.config import loader
from penstock.config.point_list import HOST_COLUMNS
from penstock.node import docs as generated
from penstock.node.openapi import document
from penstock.node.plugins import connector_names
from penstock.security.permissions import PERMISSIONS

PAGES = [path for path in tracked() if path.suffix == ".md" and "tests" not in path.parts]
KINDS = ("tutorials", "how-to", "reference", "explanation", "decisions")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]+)(?:#[^)]*)?\)")
BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
SETTING = re.compile(r"\bPENSTOCK_[A-Z0-9_]+\b")
REFERENCE = ROOT / "docs" / "reference"
WITH_BLOCKS = [page for page in sorted(REFERENCE.glob("*.md")) if "<!-- from" in page.read_text()]
API_TYPES = ROOT / "web" / "src" / "lib" / "openapi.d.ts"
TYPES_PROGRAM = ROOT / "web" / "node_modules" / "openapi-typescript" / "bin" / "cli.js"
LITERAL = re.compile(r"^```(?:\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CHANGE_KINDS = {"feature", "fix", "breaking", "security"}


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_a_page_has_one_title_and_living_links(page) -> None:
    text = re.sub(
        r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    targets = [target for target in LINK.findall(text) if "://" not in target]
    is_note = page.parent.name == "changes" and page.name != "README.md"

    assert (0 if is_note else 1) == len(re.findall(r"^# ", text, re.MULTILINE))
    assert [] == [target for target in targets if not (page.parent / target).exists()]


def test_every_page_is_of_one_kind() -> None:
    folders = {p.relative_to(ROOT / "docs").parts[0] for p in PAGES if ROOT / "docs" in p.parents}

    assert folders <= {*KINDS, "README.md"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_page_is_listed_where_a_reader_looks(kind: str) -> None:
    listed = set(LINK.findall((ROOT / "docs" / kind / "README.md").read_text(encoding="utf-8")))
    there = {page.name for page in PAGES if page.parent == ROOT / "docs" / kind} - {"README.md"}

    assert set() == there - listed


def test_every_environment_variable_is_documented() -> None:
    """Except what ends in _FD: one process hands it to another, never a person."""
    sources = [*modules(), ROOT / "dev", ROOT / "hatch_build.py", ROOT / "web" / "vite.config.ts"]
    used = {name for path in sources for name in SETTING.findall(path.read_text("utf-8"))}
    told = {name for page in PAGES for name in SETTING.findall(page.read_text("utf-8"))}

    assert [] == [name for name in sorted(used - told) if not name.endswith("_FD")]


def test_every_verb_of_dev_is_in_the_readme() -> None:
    verbs = re.findall(r'^    "(\w+)": \(\w+, ', (ROOT / "dev").read_text("utf-8"), re.MULTILINE)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert 7 <= len(verbs)
    assert [] == [verb for verb in verbs if f"`./dev {verb}" not in readme]


def test_a_change_note_says_its_kind() -> None:
    names = [p.name for p in PAGES if p.parent == ROOT / "changes" and p.name != "README.md"]

    assert [] == [name for name in names if name.split(".")[1] not in CHANGE_KINDS]


def test_a_decision_has_a_number_of_its_own() -> None:
    pages = [page for page in PAGES if page.parent.name == "decisions" and page.name != "README.md"]
    numbers = [page.name.split("-")[0] for page in pages]

    assert len(numbers) == len(set(numbers))
    assert [] == [p.name for p in pages if not p.read_text("utf-8").startswith(f"# {p.name[:4]}")]


# --- reference against code


def told(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=shown)
def test_what_follows_from_the_code_is_new(page: Path) -> None:
    """Settings, rules, error codes, routes, roles, qualities, units; mended by `./dev docs`."""
    text = page.read_text(encoding="utf-8")

    assert generated.filled(text) == text


def test_every_block_is_on_a_page() -> None:
    used = {
        name
        for page in WITH_BLOCKS
        for name in re.findall("from the code: (\\w+)", told(page.name))
    }

    assert set(generated.BLOCKS) == used


def test_every_verb_is_told() -> None:
    assert command_line.page() == told("cli.md")


def test_every_key_and_column_of_the_plant_folder_is_told() -> None:
    page = told("plant-files.md")
    rows = "\n".join(line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `"))
    keys = {*loader.AssetTable.model_fields, *loader.ConnectorTable.model_fields, *HOST_COLUMNS}

    assert [] == [key for key in sorted(keys) if f"`{key}`" not in rows]


def test_every_permission_is_told() -> None:
    page = told("roles.md")

    assert [] == [name for name in PERMISSIONS if f"\n| `{name}` | " not in page]


def test_every_connector_has_a_page() -> None:
    assert [] == [
        n for n in connector_names() if not (REFERENCE / "connectors" / f"{n}.md").is_file()
    ]


def test_every_environment_variable_is_in_the_table() -> None:
    table = told("environment.md")
    used = {name for path in modules() for name in SETTING.findall(path.read_text("utf-8"))}

    assert [] == [n for n in sorted(used) if not n.endswith("_FD") and f"`{n}`" not in table]


def test_every_format_is_listed() -> None:
    folder = REFERENCE / "formats"
    listed = set(LINK.findall((folder / "README.md").read_text(encoding="utf-8")))

    assert {page.name for page in folder.glob("*.md")} - {"README.md"} == listed


def test_every_command_in_the_documentation_is_one() -> None:
    """A verb or an argument that was renamed would mislead a reader who copies the line."""
    parser = build_parser()
    wrong = []
    for page in PAGES:
        for block in LITERAL.findall(page.read_text(encoding="utf-8")):
            for line in re.findall(r"^(?:\S*/)?penstock (?!-)(.*)$", block, re.MULTILINE):
                words = re.split(r" [<|#>] ", line)[0]
                try:
                    parser.parse_args(shlex.split(words))
                except SystemExit:
                    wrong.append(f"{shown(page)}: penstock {line}")

    assert [] == wrong


@pytest.mark.slow
def test_the_api_types_of_the_web_app_are_new(tmp_path: Path) -> None:
    """Mended by `./dev docs`."""
    if not TYPES_PROGRAM.is_file():
        pytest.skip("the web app's packages are not installed: ./dev check installs them")
    contract, made = tmp_path / "openapi.json", tmp_path / "openapi.d.ts"
    contract.write_text(json.dumps(document(), ensure_ascii=False), "utf-8")
    node = Path(sys.prefix) / "bin" / "node"
    command = [node, TYPES_PROGRAM, contract, "-o", made]
    subprocess.run(command, check=True, capture_output=True)

    assert made.read_text("utf-8") == API_TYPES.read_text("utf-8")
