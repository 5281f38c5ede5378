"""Handles of a child process: given once per point, never reused while it lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.codec.dictionary import DictionaryEntry

if TYPE_CHECKING:
    from uuid import UUID

    from penstock.model import ValueKind


class HandleTable:
    """UUID to handle; `fresh` are the entries that the receiver has not been told yet."""

    def __init__(self) -> None:
        self._handles: dict[UUID, int] = {}
        self._entries: dict[UUID, DictionaryEntry] = {}
        self._fresh: list[DictionaryEntry] = []

    def handle_of(self, id_: UUID) -> int:
        """Handle of the point, a new one if it has none."""
        return self._handles.setdefault(id_, len(self._handles) + 1)

    def name(self, id_: UUID, kind: ValueKind, path: str) -> int:
        """Handle with its dictionary entry."""
        handle = self.handle_of(id_)
        entry = DictionaryEntry(handle, id_, kind, path)
        if self._entries.get(id_) != entry:
            self._entries[id_] = entry
            self._fresh.append(entry)
        return handle

    def take_fresh(self) -> list[DictionaryEntry]:
        """Entries since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def all(self) -> list[DictionaryEntry]:
        """Every entry, for a new session."""
        self._fresh = []
        return list(self._entries.values())
