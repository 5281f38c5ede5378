"""JSON as it arrives, narrowed; what does not fit is another version, or a bug, and said."""

from __future__ import annotations

from penstock.client.errors import Unexpected

Document = dict[str, object]


def document(value: object) -> Document:
    """An object."""
    if not isinstance(value, dict):
        raise Unexpected(f"The server answered {type(value).__name__} where an object was due.")
    return value


def rows(value: object) -> list[Document]:
    """A list of objects."""
    return [document(item) for item in items(value)]


def items(value: object) -> list[object]:
    """A list."""
    if not isinstance(value, list):
        raise Unexpected(f"The server answered {type(value).__name__} where a list was due.")
    return value


def text(value: object) -> str:
    """Words; nothing is an empty text."""
    return "" if value is None else str(value)


def whole(value: object) -> int:
    """An integer, also one that JSON carries as text because of its size."""
    if isinstance(value, int | float | str):
        return int(value)
    raise Unexpected(f"The server answered {value!r} where a whole number was due.")
