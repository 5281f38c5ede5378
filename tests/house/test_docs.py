"""Documentation against code: links lead somewhere, every setting is told."""

from __future__ import annotations

import re

import pytest
from tree import ROOT, modules, shown, tracked

PAGES = [path for path in tracked() if path.suffix == ".md" and "tests" not in path.parts]
KINDS = ("tutorials", "how-to", "reference", "explanation", "decisions")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]+)(?:#[^)]*)?\)")
BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
SETTING = re.compile(r"\bPENSTOCK_[A-Z0-9_]+\b")
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
