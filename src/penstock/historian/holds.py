"""Holds: who still reads which segment files, so that a replaced file goes when nobody does.

A reader never waits and never fails because of a compaction: it lists its files when it
begins, and a file that was replaced meanwhile stays on disk until the last hold on it
is gone. A Hold that is garbage counts as released; it is dropped without a lock,
because a destructor may run anywhere, even inside the lock of somebody else.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Hold:
    """The files named here stay on disk until `release` (or until this is garbage)."""

    __slots__ = ("_held", "_number", "names")

    def __init__(self, held: dict[int, frozenset[str]], number: int, names: frozenset[str]) -> None:
        self.names = names
        self._held = held
        self._number = number
        held[number] = names

    def release(self) -> None:
        """The files may go; a second call does nothing."""
        self._held.pop(self._number, None)

    def __del__(self) -> None:
        self.release()


class Holds:
    """All holds of a historian, and the replaced files that wait for their end."""

    def __init__(self) -> None:
        self._held: dict[int, frozenset[str]] = {}
        self._numbers = count()
        self._replaced: set[str] = set()

    def take(self, names: frozenset[str]) -> Hold:
        """Keep these files from now on."""
        return Hold(self._held, next(self._numbers), names)

    def replace(self, names: Iterable[str]) -> None:
        """No new reader will list these files."""
        self._replaced.update(names)

    def take_free(self) -> list[str]:
        """Replaced files that nobody holds; whoever asks removes them."""
        held = frozenset[str]().union(*list(self._held.values()))
        free = sorted(self._replaced - held)
        self._replaced.difference_update(free)
        return free

    @property
    def replaced(self) -> frozenset[str]:
        """Replaced files that are still there."""
        return frozenset(self._replaced)

    @property
    def waiting(self) -> int:
        """Replaced files that are still held."""
        return len(self._replaced)
