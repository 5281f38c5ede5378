"""Receipts of pushed data: which packet of which sender, and which request, the log has.

A sender that was not answered sends again: MQTT with the same packet id and content (DUP),
HTTP with the same Idempotency-Key. The receipts stand in the batch that carried the data,
so this index is only a window on the log: bounded, and rebuilt from it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np

from penstock.model import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt

    from penstock.log.record import LogRecord
    from penstock.model import Receipts

RECEIPTS_MAX = 1 << 19
KEYS_MAX = 1 << 16
_PER_SOURCE_MAX = 1 << 14
# Bytes of the newest log files from which the window is rebuilt at a start.
BYTES_BACK = 128 * 1024 * 1024

_RECEIPT = np.dtype([("mixed", "<u8"), ("sequence", "<u8"), ("source", "<u4"), ("packet", "<u2")])
_KEY = np.dtype([("high", "<u8"), ("low", "<u8"), ("sequence", "<u8")])


class ReceiptIndex:
    """Newest receipts: of each sender at least the newest RECEIPTS_MAX / (2 x senders).

    A repetition is the same (source, packet, hash): a packet id that is used again for
    other content is another message.
    """

    def __init__(self, receipts_max: int = RECEIPTS_MAX, keys_max: int = KEYS_MAX) -> None:
        self._receipts = np.zeros(receipts_max, _RECEIPT)
        self._keys = np.zeros(keys_max, _KEY)
        self._count = self._key_count = 0

    def add(self, sequence: int, receipts: Receipts) -> None:
        """The receipts of the batch with this log sequence, in the order of the log."""
        self._add_packets(sequence, receipts)
        self._add_keys(sequence, receipts.keys)

    def find(self, source: int, packet: int, digest: int) -> int:
        """Log sequence of the first receipt that is kept; 0 if there is none."""
        rows = self._receipts[: self._count]
        mixed = _mix(*(np.array([item], np.uint64) for item in (source, packet, digest)))[0]
        for at in np.flatnonzero(rows["mixed"] == mixed):
            if rows["source"][at] == source and rows["packet"][at] == packet:
                return int(rows["sequence"][at])
        return 0

    def find_key(self, key: bytes) -> int:
        """Log sequence of the batch that carried an idempotency key; 0 if it is not kept."""
        high, low = np.frombuffer(key, "<u8")
        rows = self._keys[: self._key_count]
        found = np.flatnonzero((rows["high"] == high) & (rows["low"] == low))
        return int(rows["sequence"][found[0]]) if len(found) else 0

    def statistics(self) -> dict[str, int]:
        """How much of the window is used."""
        return {"receipts": self._count, "idempotency_keys": self._key_count}

    def _add_packets(self, sequence: int, receipts: Receipts) -> None:
        size = len(self._receipts)
        for begin in range(0, len(receipts), size // 2):
            part = slice(begin, begin + size // 2)
            source, packet = receipts.source[part], receipts.packet[part]
            if self._count + len(source) > size:
                self._keep_newest()
            rows = self._receipts[self._count : self._count + len(source)]
            rows["mixed"] = _mix(source, packet, receipts.hash[part])
            rows["source"], rows["packet"], rows["sequence"] = source, packet, sequence
            self._count += len(source)

    def _keep_newest(self) -> None:
        """Of each sender as many as fit into half of the window."""
        rows = self._receipts[: self._count]
        order = np.argsort(rows["source"], kind="stable")
        source = rows["source"][order]
        ends = np.append(np.flatnonzero(source[1:] != source[:-1]) + 1, len(source))
        age = np.repeat(ends, np.diff(ends, prepend=0)) - np.arange(len(source))
        most = _PER_SOURCE_MAX
        while np.count_nonzero(age <= most) > len(self._receipts) // 2:
            most //= 2
        kept = np.sort(order[age <= most])
        kept = kept[-(len(self._receipts) // 2) :]
        self._receipts[: len(kept)] = rows[kept]
        self._count = len(kept)

    def _add_keys(self, sequence: int, keys: npt.NDArray[np.uint8]) -> None:
        halves = np.ascontiguousarray(keys[-(len(self._keys) // 2) :]).view("<u8").reshape(-1, 2)
        if self._key_count + len(halves) > len(self._keys):
            kept = self._keys[self._key_count - len(self._keys) // 2 : self._key_count].copy()
            self._keys[: len(kept)] = kept
            self._key_count = len(kept)
        rows = self._keys[self._key_count : self._key_count + len(halves)]
        rows["high"], rows["low"], rows["sequence"] = halves[:, 0], halves[:, 1], sequence
        self._key_count += len(halves)


def add_receipts(index: ReceiptIndex, records: Iterable[LogRecord]) -> None:
    """What batches among the records carry."""
    for record in records:
        if isinstance(record.payload, Batch) and record.payload.receipts is not None:
            index.add(record.sequence, record.payload.receipts)


async def read_receipts(read: Callable[[int], list[LogRecord]], after: int) -> ReceiptIndex:
    """Index of everything behind `after`; the last look is not followed by a turn of the loop."""
    index = ReceiptIndex()
    while records := read(after):
        add_receipts(index, records)
        after = records[-1].sequence
        await asyncio.sleep(0)
    return index


def _mix(
    source: npt.NDArray[np.unsignedinteger],
    packet: npt.NDArray[np.unsignedinteger],
    digest: npt.NDArray[np.unsignedinteger],
) -> npt.NDArray[np.uint64]:
    """One number a receipt (splitmix64 over its parts)."""
    mixed: npt.NDArray[np.uint64] = digest.astype(np.uint64) ^ (
        source.astype(np.uint64) << np.uint64(16)
    )
    mixed ^= packet.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))
