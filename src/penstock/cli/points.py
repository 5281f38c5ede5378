"""Points by path or pattern, and their values as a person reads them."""

from __future__ import annotations

import difflib
import re
from fnmatch import translate
from typing import TYPE_CHECKING

from penstock.cli.document import document, rows, text
from penstock.cli.outcome import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.cli.client import Client
    from penstock.cli.document import Document

PAGE = 10_000
NO_VALUE = "-"


def all_points(client: Client) -> list[Document]:
    """Every point, ordered by path."""
    points: list[Document] = []
    cursor = ""
    while True:
        page = client.get("/points", {"limit": str(PAGE), "cursor": cursor})
        points += rows(page["points"])
        cursor = text(page.get("cursor"))
        if not cursor:
            return points


def find_points(client: Client, patterns: Sequence[str]) -> list[Document]:
    """Points of all patterns; a pattern that finds nothing is a fault that names near ones."""
    points = all_points(client)
    found: dict[str, Document] = {}
    for pattern in patterns:
        matches = matching(points, pattern)
        if not matches:
            raise _nothing(pattern, [text(point["path"]) for point in points])
        found |= {text(point["id"]): point for point in matches}
    return sorted(found.values(), key=lambda point: text(point["path"]))


def matching(points: Sequence[Document], pattern: str) -> list[Document]:
    """The point of that very path, else all that the pattern fits; `*` also crosses `/`."""
    exact = [point for point in points if point["path"] == pattern]
    if exact:
        return exact
    fits = re.compile(translate(pattern)).match
    return [point for point in points if fits(text(point["path"]))]


def value_text(point: Document, value: object, decimals: int | None = None) -> str:
    """With label or unit: "RUN", "1.21 bar"; `decimals` instead of the point's, where given."""
    if value is None:
        return NO_VALUE
    labels = point.get("labels")
    if labels and str(value) in document(labels):
        return text(document(labels)[str(value)])
    shown = point.get("decimals") if decimals is None else decimals
    words = _number_text(value, shown) if isinstance(value, float) else str(value)
    return f"{words} {text(point['unit_label'])}".rstrip()


def _number_text(value: float, decimals: object) -> str:
    return f"{value:.{decimals}f}" if isinstance(decimals, int) else f"{value:.6g}"


def _nothing(pattern: str, paths: list[str]) -> Fault:
    near = difflib.get_close_matches(pattern, paths, 3, 0.5)
    if not near:
        return Fault(f"No point fits {pattern!r}; `penstock read --all` lists them.")
    return Fault(f"No point fits {pattern!r}. Near it are:", near)
