"""The window on receipts: a repetition is found, also after a restart, and memory is bounded."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from partition import SMALL, OpenLog, batch

from penstock.log.receipts import ReceiptIndex
from penstock.model import Receipts

KEY = bytes(range(16))


def receipts(rows: list[tuple[int, int, int]], keys: list[bytes] | None = None) -> Receipts:
    columns = np.array(rows, object).reshape(-1, 3)
    return Receipts(
        columns[:, 0].astype(np.uint32),
        columns[:, 1].astype(np.uint16),
        np.ones(len(rows), np.uint32),
        columns[:, 2].astype(np.uint64),
        np.frombuffer(b"".join(keys or []), np.uint8).reshape(-1, 16),
    )


def test_the_same_packet_of_the_same_sender_with_the_same_content_is_a_repetition() -> None:
    index = ReceiptIndex()
    index.add(7, receipts([(1, 10, 2**64 - 1), (2, 10, 5)]))

    assert 7 == index.find(1, 10, 2**64 - 1)
    assert 0 == index.find(2, 10, 2**64 - 1), "another sender"
    assert 0 == index.find(1, 11, 2**64 - 1), "another packet"
    assert 0 == index.find(1, 10, 6), "a packet id that is used again"


def test_it_collapses_to_the_first_receipt() -> None:
    index = ReceiptIndex()
    index.add(7, receipts([(1, 10, 5)]))
    index.add(9, receipts([(1, 10, 5)]))

    assert 7 == index.find(1, 10, 5)


def test_idempotency_keys_are_found_by_all_their_bytes() -> None:
    index = ReceiptIndex()
    index.add(7, receipts([], [KEY, KEY[::-1]]))

    assert (7, 7) == (index.find_key(KEY), index.find_key(KEY[::-1]))
    assert 0 == index.find_key(KEY[:15] + b"\0")


@pytest.mark.parametrize("seed", range(5))
def test_the_newest_of_each_sender_stay_whatever_the_others_send(seed: int) -> None:
    """Against a list; a device that speaks seldom is not pushed out by one that speaks often."""
    chance = random.Random(seed)
    index = ReceiptIndex(receipts_max=512, keys_max=64)
    sent: dict[int, list[tuple[int, int, int]]] = {source: [] for source in range(8)}
    for sequence in range(1, 400):
        rows = []
        for _ in range(chance.randint(0, 40)):
            source = 0 if chance.random() < 0.9 else chance.randrange(8)
            rows.append((source, len(sent[source]) % 65_536, chance.getrandbits(64)))
            sent[source].append((rows[-1][1], rows[-1][2], sequence))
        index.add(sequence, receipts(rows))

    assert index.statistics()["receipts"] <= 512
    for source, items in sent.items():
        for packet, digest, sequence in items[-16:]:
            assert sequence == index.find(source, packet, digest)
    assert 0 == index.find(0, *sent[0][0][:2])


def test_keys_go_oldest_first() -> None:
    index = ReceiptIndex(receipts_max=16, keys_max=64)
    keys = [number.to_bytes(16, "little") for number in range(1, 201)]
    for number, key in enumerate(keys, 1):
        index.add(number, receipts([], [key]))

    found = [index.find_key(key) for key in keys]
    assert list(range(169, 201)) == found[-32:]
    assert 0 == found[0]
    assert index.statistics()["idempotency_keys"] <= 64


def test_more_at_once_than_the_window_holds() -> None:
    index = ReceiptIndex(receipts_max=16, keys_max=16)
    rows = [(1, number, number) for number in range(100)]
    index.add(3, receipts(rows, [number.to_bytes(16, "little") for number in range(100)]))

    assert 3 == index.find(1, 99, 99)
    assert 3 == index.find_key((99).to_bytes(16, "little"))


async def test_it_is_rebuilt_from_the_log_and_kept_up(open_log: OpenLog) -> None:
    settings = SMALL.model_copy(update={"file_bytes_max": 4096, "cache_bytes_max": 0})
    log = await open_log(settings=settings)
    for number in range(1, 50):
        sent = receipts([(1, number, number)], [number.to_bytes(16, "big")])
        await log.append_batch(replace(batch(number), receipts=sent))
    await log.close()

    log = await open_log(settings=settings)
    index = await log.receipts()
    await log.append_batch(replace(batch(50), receipts=receipts([(1, 50, 50)])))

    places = [index.find(1, number, number) for number in range(1, 51)]
    assert all(places)
    assert sorted(places) == places
    assert log.durable == places[-1]
    assert places[29] == index.find_key((30).to_bytes(16, "big"))
    assert await log.receipts() is index


async def test_a_receipt_is_known_only_when_it_is_durable(open_log: OpenLog, disk) -> None:
    log = await open_log()
    index = await log.receipts()
    with disk.hold_sync():
        future = log.append_batch_nowait(replace(batch(1), receipts=receipts([(1, 2, 3)])))
        assert 0 == index.find(1, 2, 3)

    assert await future == index.find(1, 2, 3)
