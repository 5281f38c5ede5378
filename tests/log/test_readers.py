"""Declared readers: who holds what, what a limit takes, and that it is said before it is done."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from partition import FOLDER, SMALL, OpenLog, batch, everything

from penstock.log import Log, ReaderHandle, RecordKind
from penstock.log.entry import batch_entry
from penstock.log.receive_time import HOUR_NS
from penstock.log.watch import LogWatch
from penstock.model import Event, Refused
from penstock.testing import FakeClock
from penstock.testing.disk import FakeDisk, PowerCut

SETTINGS = SMALL.model_copy(
    update={"file_bytes_max": 4096, "log_bytes_keep": 0, "cache_bytes_max": 0}
)
MINUTE_NS = HOUR_NS // 60


async def fill(log: Log, historian: ReaderHandle, count: int, first: int = 1) -> None:
    for number in range(first, first + count):
        historian.advance(await log.append_batch(batch(number)))


def gaps(log: Log) -> list[dict[str, object]]:
    return [
        dict(item.payload)
        for item in everything(log)
        if item.kind == RecordKind.GAP and isinstance(item.payload, dict)
    ]


def watch(log: Log, disk: FakeDisk, clock: FakeClock) -> LogWatch:
    return LogWatch(log, log.retention, FOLDER, disk, clock)


def events(log: Log) -> list[Event]:
    return [item.payload for item in everything(log) if isinstance(item.payload, Event)]


async def test_a_reader_that_never_lags_too_much_loses_nothing(open_log: OpenLog) -> None:
    log = await open_log(settings=SETTINGS)
    historian = log.declare_reader("historian", blocks=True)
    link = log.declare_reader("link", blocks=False, lag_bytes_max=50_000)
    await fill(log, historian, 200)

    assert 0 == link.dropped
    assert 1 == log.first_sequence
    assert log.durable == log.retention.statistics(log.durable)["link_behind_records"]


async def test_a_limit_in_bytes_becomes_gap_records_with_the_readers_name(
    open_log: OpenLog,
) -> None:
    log = await open_log(settings=SETTINGS)
    historian = log.declare_reader("historian", blocks=True)
    link = log.declare_reader("link", blocks=False, owner="hub", lag_bytes_max=10_000)
    await fill(log, historian, 300)

    found = [item for item in gaps(log) if item["scope"] == "reader"]
    assert {("reader_lag", "link", "hub", "bytes")} == {
        (item["cause"], item["reader"], item["owner"], item["limit"]) for item in found
    }
    assert link.dropped == link.position == log.first_sequence - 1
    ends = [item["last_sequence"] for item in found]
    assert sorted(set(ends)) == ends
    assert link.dropped == log.retention.statistics(log.durable)["link_dropped_records"]


async def test_a_limit_in_time_counts_receive_time(open_log: OpenLog, clock: FakeClock) -> None:
    log = await open_log(settings=SETTINGS)
    historian = log.declare_reader("historian", blocks=True)
    link = log.declare_reader("link", blocks=False, lag_s_max=3600)
    await fill(log, historian, 100)
    clock.advance(50 * MINUTE_NS)
    await fill(log, historian, 100, 101)
    assert 0 == link.dropped

    clock.advance(20 * MINUTE_NS)
    await fill(log, historian, 3, 201)

    assert 0 < link.dropped < 101
    assert "age" == link.limit
    assert {"age"} == {item["limit"] for item in gaps(log)}


async def test_a_clock_that_jumps_takes_nothing(
    open_log: OpenLog, disk: FakeDisk, clock: FakeClock
) -> None:
    """Ten years ahead, everything would look old enough; also after a restart."""
    log = await open_log(settings=SETTINGS)
    historian = log.declare_reader("historian", blocks=True)
    link = log.declare_reader("link", blocks=False, lag_s_max=3600)
    await fill(log, historian, 100)
    clock.jump(87_600 * HOUR_NS)
    await fill(log, historian, 100, 101)

    assert 0 == link.dropped
    assert 1 == log.statistics()["is_retention_paused"]
    looker = watch(log, disk, clock)
    looker._jump = None
    await looker.look()
    await looker.look()
    assert ["log.clock_jumped"] == [item.type for item in events(log)]
    await log.close()

    log = await open_log(settings=SETTINGS)
    assert 1 == log.statistics()["is_retention_paused"]
    looker = watch(log, disk, clock)
    log.retention.time.confirm()
    await looker.look()
    assert ["log.clock_jumped", "log.clock_settled"] == [item.type for item in events(log)]
    await log.close()
    log = await open_log(settings=SETTINGS)
    assert 0 == log.statistics()["is_retention_paused"]


async def test_want_of_space_takes_from_readers_that_do_not_block(open_log: OpenLog) -> None:
    settings = SETTINGS.model_copy(update={"log_bytes_max": 40_000, "group_bytes_max": 8_000})
    log = await open_log(settings=settings)
    historian = log.declare_reader("historian", blocks=True)
    link = log.declare_reader("link", blocks=False, lag_bytes_max=10**9, lag_s_max=10**9)
    await fill(log, historian, 400)

    assert 0 < link.dropped
    assert "space" == link.limit


async def test_the_gap_is_durable_before_the_file_goes(open_log: OpenLog, disk: FakeDisk) -> None:
    """Whenever the power is cut: what is not there any more has its gap record."""
    count, cuts = 0, 0
    log = await open_log(settings=SETTINGS)
    for call in range(1, 60):
        historian = log.declare_reader("historian", blocks=True)
        link = log.declare_reader("link", blocks=False, lag_bytes_max=6_000)
        link.advance(log.first_sequence - 1)
        historian.advance(log.durable)
        disk.fail_at(call, PowerCut())
        try:
            for _ in range(20):
                count += 1
                outcome = log._writer.commit([batch_entry(batch(count), None)])
                log._resolve(outcome)
                historian.advance(log.durable)
        except PowerCut:
            cuts += 1
        disk.power_cut(call)
        log = await open_log(settings=SETTINGS)
        told = [item["last_sequence"] for item in gaps(log) if item["scope"] == "reader"]
        first = log.first_sequence
        assert first == 1 or not told or max(map(int, map(str, told))) >= first - 1
    assert cuts > 40
    assert log.first_sequence > 1


class Sink:
    """Takes events, or refuses them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.is_full = False

    async def append_events(self, events: Sequence[Event]) -> int:
        if self.is_full:
            raise Refused("log_full")
        self.events += events
        return 1


async def test_what_was_lost_is_an_event_once(
    open_log: OpenLog, disk: FakeDisk, clock: FakeClock
) -> None:
    """And one that is refused is tried again."""
    log = await open_log(settings=SETTINGS)
    historian = log.declare_reader("historian", blocks=True)
    link = log.declare_reader("link", blocks=False, owner="hub", lag_bytes_max=10_000)
    sink = Sink()
    looker = LogWatch(sink, log.retention, FOLDER, disk, clock)
    await fill(log, historian, 200)
    first = link.dropped
    await looker.look()
    await looker.look()
    historian.advance(log.durable)
    await fill(log, historian, 100, 201)
    sink.is_full = True
    await looker.look()
    sink.is_full = False
    await looker.look()

    found = [item.data for item in sink.events]
    assert [first, link.dropped - first] == [item["records"] for item in found]
    assert {("link", "hub", "bytes")} == {
        (item["reader"], item["owner"], item["limit"]) for item in found
    }


@pytest.mark.parametrize("limits", [{}, {"lag_bytes_max": 0}, {"lag_s_max": 0}])
async def test_nothing_is_taken_from_a_reader_that_blocks(
    open_log: OpenLog, limits: dict[str, int]
) -> None:
    log = await open_log(settings=SETTINGS)
    historian = log.declare_reader("historian", blocks=True)
    slow = log.declare_reader("alarms", blocks=True, **limits)
    await fill(log, historian, 200)

    assert 1 == log.first_sequence
    assert 0 == slow.dropped


async def test_what_a_person_has_deleted_leaves_the_log_whatever_its_size(
    open_log: OpenLog,
) -> None:
    """A small plant keeps its log for years; what was deleted must not stay there so long."""
    log = await open_log(settings=SMALL)
    historian = log.declare_reader("historian", blocks=True)
    await fill(log, historian, 20)
    before, files = log.durable, log.statistics()["files"]
    log.retention.forget(before - 5)

    await fill(log, historian, 3, first=21)

    assert log.first_sequence > before - 5
    assert log.durable > before
    assert 1 == files
    assert 3 <= sum(item.kind == RecordKind.BATCH for item in everything(log))


async def test_a_reader_that_has_not_taken_it_holds_it_all_the_same(open_log: OpenLog) -> None:
    log = await open_log(settings=SMALL)
    historian = log.declare_reader("historian", blocks=True)
    await log.append_batch(batch(1))
    log.retention.forget(log.durable)
    await log.append_batch(batch(2))
    await log.append_batch(batch(3))
    assert 1 == log.first_sequence

    await fill(log, historian, 2, first=4)

    assert log.first_sequence > 1


async def test_a_log_that_forgot_opens_again_with_all_that_it_knows(open_log: OpenLog) -> None:
    log = await open_log(settings=SMALL)
    historian = log.declare_reader("historian", blocks=True)
    await fill(log, historian, 20)
    log.retention.forget(log.durable)
    await fill(log, historian, 2, first=21)
    await log.close()

    again = await open_log(settings=SMALL)
    again.declare_reader("historian", blocks=True)
    for number in range(1, 23):
        await again.append_batch(batch(number))

    assert 22 == again.statistics()["duplicates"]
