"""What the house rules look at: the tracked files and their syntax trees.

Untracked files count too, unless ignored, so that a rule speaks before the commit.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "penstock"


@cache
def tracked() -> tuple[Path, ...]:
    """Every file that is or would be committed; outside a clone, every file of the sources."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return tuple(sorted(path for path in PACKAGE.rglob("*.py")))
    paths = (ROOT / name for name in done.stdout.split("\0") if name)
    return tuple(sorted(path for path in paths if path.is_file()))


def modules() -> list[Path]:
    """The Python files of the product."""
    return [path for path in tracked() if path.suffix == ".py" and PACKAGE in path.parents]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Qualified name and length in lines of every function, the docstring not counted."""
    stack: list[tuple[str, ast.AST]] = [("", parsed(path))]
    while stack:
        prefix, node = stack.pop()
        for child in ast.iter_child_nodes(node):
            name = getattr(child, "name", "")
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            if is_function:
                yield f"{prefix}{name}", length(child)
            is_named = is_function or isinstance(child, ast.ClassDef)
            stack.append((f"{prefix}{name}." if is_named else prefix, child))


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    total = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None and len(function.body) > 1:
        assert first.end_lineno is not None
        total -= first.end_lineno - first.lineno + 1
    return total


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
