"""What the routes of history have in common: who asks, for which point, over which span.

A point outside the principal's subtrees answers exactly like one that does not
exist, so that nobody can find out which points there are.
"""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
from collections.abc import Sequence
from typing import Annotated, Protocol
from uuid import UUID

from penstock.historian.historian import Historian
from penstock.historian.piece import Cursor
from penstock.historian.query import Snapshot
from penstock.model import Point, Refused
from penstock.model.time import parse_ns
from penstock.security.principal import Principal
from penstock.security.routes import requires

Viewer = Annotated[Principal, requires("view", is_anywhere=True)]
# 1824 to 2116: far from the ends of int64, so that widening a span cannot overflow.
TIME_NS_MAX = 2**62


class PointDirectory(Protocol):
    """Where the routes find a point by its identity; the registry has it."""

    def by_id(self, id_: UUID) -> Point | None:
        """The point, or None."""
        ...


def visible_point(directory: PointDirectory, principal: Principal, id_: UUID) -> Point | None:
    """The point, None if there is none or the principal may not view it."""
    point = directory.by_id(id_)
    return point if point is not None and principal.may("view", point.asset) else None


def existing_point(directory: PointDirectory, principal: Principal, id_: UUID) -> Point:
    """The point; a foreign one is refused exactly like one that does not exist."""
    point = visible_point(directory, principal, id_)
    if point is None:
        raise Refused("not_found", f"There is no point {id_}.")
    return point


def ids_of(text: str, count_max: int) -> Sequence[UUID]:
    """UUIDs of a list with commas."""
    words = [word for word in text.split(",") if word]
    if len(words) > count_max:
        raise Refused("too_large", f"At most {count_max} points at once.")
    try:
        return [UUID(word) for word in words]
    except ValueError as error:
        raise Refused("invalid_request", "The list of points holds no UUID.") from error


def span_of(from_: str, to: str) -> tuple[int, int]:
    """(from, to) in nanoseconds; from is before to."""
    from_ns, to_ns = time_of(from_), time_of(to)
    if from_ns >= to_ns:
        raise Refused("invalid_request", "The span ends before it begins.")
    return from_ns, to_ns


def time_of(text: str) -> int:
    """Integer nanoseconds, or RFC 3339."""
    try:
        is_number = text.removeprefix("-").isascii() and text.removeprefix("-").isdigit()
        time_ns = int(text) if is_number and len(text) <= 20 else parse_ns(text)
    except ValueError as error:
        raise Refused("invalid_request", f"{text[:40]!r} is not a time.") from error
    if abs(time_ns) > TIME_NS_MAX:
        raise Refused("invalid_request", "Times lie between the years 1824 and 2116.")
    return time_ns


def as_of(historian: Historian, text: str) -> int | None:
    """Log sequence that an answer sees: digits are one, RFC 3339 is a time of receipt.

    None (for an empty text) is everything; a sequence that is yet to come is refused.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        return historian.receipts.sequence_at(time_of(text))
    if len(text) > 20 or int(text) > historian.sequence:
        raise Refused("invalid_request", f"There is no log record {text[:40]} yet.")
    return int(text)


def seen(snapshot: Snapshot, sequence: int | None) -> Snapshot:
    """The snapshot as of a sequence."""
    return snapshot if sequence is None else snapshot.at_sequence(sequence)


def cursor_of(text: str) -> Cursor | None:
    """Where the last page ended; None for the first."""
    if not text:
        return None
    try:
        return Cursor.parse(text)
    except ValueError as error:
        raise Refused("invalid_request", "The cursor is not one of ours.") from error
