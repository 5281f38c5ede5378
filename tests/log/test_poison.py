"""A record that its reader cannot take costs some starts, then that record, and nothing else."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from partition import FOLDER, SMALL, OpenLog, batch, batches, everything
from sqlalchemy.exc import IntegrityError, OperationalError

from penstock.log import Follower, Log, LogRecord, RecordKind, quarantine
from penstock.log.poison import ATTEMPTS_MAX, SET_ASIDE_MAX
from penstock.log.projection import Projection
from penstock.log.watch import LogWatch
from penstock.model import Batch, Refused
from penstock.testing import FakeClock
from penstock.testing.disk import FakeDisk

QUARANTINE = FOLDER.parent / "quarantine"
SETTINGS = SMALL.model_copy(update={"ballast_bytes": 0})


class Reader:
    """Takes batches, and raises at some of them, wherever they stand among others."""

    def __init__(self, log: Log, bad: set[int], error: Exception, position: int = 0) -> None:
        self.bad = bad
        self.error = error
        self.taken: list[int] = []
        self.follower = Follower(log, "historian", self._take)
        self.follower.resume(log.incarnation, position)

    async def _take(self, records: Sequence[LogRecord]) -> None:
        numbers = [item.payload.sequence for item in records if isinstance(item.payload, Batch)]
        if self.bad.intersection(numbers):
            raise self.error
        self.taken += numbers


async def filled(open_log: OpenLog, count: int = 20) -> Log:
    log = await open_log(settings=SETTINGS)
    for number in range(1, count + 1):
        await log.append_batch(batch(number))
    return log


async def starts(
    open_log: OpenLog, log: Log, bad: set[int], error: Exception, most: int = 40
) -> tuple[Reader, int]:
    """Start again after each error, from the first record, until all is taken; the starts."""
    for count in range(1, most + 1):
        reader = Reader(log, bad, error)
        try:
            await reader.follower.catch_up()
        except type(error):
            await log.close()
            log = await open_log(settings=SETTINGS)
        else:
            return reader, count
    raise AssertionError("it never came to the end")


def gaps(log: Log) -> list[dict[str, object]]:
    return [dict(item.payload) for item in everything(log) if item.kind == RecordKind.GAP]


async def test_only_the_bad_record_is_set_aside(open_log: OpenLog, disk: FakeDisk) -> None:
    log = await filled(open_log)
    where = next(item.sequence for item in everything(log) if _is(item, 7))

    reader, count = await starts(open_log, log, {7}, ZeroDivisionError("a bug"))

    assert [*range(1, 7), *range(8, 21)] == reader.taken
    assert 1 + ATTEMPTS_MAX < count <= 3 + ATTEMPTS_MAX
    log = reader.follower._log  # type: ignore[assignment]
    (gap,) = gaps(log)
    assert ("record_poisoned", "historian", where, where) == (
        gap["cause"], gap["reader"], gap["first_sequence"], gap["last_sequence"],
    )  # fmt: skip
    assert [gap["quarantine"]] == disk.list(QUARANTINE)
    (found,) = quarantine.records_in(disk.read(QUARANTINE / str(gap["quarantine"])))
    assert isinstance(found[1], Batch)
    assert batch(7).frames[0].value.tolist() == found[1].frames[0].value.tolist()
    assert 20 == len(batches(log)), "the log and other readers still have it"


async def test_the_next_start_passes_it_by_at_once_and_says_nothing_again(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    log = await filled(open_log)
    reader, _ = await starts(open_log, log, {7, 12}, ZeroDivisionError())
    log = reader.follower._log  # type: ignore[assignment]
    await log.close()

    log = await open_log(settings=SETTINGS)
    again = Reader(log, {7, 12}, ZeroDivisionError())
    await again.follower.catch_up()

    assert reader.taken == again.taken
    assert 2 == len(gaps(log))
    assert 2 == len(disk.list(QUARANTINE))


@pytest.mark.parametrize("error", [OSError(28, "full"), Refused("disk_full")])
async def test_a_disk_that_says_no_is_no_fault_of_a_record(
    open_log: OpenLog, disk: FakeDisk, error: Exception
) -> None:
    log = await filled(open_log)
    with pytest.raises(AssertionError, match="never"):
        await starts(open_log, log, {7}, error, most=20)

    assert [] == disk.list(QUARANTINE)


async def test_a_database_that_is_locked_is_no_fault_and_one_that_refuses_a_row_is(
    open_log: OpenLog,
) -> None:
    log = await open_log(settings=SETTINGS)
    projection = Projection.__new__(Projection)
    assert projection.is_transient(OperationalError("", {}, Exception("locked")))
    assert not projection.is_transient(IntegrityError("", {}, Exception("unique")))
    assert not projection.is_transient(KeyError("field"))
    assert log.durable


async def test_an_error_that_does_not_come_back_costs_nothing(
    open_log: OpenLog, disk: FakeDisk
) -> None:
    log = await filled(open_log)
    reader = Reader(log, {7}, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await reader.follower.catch_up()
    assert ["historian.suspect"] == disk.list(QUARANTINE)

    reader.bad = set()
    await reader.follower.catch_up()

    assert list(range(1, 21)) == reader.taken
    assert [] == disk.list(QUARANTINE)


async def test_other_readers_are_not_slowed(open_log: OpenLog) -> None:
    log = await filled(open_log)
    reader = Reader(log, {7}, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await reader.follower.catch_up()
    taken: list[int] = []

    async def take(records: Sequence[LogRecord]) -> None:
        taken.append(len(records))

    await Follower(log, "alarms", take).catch_up()
    assert [log.durable] == taken


async def test_code_that_fails_at_everything_sets_only_so_much_aside(
    open_log: OpenLog, disk: FakeDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it stops and waits for a person."""
    assert SET_ASIDE_MAX == 100
    monkeypatch.setattr("penstock.log.poison.SET_ASIDE_MAX", 3)
    log = await filled(open_log)
    with pytest.raises(AssertionError, match="never"):
        await starts(open_log, log, set(range(1, 21)), ZeroDivisionError())

    assert 3 == len([name for name in disk.list(QUARANTINE) if name.endswith(".record")])


async def test_an_event_tells_it(open_log: OpenLog, disk: FakeDisk, clock: FakeClock) -> None:
    log = await filled(open_log)
    watch = LogWatch(log, log.retention, FOLDER, disk, clock)
    log.declare_reader("alarms", blocks=True).poisoned = 2
    await watch.look()
    await watch.look()

    (event,) = [item.payload for item in everything(log) if item.kind == RecordKind.EVENT]
    assert "log.record_poisoned" == event.type
    assert {"reader": "alarms", "records": 2} == dict(event.data)


async def test_the_quarantine_is_bounded(
    open_log: OpenLog, disk: FakeDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the limit only names, so that a gap is still recorded once."""
    monkeypatch.setattr("penstock.log.quarantine.QUARANTINE_BYTES_MAX", 1_000)
    for number in range(5):
        quarantine.keep_bytes(FOLDER, disk, f"copy-{number}", bytes(400))

    assert [400, 400, 0, 0, 0] == [disk.size(QUARANTINE / name) for name in disk.list(QUARANTINE)]


def test_a_person_can_read_what_is_in_a_copy(tmp_path: Path) -> None:
    """Records with damage around them, as JSON lines or as rows."""
    source = Path(__file__).parents[1] / "golden"
    record, event_ = ((source / f"record-{name}.bin").read_bytes() for name in ("batch", "event"))
    copy = tmp_path / "copy.damaged"
    copy.write_bytes(b"x" * 24 + record + b"y" * 8 + event_)
    lines, rows = io.StringIO(), io.StringIO()

    assert 0 == quarantine.main([str(copy)], lines)
    assert 0 == quarantine.main(["--csv", str(copy)], rows)
    assert 1 == quarantine.main([], lines)

    first, second = map(json.loads, lines.getvalue().splitlines())
    assert ("batch", 4711, 8) == (first["kind"], first["sequence"], first["rows"])
    assert "event" == second["kind"]
    assert 8 == len(rows.getvalue().splitlines())
    assert "1,1790000000000000000,21.5,192,0" == rows.getvalue().splitlines()[0]


def _is(item: LogRecord, number: int) -> bool:
    return isinstance(item.payload, Batch) and item.payload.sequence == number
