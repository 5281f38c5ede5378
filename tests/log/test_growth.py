"""What a sender or a process that starts again and again may cost, and what is remembered."""

from __future__ import annotations

from uuid import UUID

import pytest
from partition import FOLDER, NODE, SMALL, OpenLog, batch, batches, everything

from penstock.codec.dictionary import (
    DictionaryEntry,
    Interval,
    decode_checkpoint,
    encode_checkpoint,
)
from penstock.log import Log, RecordKind
from penstock.log.head import HEADLESS_FILES_MAX
from penstock.log.receive_time import DAY_NS
from penstock.log.received import SUPERSEDED_MAX, Received
from penstock.model import Origin, ValueKind
from penstock.testing import FakeClock
from penstock.testing.disk import FakeDisk

SETTINGS = SMALL.model_copy(update={"ballast_bytes": 0})
POINTS = [
    DictionaryEntry(handle, UUID(int=handle), ValueKind.FLOAT, f"plant/pump {handle}/pressure")
    for handle in range(1, 2_001)
]


def life(number: int, slot: int = 1) -> Origin:
    return Origin(NODE, slot, number)


def heads(log: Log) -> int:
    return sum(item.kind == RecordKind.CHECKPOINT for item in everything(log))


# --- a process that dies again and again


async def crash_loop(open_log: OpenLog, starts: int) -> Log:
    """Each start takes one batch and is killed."""
    log = await open_log(settings=SETTINGS)
    await log.append_dictionary(POINTS)
    for number in range(1, starts + 1):
        await log.append_batch(batch(1, life(number)))
        await log.close()
        log = await open_log(settings=SETTINGS)
    return log


async def test_a_crash_loop_repeats_the_dictionary_seldom(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    log = await crash_loop(open_log, 80)
    dictionary = sum(
        item.record_bytes for item in everything(log) if item.kind == RecordKind.DICTIONARY
    )
    once = dictionary / sum(item.kind == RecordKind.DICTIONARY for item in everything(log))

    assert heads(log) <= 2 + 80 // HEADLESS_FILES_MAX
    assert disk.used_bytes() < 7 * once
    assert 80 == len(batches(log))
    assert POINTS == log.dictionary
    assert all(log.received.has(life(number), 1) for number in range(1, 81))


async def test_a_start_that_takes_nothing_costs_nothing_that_stays(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    """And still no incarnation is used twice."""
    log = await crash_loop(open_log, 1)
    used, seen = disk.used_bytes(), {log.incarnation}
    for _ in range(100):
        await log.close()
        log = await open_log(settings=SETTINGS)
        assert log.incarnation not in seen
        seen.add(log.incarnation)

    assert disk.used_bytes() <= used + 64
    assert len(disk.list(FOLDER)) < 8


async def test_no_file_goes_that_a_start_has_to_read(open_log: OpenLog, disk: FakeDisk) -> None:
    settings = SETTINGS.model_copy(update={"log_bytes_keep": 0, "cache_bytes_max": 0})
    log = await open_log(settings=settings)
    await log.append_dictionary(POINTS)
    for number in range(1, 100):
        reader = log.declare_reader("historian", blocks=True)
        reader.advance(await log.append_batch(batch(1, life(number))))
        await log.append_batch(batch(2, life(number)))
        await log.close()
        log = await open_log(settings=settings)
        assert POINTS == log.dictionary
        assert log.received.has(life(number), 2)

    assert 1 < log.first_sequence
    assert len(disk.list(FOLDER)) <= HEADLESS_FILES_MAX + 4


async def test_many_small_files_go_even_when_they_are_few_bytes(
    open_log: OpenLog, disk: FakeDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.log.retention.FILES_KEEP", 40)
    monkeypatch.setattr("penstock.log.writer.FILES_KEEP", 40)
    log = await open_log(settings=SETTINGS)
    for number in range(1, 100):
        log.declare_reader("historian", blocks=True).advance(log.durable)
        await log.append_batch(batch(1, life(number)))
        await log.close()
        log = await open_log(settings=SETTINGS)

    assert len(disk.list(FOLDER)) < 45


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_fifteen_hundred_crashes(open_log: OpenLog, disk: FakeDisk, clock: FakeClock) -> None:
    """Bytes, files and what is remembered stay within bounds; nothing is taken twice."""
    settings = SETTINGS.model_copy(
        update={"log_bytes_keep": 100_000, "cache_bytes_max": 0, "compress_after_s": 0}
    )
    log = await open_log(settings=settings)
    await log.append_dictionary(POINTS[:100])
    most = 0
    for number in range(1, 1_501):
        log.declare_reader("historian", blocks=True).advance(log.durable)
        await log.append_batch(batch(1, life(number)))
        await log.append_batch(batch(1, life(number - 1)))
        await log.close()
        clock.advance(DAY_NS // 20)
        log = await open_log(settings=settings)
        most = max(most, disk.used_bytes())
        if number % 50 == 0:
            while await log.upkeep.step(log.upkeep.in_thread):
                continue

    assert most < 600_000
    assert len(disk.list(FOLDER)) < 300
    assert len(log.received) <= 20 * 31 + 100, "those of a month, and of the last files"
    assert POINTS[:100] == log.dictionary


# --- what is remembered of senders


def days(found: Received) -> dict[int, int]:
    return {item.origin.incarnation: item.day for item in found.intervals()}


def test_a_former_life_is_forgotten_when_it_has_been_silent_for_long() -> None:
    found = Received()
    found.note(life(1), 1, 5, 100)
    found.note(life(2), 1, 5, 110)

    assert [] == found.fold(140, 30)
    assert [life(1)] == found.fold(141, 30)
    assert not found.has(life(1), 3)
    assert [] == found.fold(10_000, 30), "the newest stays however old it is"


def test_the_days_count_from_when_the_next_life_was_heard_of() -> None:
    """A link that was down for months sends live data first, then what it has kept."""
    found = Received()
    found.note(life(1), 1, 5, 100)
    found.note(life(9), 1, 1, 300)
    assert [] == found.fold(330, 30)

    found.note(life(1), 6, 8, 325)
    found.note(life(5), 1, 2, 326)
    assert {1: 325, 5: 326, 9: 300} == days(found)
    assert [life(1)] == found.fold(356, 30)
    assert found.has(life(5), 1)


def test_each_sender_counts_for_itself() -> None:
    found = Received()
    found.note(life(1), 1, 1, 100)
    found.note(life(2, slot=2), 1, 1, 200)

    assert [] == found.fold(1_000, 30)


def test_a_sender_that_starts_again_and_again_is_bounded() -> None:
    found = Received()
    for number in range(3 * SUPERSEDED_MAX):
        found.note(life(number), 1, 1, 100)

    gone = found.fold(100, 30)

    assert SUPERSEDED_MAX + 1 == len(found)
    assert 3 * SUPERSEDED_MAX - len(found) == len(gone)
    assert found.has(life(3 * SUPERSEDED_MAX - 1), 1)
    assert not found.has(life(5), 1)


def test_a_checkpoint_keeps_the_days() -> None:
    found = Received([Interval(life(1), 1, 5, 100), Interval(life(1), 9, 9, 100)])
    found.note(life(2), 1, 1, 120)

    again = Received(decode_checkpoint(encode_checkpoint(found.intervals())))

    assert found.intervals() == again.intervals()
    assert {1: 120, 2: 120} == days(again)


async def test_the_log_forgets_and_takes_a_late_return_as_new(
    open_log: OpenLog, clock: FakeClock
) -> None:
    """At least once beyond the window, because refusing would lose data for certain."""
    small = SETTINGS.model_copy(update={"file_bytes_max": 4096})
    log = await open_log(settings=small)
    await log.append_batch(batch(1, life(1)))
    await log.append_batch(batch(1, life(2)))
    for day in range(40):
        clock.advance(DAY_NS)
        for number in range(1, 20):
            await log.append_batch(batch(100 * day + number, life(2)))
    await log.close()
    assert not log.received.has(life(1), 1)

    log = await open_log(settings=small)
    assert not log.received.has(life(1), 1)
    assert log.received.has(life(2), 1)
    before = len(batches(log))
    await log.append_batch(batch(1, life(1)))
    await log.append_batch(batch(1, life(1)))
    assert before + 1 == len(batches(log))
