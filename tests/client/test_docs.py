"""The how-to page and the reference page: every snippet runs, every name is told."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from product import Product

import penstock.client
from penstock.client import Client
from penstock.client.docs import PAGE, page

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "use-in-python.md"
SNIPPETS = re.findall(
    r"^```python\n(.*?)^```", HOW_TO.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)


def test_the_reference_page_is_new() -> None:
    """Mended by `./dev docs`."""
    assert page() == PAGE.read_text(encoding="utf-8")


def test_every_name_can_be_imported_and_is_told() -> None:
    assert sorted(penstock.client.__all__) == penstock.client.__all__ == dir(penstock.client)
    told = PAGE.read_text(encoding="utf-8")

    for name in penstock.client.__all__:
        assert name == getattr(penstock.client, name).__name__
        assert f"\n## {name}\n" in told
    with pytest.raises(AttributeError):
        penstock.client.__getattr__("Nobody")


def test_there_are_snippets() -> None:
    assert 10 <= len(SNIPPETS)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda text: text.strip().splitlines()[-1][:40])
def test_every_snippet_runs_against_the_product(
    snippet: str,
    plant: Client,
    product: Product,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As it stands on the page, with `plant` as the page says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENSTOCK_HOME", str(product.home))
    monkeypatch.setenv("XDG_RUNTIME_DIR", product.environment["XDG_RUNTIME_DIR"])
    given: dict[str, object] = {"plant": plant}

    exec(compile(snippet, str(HOW_TO), "exec"), given)

    assigned = [node.id for node in ast.walk(ast.parse(snippet)) if isinstance(node, ast.Name)]
    assert all(given[name] is not None for name in assigned if name in given)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_same_answer_comes_again(plant: Client, product: Product) -> None:
    first = plant.history("*/speed", "2026-01-01T00:00:00Z", "2100-01-01T00:00:00Z")
    again = plant.history(
        "*/speed", "2026-01-01T00:00:00Z", "2100-01-01T00:00:00Z", as_of=first.sequence
    )

    assert first.polars().equals(again.polars())
