"""Head of a log file: everything an older file said that is still needed.

Dictionary records come first, then checkpoints. A checkpoint that is not full is the
last of them, so that a reader knows a head that was torn from one that is whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.codec.dictionary import encode_checkpoint, encode_dictionary
from penstock.codec.record import RecordKind
from penstock.log.entry import Entry
from penstock.log.recovery import CHECKPOINT_INTERVALS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from penstock.codec.dictionary import DictionaryEntry
    from penstock.log.files import LogFile
    from penstock.log.received import Received
    from penstock.model import Origin

DICTIONARY_ENTRIES_MAX = 10_000
HEADLESS_FILES_MAX = 32


class Head:
    """The dictionary of the log, and when the next file has to repeat all that is known.

    A head that is longer than everything since the end of the last one would be most of the
    log of a process that dies again and again; then the file does without, and a start
    reads on in the files before it.
    """

    def __init__(
        self, dictionary: Mapping[int, DictionaryEntry], origin: Origin, headed: LogFile | None
    ) -> None:
        self.dictionary = dict(dictionary)
        self.headed = headed
        self._origin = origin
        self._entries: list[Entry] | None = None

    def learn(self, entries: Iterable[DictionaryEntry]) -> None:
        """Handles became known."""
        self.dictionary.update((item.handle, item) for item in entries)
        self._entries = None

    def is_due(self, received: Received, sizes: Mapping[LogFile, int]) -> bool:
        """Must a file that begins now have a head?"""
        if self.headed is None:
            return True
        since = [size for file, size in sizes.items() if file >= self.headed]
        head_bytes = sum(entry.size for entry in self._known()) + 48 * len(received)
        return len(since) >= HEADLESS_FILES_MAX or 2 * head_bytes <= sum(since)

    def entries(self, received: Received) -> list[Entry]:
        """Dictionary and checkpoint records of all that is known."""
        intervals = received.intervals()
        full, size = len(intervals) // CHECKPOINT_INTERVALS_MAX, CHECKPOINT_INTERVALS_MAX
        pieces = [intervals[at * size : (at + 1) * size] for at in range(full + 1)]
        return [
            *self._known(),
            *(
                Entry(RecordKind.CHECKPOINT, list(piece), [encode_checkpoint(piece)], self._origin)
                for piece in pieces
            ),
        ]

    def _known(self) -> list[Entry]:
        """Encoded once, because 100,000 points take longer than a group may wait."""
        if self._entries is None:
            self._entries = dictionary_entries(list(self.dictionary.values()), self._origin)
        return self._entries


def dictionary_entries(known: Sequence[DictionaryEntry], origin: Origin) -> list[Entry]:
    """Dictionary records of at most 10,000 entries, far below the limit of a record."""
    size = DICTIONARY_ENTRIES_MAX
    pieces = [list(known[at : at + size]) for at in range(0, len(known), size)]
    return [
        Entry(RecordKind.DICTIONARY, piece, [encode_dictionary(piece)], origin) for piece in pieces
    ]
