"""What verbs print: JSON for programs, aligned columns for people."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MINUTE_S = 60
HOUR_S = 3_600
DAY_S = 86_400


def say_json(value: object) -> None:
    """One JSON document on standard output."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    print(flush=True)


def say_error(line: str) -> None:
    """One line on standard error."""
    print(line, file=sys.stderr, flush=True)


def say_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Columns under a header, each as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    for line in (header, *lines):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def age_text(age_s: float | None) -> str:
    """How long ago, in the largest unit that tells enough: "0.4 s", "3 min", "2 d"."""
    if age_s is None:
        return "-"
    if age_s < MINUTE_S:
        return f"{age_s:.1f} s"
    if age_s < HOUR_S:
        return f"{age_s / MINUTE_S:.0f} min"
    return f"{age_s / HOUR_S:.0f} h" if age_s < DAY_S else f"{age_s / DAY_S:.0f} d"


def ask(question: str) -> bool:
    """Yes or no at the terminal; the end of the input is a no."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().casefold() in {"y", "yes"}
