"""`penstock apply`: the plant folder becomes what runs; `--plan` shows it first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.cli.client import Client
from penstock.cli.document import items, rows, text, whole
from penstock.cli.outcome import EXIT_OK
from penstock.cli.output import say_json

if TYPE_CHECKING:
    import argparse

    from penstock.cli.document import Document

NAMED_MAX = 50


def run(options: argparse.Namespace) -> int:
    """A folder that is wrong is refused whole, with every problem."""
    client = Client(options.home)
    answer = client.get("/apply") if options.plan else client.post("/apply")
    if options.json:
        say_json(answer)
        return EXIT_OK
    for line in changes(answer):
        print(line)
    for name in items(answer["files"]):
        print(f"Wrote ids into {text(name)}.")
    for warning in rows(answer["warnings"]):
        print(f"warning  {text(warning['place'])}: {text(warning['message'])}")
    print(summary(answer, is_plan=options.plan))
    return EXIT_OK


def changes(answer: Document) -> list[str]:
    """One line a point or rule that changes: + added, ~ changed or renamed, - removed."""
    renamed = [[text(path) for path in items(pair)] for pair in items(answer["renamed"])]
    new_paths = {new for _old, new in renamed}
    changed = [text(path) for path in items(answer["changed"])]
    return [
        *_marked("+", [text(path) for path in items(answer["added"])]),
        *_marked("~", [path for path in changed if path not in new_paths]),
        *_marked("~", [f"{old} -> {new}" for old, new in renamed]),
        *_marked("-", [text(path) for path in items(answer["removed"])]),
        *_marked("+ rule", [text(rule) for rule in items(answer["rules_added"])]),
        *_marked("~ rule", [text(rule) for rule in items(answer["rules_changed"])]),
        *_marked("- rule", [text(rule) for rule in items(answer["rules_removed"])]),
    ]


def summary(answer: Document, *, is_plan: bool) -> str:
    """The last line: counts, and whether anything was done."""
    points = f"{whole(answer['points'])} points"
    rules = f"{whole(answer['rules'])} rules"
    parts = [_counted(answer, "", "points"), _counted(answer, "rules_", "rules")]
    words = "; ".join(filter(None, parts))
    if not words:
        return f"Nothing to change: {points} and {rules} run as the files say."
    if is_plan:
        return f"Would apply: {words}. Nothing was changed; `penstock apply` does it."
    return f"Applied: {words}. Now {points} and {rules} run."


def _counted(answer: Document, prefix: str, noun: str) -> str:
    """Such as `points: 3 added, 1 removed`, or nothing."""
    kinds = ("added", "changed", "renamed", "removed")
    counts = {kind: len(items(answer.get(prefix + kind) or [])) for kind in kinds}
    words = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    return f"{noun}: {words}" if words else ""


def _marked(mark: str, paths: list[str]) -> list[str]:
    lines = [f"{mark} {path}" for path in paths[:NAMED_MAX]]
    rest = len(paths) - NAMED_MAX
    return [*lines, f"{mark} ... and {rest} more (--json names all)"] if rest > 0 else lines
