"""Writes docs/reference/cli.md from the table of verbs: `python -m penstock.cli.docs`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.cli.verb import Parser
from penstock.cli.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.cli.verb import Verb

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"
HEAD = """# Command line

<!-- Written by `./dev docs`; do not edit. -->

`penstock VERB`, below in the order of `penstock --help`.
Without a running Penstock only `check`, `doctor`, `backup`, `restore` and `user` work.

| exit code | meaning |
|---|---|
| 0 | done; for `write`: confirmed by read-back |
| 1 | fault; for `check`: something has to be edited |
| 2 | wrong usage; for `up`: something has to be edited first |

Results go to standard output, everything else to standard error.
`--json` prints JSON for programs (`watch`: one object a line).
`--home DIR` names the folder of data and configuration;
without it `PENSTOCK_HOME` counts, else your own data folder.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(part for verb in VERBS for part in _verb(verb))]).rstrip() + "\n"


def _verb(verb: Verb) -> Iterator[str]:
    parser = Parser(prog=f"penstock {verb.name}", add_help=False)
    verb.add_arguments(parser)
    yield f"## {verb.name}\n"
    yield f"{verb.summary}\n"
    if verb.about:
        yield f"{verb.about}\n"
    yield "```\n" + "\n".join(verb.examples) + "\n```\n"
    yield from _arguments(parser)


def _arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    actions = parser._actions  # noqa: SLF001 - argparse has no public list of its arguments
    nested = [item for item in actions if isinstance(item, argparse._SubParsersAction)]  # noqa: SLF001
    lines = [
        f"| `{_name(item)}` | {item.help} |"
        for item in actions
        if item not in nested and item.dest not in {"json", "home", "help"}
    ]
    if lines:
        yield "\n".join(["| argument | meaning |", "|---|---|", *lines, ""])
    for group in nested:
        for name, child in group.choices.items():
            yield f"### {parser.prog.removeprefix('penstock ')} {name}\n"
            yield from _arguments(child)


def _name(item: argparse.Action) -> str:
    if not item.option_strings:
        return str(item.metavar)
    value = f" {item.metavar or '|'.join(map(str, item.choices or ()))}"
    words = item.option_strings[-1] + ("" if item.nargs == 0 else value.rstrip())
    return words + (" (required)" if item.required else "")


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
