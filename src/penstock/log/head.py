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
    from collections.abc import Mapping, Sequence

    from penstock.codec.dictionary import DictionaryEntry
    from penstock.codec.interval_set import IntervalSet
    from penstock.model import Origin

DICTIONARY_ENTRIES_MAX = 10_000


def head_entries(
    dictionary: Mapping[int, DictionaryEntry], received: IntervalSet, origin: Origin
) -> list[Entry]:
    """Dictionary and checkpoint records of all that is known."""
    intervals = received.intervals()
    full, size = len(intervals) // CHECKPOINT_INTERVALS_MAX, CHECKPOINT_INTERVALS_MAX
    pieces = [intervals[at * size : (at + 1) * size] for at in range(full + 1)]
    return [
        *dictionary_entries(list(dictionary.values()), origin),
        *(
            Entry(RecordKind.CHECKPOINT, list(piece), [encode_checkpoint(piece)], origin)
            for piece in pieces
        ),
    ]


def dictionary_entries(known: Sequence[DictionaryEntry], origin: Origin) -> list[Entry]:
    """Dictionary records of at most 10,000 entries, far below the limit of a record."""
    size = DICTIONARY_ENTRIES_MAX
    pieces = [list(known[at : at + size]) for at in range(0, len(known), size)]
    return [
        Entry(RecordKind.DICTIONARY, piece, [encode_dictionary(piece)], origin) for piece in pieces
    ]
