"""Tables of docs/reference/ that follow from the code: `python -m penstock.node.docs`.

A page is written by hand; between `<!-- from the code: NAME -->` and
`<!-- end -->` stands what this module makes, so that the two cannot drift.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pydantic import BaseModel

from penstock.historian.retention import RetentionRule
from penstock.model.errors import ERROR_TABLE
from penstock.model.quality import Quality
from penstock.model.units.labels import known_units
from penstock.node.openapi import routes
from penstock.node.settings import Settings
from penstock.rules.config import LimitRuleConfig
from penstock.security.permissions import PERMISSIONS, ROLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic.fields import FieldInfo

FOLDER = Path(__file__).parents[3] / "docs" / "reference"
MIB = 1024 * 1024
_BLOCK = re.compile(r"(<!-- from the code: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_CHOICE = re.compile(r"\^\(([a-z|]+)\)\$")
_BOUNDS = {"ge": "≥ ", "gt": "> ", "le": "≤ ", "lt": "< ", "min_length": "≥ ",
           "max_length": "≤ "}  # fmt: skip


def filled(page: str) -> str:
    """The page with every block made anew."""
    return _BLOCK.sub(lambda found: f"{found[1]}\n{BLOCKS[found[2]]()}\n\n{found[3]}", page)


def settings() -> str:
    """One section for each table of penstock.toml."""
    parts = []
    for name, field in Settings.model_fields.items():
        model = field.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        parts.append(f"## [{name}]\n\n{_first_line(model)}\n\n{_fields(model)}")
        if name == "historian":
            told = f"{_first_line(RetentionRule)} What is left out fits every point."
            parts.append(f"### [[historian.retention]]\n\n{told}\n\n{_fields(RetentionRule)}")
    return "\n\n".join(parts)


def rules() -> str:
    """Keys of one `[[rules]]` table."""
    return _fields(LimitRuleConfig)


def problems() -> str:
    """Every error code."""
    rows = [
        (f"`{code}`", str(entry.status), entry.title, entry.remedy)
        for code, entry in sorted(ERROR_TABLE.items())
    ]
    return _table(("code", "HTTP", "what happened", "what to do"), rows)


def api() -> str:
    """Every route with its permission."""
    rows = [(method, f"`{path}`", access, told) for method, path, access, told in routes()]
    return _table(("method", "path", "permission", "what it does"), rows)


def roles() -> str:
    """Built-in roles against permissions."""
    rows = [
        (f"`{role.name}`", *("yes" if name in role.permissions else "" for name in PERMISSIONS))
        for role in ROLES.values()
    ]
    return _table(("role", *(f"`{name}`" for name in PERMISSIONS)), rows)


def qualities() -> str:
    """Every quality byte."""
    rows = [(str(int(item)), f"`{item.name.lower()}`") for item in Quality]
    return _table(("byte", "name"), rows)


def units() -> str:
    """UCUM codes that have a sign of their own."""
    rows = [(f"`{code}`", sign or "(none)") for code, sign in known_units().items() if code]
    return _table(("code", "shown as"), rows)


BLOCKS: Mapping[str, Callable[[], str]] = {
    "settings": settings,
    "rules": rules,
    "problems": problems,
    "api": api,
    "roles": roles,
    "qualities": qualities,
    "units": units,
}


def _fields(model: type[BaseModel]) -> str:
    rows = [
        (f"`{name}`", _default(field), _limits(field), str(field.description))
        for name, field in model.model_fields.items()
    ]
    return _table(("key", "default", "limits", "meaning"), rows)


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "needed"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value >= MIB and value % MIB == 0:
        return f"{value} ({value // MIB} MiB)"
    if isinstance(value, tuple):
        return "[]"
    return "" if value is None else f'"{value}"' if isinstance(value, str) else str(value)


def _limits(field: FieldInfo) -> str:
    noun = " entries" if isinstance(field.default, tuple) else " characters"
    words = [
        f"{sign}{getattr(rule, name):g}{noun if 'length' in name else ''}"
        for rule in field.metadata
        for name, sign in _BOUNDS.items()
        if getattr(rule, name, None) is not None
    ]
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
    for pattern in [rule.pattern for rule in field.metadata if getattr(rule, "pattern", None)]:
        listed = _CHOICE.fullmatch(pattern)
        choices += listed[1].split("|") if listed else []
        words += [] if listed else [f"matches `{pattern}`"]
    return ", ".join([*words, *(f'"{choice}"' for choice in choices)])


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").split("\n", 1)[0]


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(header)
    lines = [names, *rows]
    text = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([text[0], f"|{'---|' * len(names)}", *text[1:]])


def main() -> int:
    """Write every page that has a block."""
    for path in sorted(FOLDER.glob("*.md")):
        page = path.read_text("utf-8")
        path.write_text(filled(page), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
