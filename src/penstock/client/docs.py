"""docs/reference/client.md from the docstrings: `python -m penstock.client.docs`."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import penstock.client as package

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "client.md"
HEAD = """# Python client

`penstock.client`, made from its docstrings by `./dev docs`.
How it is used stands in [Use Penstock in Python](../how-to/use-in-python.md).
"""
FIRST = (
    "Client",
    "History",
    "Table",
    "SqlAnswer",
    "Points",
    "Point",
    "Block",
    "Command",
    "Imported",
)


def page() -> str:
    """The whole page."""
    names = [*FIRST, *(name for name in package.__all__ if name not in FIRST)]
    parts = [_class(getattr(package, name)) for name in names]
    return "\n".join([HEAD, *parts]).rstrip() + "\n"


def _class(cls: type) -> str:
    lines = [f"## {cls.__name__}", "", _prose(cls), ""]
    if "__init__" in vars(cls) and not issubclass(cls, Exception):
        lines += [_code(cls.__name__, cls.__init__), ""]
    for name, member in vars(cls).items():
        function = member.fget if isinstance(member, property) else member
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        shown = f"{name}" if isinstance(member, property) else None
        heading = f"### {cls.__name__}.{name}"
        lines += [heading, "", f"```python\n{shown}\n```" if shown else _code(name, function), ""]
        lines += [_prose(function), ""]
    return "\n".join(lines)


def _code(name: str, function: object) -> str:
    """Signature, a parameter a line where it is long."""
    assert callable(function)
    signature = inspect.signature(function)
    kept = [item for item in signature.parameters.values() if item.name != "self"]
    result = signature.return_annotation
    arrow = "" if result in {inspect.Signature.empty, "None"} else f" -> {result}"
    words = []
    has_star = False
    for item in kept:
        if item.kind is inspect.Parameter.KEYWORD_ONLY and not has_star:
            words.append("*")
            has_star = True
        words.append(_parameter(item))
    line = f"{name}({', '.join(words)}){arrow}"
    if len(line) > 88:
        line = f"{name}(\n" + "".join(f"    {word},\n" for word in words) + f"){arrow}"
    return f"```python\n{line}\n```"


def _parameter(item: inspect.Parameter) -> str:
    stars = "**" if item.kind is item.VAR_KEYWORD else ""
    default = "" if item.default is item.empty else f" = {item.default!r}"
    return f"{stars}{item.name}: {item.annotation}{default}"


def _prose(item: object) -> str:
    """The docstring; an indented tree stays as it is."""
    return inspect.cleandoc(getattr(item, "__doc__", "") or "")


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
