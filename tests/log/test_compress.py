"""Sealed files become compressed ones; nobody who reads can tell, whenever the power is cut."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest
from partition import FOLDER, SMALL, OpenLog, batch, batches, everything

from penstock.codec.log_archive import BLOCK_MAGIC
from penstock.log import Log, LogTail, RecordKind
from penstock.log.compress import Compressed, compress_document, compressed_of, document_of
from penstock.log.files import LogFile
from penstock.log.store import FileStore
from penstock.model import Refused
from penstock.testing import FakeClock
from penstock.testing.disk import FakeDisk, PowerCut
from penstock.world import SystemDisk

QUARANTINE = FOLDER.parent / "quarantine"
SETTINGS = SMALL.model_copy(
    update={"cache_bytes_max": 0, "file_bytes_max": 16_384, "compress_after_s": 0}
)
COUNT = 300


async def fill(open_log: OpenLog, count: int = COUNT) -> Log:
    log = await open_log(settings=SETTINGS)
    for number in range(1, count + 1):
        await log.append_batch(batch(number))
    return log


async def compress_all(log: Log) -> int:
    """Every file that is due; how many."""
    count = 0
    while await log.upkeep.step(log.upkeep.in_thread):
        count += 1
    return count


def names(disk: FakeDisk, ending: str) -> list[str]:
    return [name for name in disk.list(FOLDER) if name.endswith(ending)]


def numbers(log: Log | LogTail) -> list[int]:
    return [item.sequence for item in batches(log)]


def gaps(log: Log) -> list[tuple[int, int]]:
    return [
        (item.payload["first_sequence"], item.payload["last_sequence"])
        for item in everything(log)
        if item.kind == RecordKind.GAP
    ]


async def test_records_sequences_and_times_are_the_same_and_the_bytes_fewer(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    log = await fill(open_log)
    before, size = everything(log), log.statistics()["file_bytes"]
    sealed = len(names(disk, ".log")) - 1

    assert sealed == await compress_all(log) == len(names(disk, ".logz"))

    after = everything(log)
    assert [(item.sequence, item.receive_ns, item.kind) for item in before] == [
        (item.sequence, item.receive_ns, item.kind) for item in after
    ]
    assert list(range(1, COUNT + 1)) == numbers(log)
    assert 1 == len(names(disk, ".log"))
    assert size / 4 > log.statistics()["file_bytes"]
    stored = sum(disk.size(FOLDER / name) for name in names(disk, ".log") + names(disk, ".logz"))
    assert stored == log.statistics()["file_bytes"]


async def test_a_restart_takes_both_forms(open_log: OpenLog) -> None:
    log = await fill(open_log)
    await compress_all(log)
    await log.close()

    log = await open_log(settings=SETTINGS)

    assert list(range(1, COUNT + 1)) == numbers(log)
    assert [] == gaps(log)
    assert all(log.received.has(batch(1).origin, number) for number in range(1, COUNT + 1))
    assert COUNT + 1 == (await log.append_batch(batch(COUNT + 1)), numbers(log)[-1])[1]


async def test_a_reader_in_the_middle_of_a_file_goes_on(open_log: OpenLog, tmp_path: Path) -> None:
    """Another process that has listed the files, and knows its place in one of them."""
    folder = tmp_path / "log" / "0"
    log = await open_log(folder, SystemDisk(), SETTINGS)
    for number in range(1, COUNT + 1):
        await log.append_batch(batch(number))
    tail = LogTail(folder)
    found = tail.read(0, records_max=20)

    assert 1 < await compress_all(log)

    while records := tail.read(found[-1].sequence, records_max=20):
        found += records
    assert list(range(1, log.durable + 1)) == [item.sequence for item in found]
    assert 0 == tail.statistics()["holes"]
    tail.close()


async def test_a_power_cut_at_any_call_leaves_one_of_both(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    log = await fill(open_log, 150)
    last, calls = log.durable, 0
    for call in range(1, 40):
        disk.fail_at(call, PowerCut())
        try:
            await log.upkeep.step(log.upkeep.in_thread)
        except PowerCut:
            calls += 1
        disk.power_cut(call)
        log = await open_log(settings=SETTINGS)
        found = everything(log)
        assert list(range(1, log.durable + 1)) == [item.sequence for item in found]
        assert last <= log.durable
        assert [] == names(disk, ".new") + names(disk, ".tmp")
        assert list(range(1, 151)) == numbers(log)
    assert calls > 5
    assert [] == gaps(log)
    assert names(disk, ".logz")


async def test_damage_takes_the_records_of_one_block_and_no_others(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    settings = SETTINGS.model_copy(update={"file_bytes_max": 2**20})
    log = await open_log(settings=settings)
    for number in range(1, 41):
        await log.append_batch(batch(number, rows=2_000))
    await compress_all(log)
    (name,) = names(disk, ".logz")
    places = FileStore(FOLDER, disk)._archive(LogFile(1, 1)).places
    place, damaged = places[2]
    disk.flip_bit(FOLDER / name, place + 60)
    last = places[3][1].sequence - 1

    numbers(log)
    await log.wait_beyond(log.durable)

    assert [(damaged.sequence, last)] == gaps(log)
    assert 1 < last - damaged.sequence < 10
    assert 40 - (last - damaged.sequence + 1) == len(numbers(log))


async def test_damage_anywhere_in_a_file_is_found_and_kept(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    """In a block, in its header, and in the index, which is not needed."""
    log = await fill(open_log)
    await compress_all(log)
    first, second, third = names(disk, ".logz")[:3]
    data = disk.read(FOLDER / first)
    block = data.rindex(BLOCK_MAGIC)
    disk.flip_bit(FOLDER / first, block + 100)
    disk.flip_bit(FOLDER / second, disk.read(FOLDER / second).rindex(BLOCK_MAGIC) + 9)
    disk.flip_bit(FOLDER / third, 70)
    ends = [int(name.split("-")[1][:20]) for name in names(disk, ".logz")]
    await log.close()

    log = await open_log(settings=SETTINGS)
    everything(log)
    await log.wait_beyond(log.durable)

    assert [(ends[0], ends[1] - 1), (ends[1], ends[2] - 1)] == gaps(log)
    found = [item.sequence for item in everything(log)]
    assert list(range(ends[2], log.durable + 1)) == found
    kept = [name for name in disk.list(QUARANTINE) if name.startswith(first[:-1])]
    assert 1 == len(kept)
    assert data[block : block + 100] == disk.read(QUARANTINE / kept[0])[:100]


async def test_what_was_damaged_before_stays_the_same_gap(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    log = await fill(open_log)
    first = names(disk, ".log")[0]
    disk.flip_bit(FOLDER / first, 2_000)
    damaged = disk.read(FOLDER / first)

    assert await compress_all(log)
    found = FileStore(FOLDER, disk).read(LogFile(1, 1))
    everything(log)
    await log.wait_beyond(log.durable)

    assert damaged == found
    assert 1 == len(gaps(log))
    assert COUNT - 1 == len(numbers(log))


async def test_retention_takes_compressed_files_as_well(open_log: OpenLog, disk: FakeDisk) -> None:
    settings = SETTINGS.model_copy(update={"log_bytes_keep": 3_000})
    log = await open_log(settings=settings)
    reader = log.declare_reader("historian", blocks=True)
    for number in range(1, COUNT + 1):
        await log.append_batch(batch(number))
    await compress_all(log)

    reader.advance(log.durable)
    await log.append_batch(batch(COUNT + 1))

    assert 1 < log.first_sequence
    assert len(names(disk, ".logz")) < 3
    assert log.first_sequence == everything(log)[0].sequence


async def test_a_proposal_for_a_file_that_is_gone_is_thrown_away(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    """Or the oldest records would come back, with a hole behind them."""
    log = await fill(open_log)
    chosen = log.upkeep.choose()
    assert chosen is not None
    proposal = await log.upkeep.in_thread(*chosen)
    log._writer.files = log._writer.files[1:]

    log.upkeep.adopt(proposal, chosen[1])

    assert [] == names(disk, ".logz") + names(disk, ".new")


@pytest.mark.parametrize("what", ["another file", "another end", "a flipped bit", "nothing"])
async def test_only_the_file_that_was_asked_for_is_adopted(
    open_log: OpenLog, disk: FakeDisk, what: str
) -> None:
    log = await fill(open_log)
    upkeep = log.upkeep

    async def compress(file: LogFile, end: int) -> Compressed:
        proposal = await upkeep.in_thread(file, end)
        path = FOLDER / (file.compressed_name + ".new")
        if what == "another file":
            return replace(proposal, file=LogFile(file.incarnation, file.first + 1))
        if what == "another end":
            await upkeep.in_thread(file, end - 1)
        if what == "a flipped bit":
            disk.flip_bit(path, disk.size(path) - 30)
        if what == "nothing":
            disk.remove(path)
        return proposal

    assert not await upkeep.step(compress)
    assert [] == names(disk, ".logz")
    assert list(range(1, COUNT + 1)) == numbers(log)
    assert 1 == log.statistics()["compress_failures"]


async def test_compute_that_is_away_is_waited_for(open_log: OpenLog) -> None:
    log = await fill(open_log)

    async def away(file: LogFile, end: int) -> Compressed:
        raise Refused("compute_away")

    assert not await log.upkeep.step(away)
    assert await log.upkeep.step(log.upkeep.in_thread)


async def test_the_answer_of_another_process_is_the_same(open_log: OpenLog, disk: FakeDisk) -> None:
    log = await fill(open_log)

    async def ask(file: LogFile, end: int) -> Compressed:
        return compressed_of(compress_document(disk, FOLDER, document_of(file, end)))

    assert await log.upkeep.step(ask)
    assert 1 == len(names(disk, ".logz"))


async def test_it_waits_until_a_file_is_old_and_can_be_switched_off(
    open_log: OpenLog, clock: FakeClock
) -> None:
    old = SETTINGS.model_copy(update={"compress_after_s": 600})
    log = await open_log(settings=old)
    for number in range(1, COUNT + 1):
        await log.append_batch(batch(number))
    assert log.upkeep.choose() is None
    clock.advance(601 * 10**9)
    assert log.upkeep.choose() is not None
    await log.close()

    log = await open_log(settings=old.model_copy(update={"compress": False}))
    assert log.upkeep.choose() is None


async def test_a_full_disk_is_left_alone(open_log: OpenLog, disk: FakeDisk) -> None:
    log = await fill(open_log)
    disk.capacity_bytes = disk.used_bytes() + 20_000
    assert log.upkeep.choose() is None

    disk.capacity_bytes = None
    for call in range(1, 9):
        disk.fail_at(call, OSError(errno.ENOSPC, "simulated"))
    assert not await log.upkeep.step(log.upkeep.in_thread)
    assert list(range(1, COUNT + 1)) == numbers(log)
