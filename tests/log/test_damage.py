"""Torn tails are cut, damage becomes a gap, and nothing is passed over in silence."""

from __future__ import annotations

import asyncio
from pathlib import Path

from partition import FOLDER, SMALL, OpenLog, batch, batches, everything

from penstock.codec.record import HEADER_BYTES
from penstock.log import Log, RecordKind
from penstock.testing.disk import FakeDisk

QUARANTINE = FOLDER.parent / "quarantine"
NO_CACHE = SMALL.model_copy(update={"cache_bytes_max": 0, "file_bytes_max": 16_384})


def gaps(log: Log) -> list[tuple[int, int]]:
    return [
        (item.payload["first_sequence"], item.payload["last_sequence"])
        for item in everything(log)
        if item.kind == RecordKind.GAP
    ]


def newest(disk: FakeDisk) -> Path:
    return FOLDER / [name for name in disk.list(FOLDER) if name.endswith(".log")][-1]


async def fill(open_log: OpenLog, disk: FakeDisk, count: int) -> Path:
    """A log of `count` batches, closed; its newest file."""
    log = await open_log(settings=NO_CACHE)
    for number in range(1, count + 1):
        await log.append_batch(batch(number))
    await log.close()
    return newest(disk)


def place_of(disk: FakeDisk, path: Path, text: bytes) -> int:
    return disk.read(path).index(text)


async def test_a_torn_tail_is_cut_and_reported_as_torn(open_log: OpenLog, disk: FakeDisk) -> None:
    path = await fill(open_log, disk, 5)
    file = disk.append_to(path)
    file.append([disk.read(path)[-150:-3]])
    size = disk.size(path)

    log = await open_log(settings=NO_CACHE)

    assert 147 == log.statistics()["torn_bytes"] == size - disk.size(path)
    assert [] == gaps(log)
    assert [1, 2, 3, 4, 5] == [item.sequence for item in batches(log)]
    assert 2 == log.incarnation


async def test_a_tail_that_was_durable_is_a_loss_and_says_so(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    """The watermark page remembers what was acknowledged."""
    path = await fill(open_log, disk, 5)
    last = len(disk.read(path))
    disk.flip_bit(path, last - 20)

    log = await open_log(settings=NO_CACHE)

    assert [(6, 6)] == gaps(log)
    assert [1, 2, 3, 4] == [item.sequence for item in batches(log)]
    assert not log.received.has(batch(5).origin, 5)
    assert any(name.endswith(".torn") for name in disk.list(QUARANTINE))
    await log.append_batch(batch(5))
    assert [1, 2, 3, 4, 5] == [item.sequence for item in batches(log)]


async def test_a_new_record_never_takes_a_sequence_that_a_gap_calls_lost(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    """A reader that was told of the loss would pass the new record by."""
    path = await fill(open_log, disk, 5)
    cut = disk.append_to(path)
    cut.truncate(disk.size(path) - 2 * ((disk.size(path) - 64 - 96) // 5))
    cut.close()

    log = await open_log(settings=NO_CACHE)
    await log.append_batch(batch(6))
    found = everything(log)

    assert [(5, 6)] == gaps(log)
    assert [1, 2, 3, 6] == [item.sequence for item in batches(log)]
    assert not {5, 6} & {item.sequence for item in found}
    assert sorted({item.sequence for item in found}) == [item.sequence for item in found]


async def test_damage_in_the_newest_file_is_found_at_start(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    path = await fill(open_log, disk, 9)
    whole = disk.read(path)
    step = (len(whole) - 64 - 96) // 9
    for number in (3, 4, 7):
        disk.flip_bit(path, len(whole) - step * (10 - number) + HEADER_BYTES + 30)

    log = await open_log(settings=NO_CACHE)
    assert [1, 2, 5, 6, 8, 9] == [item.sequence for item in batches(log)]
    assert [(4, 5), (8, 8)] == gaps(log)
    assert 3 == log.statistics()["lost_records"]
    kept = [name for name in disk.list(QUARANTINE) if name.endswith(".damaged")]
    assert [2 * step, step] == [disk.size(QUARANTINE / name) for name in kept]
    await log.close()

    again = await open_log(settings=NO_CACHE)
    everything(again)
    assert [(4, 5), (8, 8)] == gaps(again)
    assert 0 == again.statistics()["gaps"]


async def test_damage_in_a_sealed_file_is_found_by_its_reader(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    await fill(open_log, disk, 200)
    first = FOLDER / disk.list(FOLDER)[0]
    disk.flip_bit(first, 2_000)
    disk.flip_bit(first, disk.size(first) - 10)

    log = await open_log(settings=NO_CACHE)
    found = [item.sequence for item in batches(log)]
    while len(gaps(log)) < 2:  # two records, in one group or in two
        await log.wait_beyond(log.durable)

    assert 198 == len(found) == len(set(found))
    assert sorted(found) == found
    assert 2 == len(gaps(log))
    everything(log)
    await log.close()
    again = await open_log(settings=NO_CACHE)
    everything(again)
    await asyncio.sleep(0.01)
    assert 2 == len(gaps(again))


async def test_a_missing_file_is_a_gap(open_log: OpenLog, disk: FakeDisk) -> None:
    await fill(open_log, disk, 200)
    names = [name for name in disk.list(FOLDER) if name.endswith(".log")]
    disk.remove(FOLDER / names[1])

    log = await open_log(settings=NO_CACHE)
    everything(log)
    await log.wait_beyond(log.durable)

    first, following = (int(names[at].split("-")[1][:20]) for at in (1, 2))
    assert [(first, following - 1)] == gaps(log)


async def test_a_record_inside_a_damaged_payload_is_not_believed(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    """A sender may put the bytes of a record into a text; a good header tells where to go on."""
    path = await fill(open_log, disk, 2)
    record = disk.read(path)[-(HEADER_BYTES + 104) :]
    log = await open_log(settings=NO_CACHE)
    await log.append_json(RecordKind.FINDING, {"text": "x" * 400})
    await log.append_batch(batch(3))
    await log.close()
    path = newest(disk)
    at = (place_of(disk, path, b"xxxxxxxx") + 7) // 8 * 8
    for index, byte in enumerate(record):
        disk.medium.files[path].data[at + index] = byte

    log = await open_log(settings=NO_CACHE)

    assert [1, 2, 3] == [item.sequence for item in batches(log)]
    assert 1 == len(gaps(log))


async def test_every_flipped_bit_is_a_gap_or_harmless(open_log: OpenLog, disk: FakeDisk) -> None:
    """All that is read is what was written; what is missing is named."""
    path = await fill(open_log, disk, 4)
    clean = disk.read(path)
    expected = {item: [1.0 * item, item + 0.125, item + 0.25] for item in range(1, 5)}
    for offset in range(0, len(clean), 7):
        fresh = FakeDisk()
        fresh.make_folder(path.parent)
        fresh.append_to(path).append([clean])
        fresh.flip_bit(path, offset, offset % 8)

        log = await open_log(disk=fresh, settings=NO_CACHE)
        found = {item.sequence: item.frames[0].value.tolist() for item in batches(log)}
        await log.close()

        assert found == {number: expected[number] for number in found}
        lost = log.statistics()["lost_records"] + log.statistics()["torn_bytes"]
        assert len(found) == 4 or lost > 0
