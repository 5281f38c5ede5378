"""A line at work, on a clock that the test moves: polls, losses, probes, writes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scripted import BenchLine, S, document, planned, point, settle

from penstock.model import Quality
from penstock.model.frame import ValueKind
from penstock.plugin import ReadBack, WriteOutcome, WriteRequest, WriteResult

LOST = Quality.BAD_NO_COMMUNICATION
GOOD = Quality.GOOD
Open = Callable[..., BenchLine]


async def test_a_device_that_answers_says_so_and_then_its_values(line: Open) -> None:
    bench = line()
    await bench.after(2.5)

    assert (900, 1, GOOD) in bench.rows()
    assert 3 == sum(row == (1, 1.0, GOOD) for row in bench.rows())
    assert [True] == [device.state.is_connected for device in bench.runner.devices.values()]
    assert 1 == bench.rows().count((900, 1, GOOD))


async def test_a_loss_is_one_bad_row_a_point(line: Open) -> None:
    bench = line(points=(point(1), point(2, kind=ValueKind.INT)))
    await bench.after(1.5)
    bench.take()

    bench.wire.is_up = False
    await bench.after(30)

    assert [(1, None, LOST), (2, None, LOST), (900, 0, GOOD)] == sorted(
        bench.take(), key=lambda row: row[0]
    )


async def test_stale_comes_before_bad(line: Open) -> None:
    """The last answer was at 1.0 s; at a period of 1 s the loss is 3.5 s later, not sooner."""
    bench = line()
    await bench.after(1.5)
    bench.take()
    bench.wire.is_up = False

    await bench.after(2.9)
    assert [] == bench.take()

    await bench.after(0.2)
    assert 3 == len(bench.take())


async def test_the_plant_can_say_when_silence_is_a_loss(line: Open) -> None:
    bench = line(loss_after_s=20)
    await bench.after(0.5)
    bench.take()
    bench.wire.is_up = False

    await bench.after(19)
    assert [] == bench.take()

    await bench.after(1.2)
    assert 3 == len(bench.take())


async def test_the_first_good_sample_ends_the_loss(line: Open) -> None:
    bench = line()
    bench.wire.is_up = False
    await bench.after(5)
    assert [(1, None, LOST), (2, None, LOST), (900, 0, GOOD)] == bench.take()

    bench.wire.is_up = True
    await bench.after(10)

    found = bench.take()
    assert [(900, 1, GOOD)] == [row for row in found if row[0] == 900]
    assert {1.0} == {row[1] for row in found if row[0] != 900}


async def test_a_short_interruption_is_no_loss(line: Open) -> None:
    bench = line()
    await bench.after(1.5)
    bench.take()

    bench.wire.is_up = False
    await bench.after(0.6)
    bench.wire.is_up = True
    await bench.after(3)

    assert {GOOD} == {row[2] for row in bench.take()}


async def test_a_silent_device_is_probed_by_steps_and_its_neighbour_goes_on(line: Open) -> None:
    bench = line(points=(point(1, "d1"), point(2, "d2")))
    await bench.after(1.5)
    bench.wire.silent = {"d2"}
    await bench.after(60)
    found = bench.take()

    assert [(2, None, LOST)] == [row for row in found if row[2] == LOST]
    assert 60 <= sum(row[0] == 1 for row in found) <= 63
    # 1, 2, 4, 8, 16, 32 s ± 20 %: a minute has about six steps.
    assert 4 <= bench.wire.count("probe", "d2") <= 7
    assert 0 == bench.wire.count("probe", "d1")
    assert 1 == bench.wire.count("open")


async def test_a_device_that_is_back_is_read_at_once(line: Open) -> None:
    bench = line(points=(point(1, "d1"), point(2, "d2")))
    bench.wire.silent = {"d2"}
    await bench.after(5)
    bench.take()
    bench.wire.silent = set()
    await bench.after(6)

    assert (2, 1.0, GOOD) in bench.take()


async def test_after_an_outage_devices_do_not_wait_for_their_own_back_off(line: Open) -> None:
    """The line has waited long enough; as soon as it is open, a device is asked."""
    bench = line()
    await bench.after(1.5)
    bench.wire.is_up = False
    await bench.after(200, step_s=0.5)
    bench.take()
    before = bench.wire.count("open")
    bench.wire.is_up = True
    while bench.wire.count("open") == before:
        await bench.after(0.5, step_s=0.5)
    await bench.after(1.1)

    assert (1, 1.0, GOOD) in bench.take()


async def test_attempts_to_connect_back_off(line: Open) -> None:
    bench = line()
    bench.wire.is_up = False
    await bench.after(60)

    assert 14 <= bench.wire.count("open") <= 24


async def test_a_line_is_back_within_five_seconds_however_long_it_was_away(line: Open) -> None:
    bench = line()
    bench.wire.is_up = False
    await bench.after(600)
    bench.wire.is_up = True
    bench.take()
    await bench.after(4.5)

    assert (900, 1, GOOD) in bench.take()


async def test_bad_values_are_an_answer(line: Open) -> None:
    bench = line()
    bench.wire.quality = Quality.BAD_SENSOR_FAILURE
    await bench.after(10)

    assert {GOOD, Quality.BAD_SENSOR_FAILURE} == {row[2] for row in bench.take()}
    assert 0 == bench.runner.counters["failures"]
    assert 0 == bench.runner.devices["d1"].good_rows


async def test_missed_periods_are_counted(line: Open) -> None:
    bench = line(points=(point(1),))
    await bench.after(0.5)
    bench.wire.gate.clear()
    await bench.after(4)
    bench.wire.gate.set()
    await bench.after(1)

    # Held from 1.0 to 4.5 s: the turn of 2.0 s is late, those of 3.0 and 4.0 s are gone.
    assert 2 == bench.runner.counters["missed"]


async def test_a_full_uplink_stretches_polls_and_counts(line: Open) -> None:
    bench = line(window=1)
    await bench.after(0.5)
    bench.collector.flush()
    polls = bench.runner.counters["polls"]
    await bench.after(10)

    assert polls == bench.runner.counters["polls"]
    assert 1 == bench.runner.counters["stretched"]

    bench.uplink._pending.clear()
    bench.uplink._pending_bytes = 0
    bench.uplink._room.set()
    await bench.after(1.5)

    assert polls < bench.runner.counters["polls"]
    assert 9 <= bench.runner.counters["missed"]


async def write(bench: BenchLine, value: float = 5.0) -> WriteResult | ReadBack:
    job = bench.runner.write_job(WriteRequest(1, value))
    assert bench.runner.submit(job)
    await settle()
    assert job.done.done()
    return job.done.result()


async def test_a_write_does_not_wait_for_the_next_poll(line: Open) -> None:
    bench = line(points=(point(1, rate_s="60"),))
    await bench.after(1)

    result = await write(bench)

    assert WriteResult(WriteOutcome.ACCEPTED, "as the test wants") == result
    assert [("write", "5.0")] == bench.wire.seen[-1:]


async def test_a_write_comes_between_two_reads(line: Open) -> None:
    """The connector never sees two calls at once."""
    bench = line()
    await bench.after(0.5)
    bench.wire.gate.clear()
    await bench.after(1)
    job = bench.runner.write_job(WriteRequest(1, 5.0))
    bench.runner.submit(job)
    await settle()
    assert 0 == bench.wire.count("write")

    bench.wire.gate.set()
    await settle()

    assert 1 == bench.wire.count("write")
    assert job.done.done()


async def test_a_full_log_does_not_stop_a_command(line: Open) -> None:
    bench = line(window=1)
    await bench.after(0.5)
    bench.collector.flush()
    await bench.after(3)
    assert not bench.uplink.has_room

    result = await write(bench)

    assert isinstance(result, WriteResult)
    assert WriteOutcome.ACCEPTED is result.outcome


async def test_jobs_are_refused_while_nothing_is_connected(line: Open) -> None:
    bench = line()
    bench.wire.is_up = False
    await bench.after(20)

    result = await write(bench)

    assert WriteResult(WriteOutcome.NOT_SENT, "a does not answer") == result
    assert 0 == bench.wire.count("write")


async def test_a_line_that_is_lost_under_a_write_leaves_it_unknown(line: Open) -> None:
    bench = line()
    await bench.after(0.5)
    bench.wire.is_up = False

    result = await write(bench)

    assert isinstance(result, WriteResult)
    assert WriteOutcome.UNKNOWN is result.outcome
    assert 1 == bench.wire.count("write")


@pytest.mark.parametrize("is_started", [False, True])
async def test_jobs_of_a_line_that_ends_have_an_outcome(line: Open, is_started: bool) -> None:
    bench = line()
    await bench.after(0.5)
    bench.wire.gate.clear()
    if not is_started:
        await bench.after(1)  # a read holds the line
    job = bench.runner.write_job(WriteRequest(1, 5.0))
    bench.runner.submit(job)
    await settle()
    await bench.stop()

    result = job.done.result()
    assert isinstance(result, WriteResult)
    expected = WriteOutcome.UNKNOWN if is_started else WriteOutcome.NOT_SENT
    assert expected is result.outcome
    assert is_started == (bench.wire.count("write") == 1)


async def test_only_so_many_jobs_wait(line: Open) -> None:
    bench = line(start=False)
    taken = [bench.runner.submit(bench.runner.read_back_job(1)) for _ in range(17)]

    assert [True] * 16 + [False] == taken


async def test_a_bug_ends_the_worker_and_closes_the_connector(line: Open) -> None:
    bench = line()
    await bench.after(0.5)
    bench.wire.crash = "read"
    await bench.after(1)

    assert bench.task is not None
    assert isinstance(bench.task.exception(), RuntimeError)
    assert ("close", "") == bench.wire.seen[-1]


async def test_a_crash_again_and_again_is_a_loss(line: Open) -> None:
    bench = line()
    await bench.after(0.5)
    await bench.stop()
    bench.take()

    bench.runner.on_crash(RuntimeError("bug"))
    assert [] == bench.take()
    bench.clock.advance(5 * S)
    bench.runner.on_crash(RuntimeError("bug"))

    assert [(1, None, LOST), (2, None, LOST), (900, 0, GOOD)] == bench.take()


def test_loss_after_s_is_checked() -> None:
    with pytest.raises(AssertionError, match=r"is not 0\.5 to 3600 seconds"):
        planned(document(point(1), loss_after_s=0.1))


async def test_a_jobs_waiter_may_go(line: Open) -> None:
    bench = line()
    await bench.after(0.5)
    job = bench.runner.write_job(WriteRequest(1, 5.0))
    job.done.cancel()
    bench.runner.submit(job)
    await settle()

    assert 0 == bench.wire.count("write")


async def test_rows_that_a_loss_left_out_were_wanted_all_the_same(line: Open) -> None:
    """Else a device that was away for half a day would show 100 % good data."""
    bench = line()
    await bench.after(0.5)
    bench.wire.is_up = False
    await bench.after(10)
    device = next(iter(bench.runner.devices.values()))

    assert device.good_rows < 0.2 * bench.runner.wanted_rows(device.name)
