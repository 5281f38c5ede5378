"""`penstock check`: all problems of all files at once; works beside a running server too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.cli.outcome import EXIT_FAULT, EXIT_OK, Fault
from penstock.cli.output import say_error, say_json

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from penstock.model import ConfigProblem
    from penstock.node.home import Home


def run(options: argparse.Namespace) -> int:
    """0 when nothing has to be edited; warnings alone are no fault."""
    home: Home = options.home
    if not home.root.is_dir():
        raise Fault(f"There is no folder {home.root}; name one with --home.")
    say_error(f"Checking {home.root} ...")
    from penstock.node.check import check_home  # noqa: PLC0415 - after the first output: it is slow

    checked = check_home(home)
    if options.json:
        say_json(
            {
                "ok": not checked.problems,
                "points": checked.points,
                "rules": checked.rules,
                "problems": _documents(checked.problems),
                "warnings": _documents(checked.warnings),
            }
        )
    else:
        for problem in checked.problems:
            print(f"error    {problem}")
        for warning in checked.warnings:
            print(f"warning  {warning}")
        print(
            f"{home.root}: {checked.points} points, {checked.rules} rules, "
            f"{len(checked.problems)} errors, {len(checked.warnings)} warnings."
        )
    return EXIT_FAULT if checked.problems else EXIT_OK


def _documents(problems: Sequence[ConfigProblem]) -> list[dict[str, str]]:
    return [{"place": item.place, "message": item.message} for item in problems]
