"""Points by path or pattern, and their values as a person reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.cli.document import document, text
from penstock.cli.outcome import Fault
from penstock.client import points
from penstock.client.errors import NoSuchPoint
from penstock.client.points import all_points, matching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.cli.client import Client
    from penstock.cli.document import Document

NO_VALUE = "-"

__all__ = ["all_points", "find_points", "matching", "value_text"]


def find_points(client: Client, patterns: Sequence[str]) -> list[Document]:
    """Points of all patterns; a pattern that finds nothing is a fault that names near ones."""
    try:
        return points.find_points(client, patterns)
    except NoSuchPoint as error:
        raise _nothing(error) from error


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


def _nothing(error: NoSuchPoint) -> Fault:
    if not error.near:
        return Fault(f"No point fits {error.pattern!r}; `penstock read --all` lists them.")
    return Fault(f"No point fits {error.pattern!r}. Near it are:", error.near)
