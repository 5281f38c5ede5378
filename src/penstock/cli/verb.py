"""What a verb is, and the arguments that every one has."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.node.home import Home, default_home

if TYPE_CHECKING:
    from collections.abc import Callable


class Parser(argparse.ArgumentParser):
    """A parser whose help begins with examples, because that is what most people came for."""

    examples: tuple[str, ...] = ()

    def format_help(self) -> str:
        """Examples, then what argparse writes."""
        text = super().format_help()
        return "\n".join([*self.examples, "", text]) if self.examples else text


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb; `module` is where its `run(options)` lives."""

    name: str
    summary: str
    examples: tuple[str, ...]
    add_arguments: Callable[[Parser], None]
    about: str = ""

    @property
    def module(self) -> str:
        """File of the verb; a dash is no name in Python, nor is one of its own words."""
        word = self.name.replace("-", "_")
        return f"penstock.cli.{word}_" if iskeyword(word) else f"penstock.cli.{word}"


def _home(text: str) -> Home:
    return Home(Path(text).expanduser().absolute())


def shared(parser: Parser) -> None:
    """What every verb has; the last arguments of its help."""
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.add_argument(
        "--home",
        type=_home,
        metavar="DIR",
        default=str(default_home()),
        help="data and configuration (default: $PENSTOCK_HOME, else your own data folder)",
    )
