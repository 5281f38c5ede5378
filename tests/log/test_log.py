"""What the Log promises to those who append and read, on a disk that works."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from partition import FOLDER, SENDER, SMALL, OpenLog, batch, batches, event, everything

from penstock.codec.dictionary import DictionaryEntry
from penstock.log import Log, LogSettings, LogTail, RecordKind
from penstock.model import Refused, ValueKind
from penstock.testing import FakeClock
from penstock.testing.disk import FakeDisk
from penstock.world import SystemDisk

POINT = UUID("01890000-0000-7000-8000-0000000000aa")


async def fill(log: Log) -> list[int | str]:
    """Numbers of the batches that were taken, and the code of the refusal."""
    taken: list[int | str] = []
    for number in range(1, 1000):
        try:
            await log.append_batch(batch(number))
        except Refused as refused:
            return [*taken, refused.code]
        taken.append(number)
    return taken


async def test_a_batch_is_read_back_as_it_was(open_log: OpenLog) -> None:
    log = await open_log()

    sequence = await log.append_batch(batch(1))

    record = log.read(sequence - 1)[0]
    assert sequence == record.sequence == log.durable
    assert RecordKind.BATCH == record.kind
    assert [1.0, 1.125, 1.25] == batches(log)[0].frames[0].value.tolist()


async def test_a_resent_batch_is_not_written_twice(open_log: OpenLog) -> None:
    log = await open_log()
    first = log.append_batch_nowait(batch(1))
    second = log.append_batch_nowait(batch(1))

    assert await first == await second
    assert await log.append_batch(batch(1)) >= first.result()
    assert 1 == len(batches(log))
    assert 2 == log.statistics()["duplicates"]


async def test_a_restart_knows_what_it_has_received(open_log: OpenLog) -> None:
    log = await open_log()
    await log.append_batch(batch(1))
    await log.append_batch(batch(3))
    await log.close()

    log = await open_log()
    await asyncio.gather(*(log.append_batch(batch(number)) for number in (1, 2, 3)))

    assert [1, 3, 2] == [item.sequence for item in batches(log)]
    assert log.received.has(SENDER, 2)


async def test_every_kind_of_record_comes_back(open_log: OpenLog) -> None:
    entry = DictionaryEntry(1, POINT, ValueKind.FLOAT, "plant/pump/pressure")
    log = await open_log()
    await log.append_dictionary([entry])
    await log.append_event(event(1))
    await log.append_json(RecordKind.COMMAND, {"state": "SENT"})
    last = await log.append_events([event(2), event(3)])
    await log.close()

    log = await open_log()
    payloads = [item.payload for item in everything(log) if item.sequence <= last]

    assert [entry] == log.dictionary
    assert [[], [entry], event(1), {"state": "SENT"}, event(2), event(3)] == payloads


async def test_each_file_begins_with_all_that_is_known(open_log: OpenLog, disk: FakeDisk) -> None:
    """So that a start reads one file, however many there are."""
    entry = DictionaryEntry(1, POINT, ValueKind.FLOAT, "plant/pump/pressure")
    log = await open_log(settings=SMALL.model_copy(update={"file_bytes_max": 4096}))
    await log.append_dictionary([entry])
    for number in range(1, 60):
        await log.append_batch(batch(number))
    await log.close()
    names = [name for name in disk.list(FOLDER) if name.endswith(".log")]
    for name in names[:-1]:
        disk.remove(FOLDER / name)

    log = await open_log()

    assert len(names) > 2
    assert [entry] == log.dictionary
    assert all(log.received.has(SENDER, number) for number in range(1, 60))


async def test_files_are_read_in_order_across_restarts(open_log: OpenLog) -> None:
    settings = SMALL.model_copy(update={"file_bytes_max": 4096, "cache_bytes_max": 0})
    for start in (1, 21, 41):
        log = await open_log(settings=settings)
        for number in range(start, start + 20):
            await log.append_batch(batch(number))
        await log.close()

    log = await open_log(settings=settings)

    assert list(range(1, 61)) == [item.sequence for item in batches(log)]
    sequences = [item.sequence for item in everything(log)]
    assert list(range(1, log.durable + 1)) == sequences
    assert sequences[30:] == [item.sequence for item in everything(log, sequences[29])]


async def test_no_acknowledgement_while_the_disk_holds_the_sync(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    log = await open_log()
    before = log.durable
    with disk.hold_sync():
        futures = [log.append_batch_nowait(batch(number)) for number in range(1, 10)]
        done, _ = await asyncio.wait(futures, timeout=0.05)
        assert not done
        assert [] == log.read(before)
        assert before == log.durable

    await asyncio.gather(*futures)
    assert before + 9 == log.durable


async def test_what_comes_while_a_sync_runs_shares_the_next(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    log = await open_log()
    syncs = disk.syncs
    with disk.hold_sync():
        futures = [log.append_batch_nowait(batch(1))]
        await asyncio.sleep(0.02)
        futures += [log.append_batch_nowait(batch(number)) for number in range(2, 50)]
    await asyncio.gather(*futures)

    assert disk.syncs - syncs <= 2


async def test_wait_beyond_returns_with_the_next_group(open_log: OpenLog) -> None:
    log = await open_log()
    waiting = asyncio.ensure_future(log.wait_beyond(log.durable))
    await asyncio.sleep(0)
    assert not waiting.done()

    sequence = await log.append_batch(batch(1))

    assert sequence == await waiting == await log.wait_beyond(0)


async def test_receive_time_never_goes_back(open_log: OpenLog, clock: FakeClock) -> None:
    log = await open_log()
    await log.append_batch(batch(1))
    clock.jump(-3_600_000_000_000)
    await log.append_batch(batch(2))
    await log.close()
    log = await open_log()
    await log.append_batch(batch(3), receive_ns=5)

    times = [item.receive_ns for item in everything(log)]
    assert sorted(times) == times


async def test_credit_bounds_what_waits(open_log: OpenLog, disk: FakeDisk) -> None:
    log = await open_log(settings=SMALL.model_copy(update={"credit_bytes_max": 1000}))
    with disk.hold_sync():
        futures = [log.append_batch_nowait(batch(number)) for number in (1, 2, 3)]
        with pytest.raises(Refused, match="busy"):
            log.append_batch_nowait(batch(4, rows=40))
        waiting = asyncio.ensure_future(log.append_batch(batch(50, rows=40)))
        event_ = asyncio.ensure_future(log.append_event(event(1)))
        await asyncio.sleep(0)
        assert 0 == log.credit.free_bytes
        assert not waiting.done()
    await asyncio.gather(*futures, waiting, event_)

    assert 1000 == log.credit.free_bytes


async def test_a_cancelled_waiter_gives_its_credit_back(open_log: OpenLog, disk: FakeDisk) -> None:
    log = await open_log(settings=SMALL.model_copy(update={"credit_bytes_max": 1000}))
    with disk.hold_sync():
        tasks = [asyncio.ensure_future(log.append_batch(batch(number))) for number in range(1, 30)]
        await asyncio.sleep(0)
        for task in tasks[1::2]:
            task.cancel()
    await asyncio.gather(*tasks[::2])
    await asyncio.wait(tasks)

    assert 1000 == log.credit.free_bytes
    assert 0 == log.credit.waiting


async def test_files_go_when_the_slowest_blocking_reader_has_passed(open_log: OpenLog) -> None:
    settings = SMALL.model_copy(
        update={"file_bytes_max": 4096, "log_bytes_keep": 0, "cache_bytes_max": 0}
    )
    log = await open_log(settings=settings)
    fast = log.declare_reader("historian", blocks=True)
    slow = log.declare_reader("alarms", blocks=True)
    for number in range(1, 100):
        fast.advance(await log.append_batch(batch(number)))
    assert 1 == log.first_sequence

    slow.advance(fast.position - 1)
    await log.append_batch(batch(100))

    assert 1 < log.first_sequence <= slow.position + 1
    assert log.first_sequence == log.read(0)[0].sequence


async def test_a_lagging_link_loses_what_its_limit_says_and_is_told(open_log: OpenLog) -> None:
    settings = SMALL.model_copy(update={"file_bytes_max": 4096, "log_bytes_keep": 0})
    log = await open_log(settings=settings)
    historian = log.declare_reader("historian", blocks=True)
    link = log.declare_reader("link", blocks=False, lag_bytes_max=10_000)
    for number in range(1, 200):
        historian.advance(await log.append_batch(batch(number)))

    assert link.dropped > 0
    assert log.first_sequence - 1 == link.position == link.dropped
    assert 5_000 < log.statistics()["file_bytes"] < 16_000


async def test_a_log_that_readers_hold_full_refuses_batches_but_not_events(
    open_log: OpenLog,
) -> None:
    settings = SMALL.model_copy(
        update={
            "file_bytes_max": 4096,
            "log_bytes_keep": 0,
            "log_bytes_max": 20_000,
            "group_bytes_max": 4096,
        }
    )
    log = await open_log(settings=settings)
    reader = log.declare_reader("historian", blocks=True)
    accepted = await fill(log)
    await log.append_event(event(1))
    assert 1 == log.statistics()["is_full"]
    reader.advance(log.durable)
    await log.append_batch(batch(200))

    assert "log_full" == accepted[-1]
    assert 0 == log.statistics()["is_full"]
    assert log.statistics()["file_bytes"] < 20_000


async def test_a_full_disk_refuses_batches_takes_events_and_recovers(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    log = await open_log()
    disk.capacity_bytes = disk.used_bytes() + 2_000
    *accepted, code = await fill(log)
    await log.append_event(event(1))
    assert 1 == log.statistics()["is_full"]
    with pytest.raises(Refused):
        await log.append_batch(batch(500))

    disk.capacity_bytes += 300_000
    await log.append_batch(batch(501))
    await log.close()

    log = await open_log()
    assert "disk_full" == code
    assert [*accepted, 501] == [item.sequence for item in batches(log)]
    assert 1 == log.statistics()["has_ballast"]
    assert 0 == log.statistics()["gaps"]


async def test_the_second_full_disk_finds_the_ballast_again(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    """Batches are taken back only when the next full disk will have room for events again."""
    log = await open_log()
    for number in (1, 2):
        disk.capacity_bytes = disk.used_bytes() + 2_000
        assert "disk_full" == (await fill(log))[-1]
        assert 0 == log.statistics()["has_ballast"]
        await log.append_event(event(number))
        disk.capacity_bytes += 300_000
        await log.append_batch(batch(1_000 + number))

        assert (0, 1) == (log.statistics()["is_full"], log.statistics()["has_ballast"])


async def test_batches_wait_until_there_is_room_for_the_ballast(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    """Room for a batch alone is not enough: it would be the last thing that is written."""
    log = await open_log()
    disk.capacity_bytes = disk.used_bytes() + 2_000
    await fill(log)

    disk.capacity_bytes = disk.used_bytes() + SMALL.ballast_bytes + 2_000
    with pytest.raises(Refused):
        await log.append_batch(batch(1_000))
    await log.append_event(event(1))
    assert 1 == log.statistics()["is_full"]


async def test_a_disk_that_refuses_the_ballast_takes_no_batches(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    """Free bytes are a promise; only the bytes that were written are kept aside."""
    log = await open_log()
    disk.capacity_bytes = disk.used_bytes() + 2_000
    await fill(log)
    disk.capacity_bytes += 300_000
    disk.fail_at(1, OSError(errno.EDQUOT, "quota"))

    with pytest.raises(Refused):
        await log.append_batch(batch(1_000))
    await log.append_batch(batch(1_001))
    assert (0, 1) == (log.statistics()["is_full"], log.statistics()["has_ballast"])


async def test_a_log_opens_and_is_read_on_a_full_disk(open_log: OpenLog, disk: FakeDisk) -> None:
    log = await open_log(settings=SMALL.model_copy(update={"ballast_bytes": 0}))
    await log.append_batch(batch(1))
    await log.close()
    disk.capacity_bytes = disk.used_bytes()

    log = await open_log()
    assert [1] == [item.sequence for item in batches(log)]
    with pytest.raises(Refused):
        await log.append_batch(batch(2))

    disk.capacity_bytes += 1_000_000
    await log.append_batch(batch(2))
    assert [1, 2] == [item.sequence for item in batches(log)]


@pytest.mark.parametrize("call", [1, 2])
async def test_a_failed_write_or_sync_goes_on_in_a_new_incarnation(
    open_log: OpenLog, disk: FakeDisk, call: int
) -> None:
    """A second fdatasync on the same pages says yes and means nothing (fsyncgate)."""
    log = await open_log()
    await log.append_batch(batch(1))
    incarnation = log.incarnation
    disk.fail_at(call, OSError(errno.EIO, "bad medium"))

    await log.append_batch(batch(2))

    assert [1, 2] == [item.sequence for item in batches(log)]
    assert log.incarnation == incarnation + (call == 2)
    disk.power_cut(1)
    again = await open_log()
    assert [1, 2] == [item.sequence for item in batches(again)]
    assert 0 == again.statistics()["gaps"]


async def test_a_closed_log_refuses(open_log: OpenLog) -> None:
    log = await open_log()
    waiting = asyncio.ensure_future(log.wait_beyond(log.durable))
    pending = log.append_batch_nowait(batch(1))
    await asyncio.sleep(0)
    await log.close()

    await pending
    await asyncio.wait([waiting])
    assert waiting.exception() is None or isinstance(waiting.exception(), Refused)
    with pytest.raises(Refused):
        await log.append_batch(batch(2))
    with pytest.raises(Refused):
        await log.wait_beyond(log.durable)


async def test_another_process_tails_up_to_the_watermark(open_log: OpenLog, tmp_path: Path) -> None:
    folder = tmp_path / "log" / "0"
    tail = LogTail(folder)
    assert [] == tail.read(0)
    settings = LogSettings(linger_ms=0, file_bytes_max=8192, ballast_bytes=4096)
    log = await open_log(folder, SystemDisk(), settings)
    for number in range(1, 100):
        await log.append_batch(batch(number))

    assert log.durable == tail.durable
    assert list(range(1, 100)) == [item.sequence for item in batches(tail)]
    assert list(range(1, log.durable + 1)) == [item.sequence for item in everything(tail)]
    tail.close()


async def test_the_columns_from_a_file_are_read_only_views(
    open_log: OpenLog, tmp_path: Path
) -> None:
    log = await open_log(tmp_path / "log" / "0", SystemDisk(), SMALL)
    await log.append_batch(batch(1, rows=100))
    await log.close()
    log = await open_log(tmp_path / "log" / "0", SystemDisk(), SMALL)

    column = batches(log)[0].frames[0].value

    assert isinstance(column, np.ndarray)
    assert not column.flags.writeable
