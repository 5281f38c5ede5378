"""Retention and deletions as core runs them, with a real compute process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from real_compute import RealCompute
from scripted import NODE

from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.historian.query import raw
from penstock.historian.retention import DAY_NS, RetentionRule
from penstock.historian.size import Growth, Sizes
from penstock.log import Log, LogSettings
from penstock.log.receive_time import Jump, ReceiveTime
from penstock.model import (
    Batch,
    ConfigError,
    Event,
    Origin,
    Point,
    Quality,
    Refused,
    ValueKind,
)
from penstock.node.core.compaction import Compaction
from penstock.node.core.compute_link import ComputeLink
from penstock.node.core.keeping.deletion import DONE, FAILED, HIDDEN, Deletion
from penstock.node.core.keeping.deletions import PROPOSAL_NS, DeletionDesk
from penstock.node.core.keeping.retention import Retention
from penstock.node.core.keeping.size import SizeBook
from penstock.node.core.pins import Pins
from penstock.node.settings import ComputeSettings
from penstock.node.spool import Spool
from penstock.security import Entry
from penstock.testing import FakeClock, frame
from penstock.world import SystemDisk

S = 1_000_000_000
HOUR_NS = 3_600 * S
DAY = 1_790_000_000 * S // DAY_NS * DAY_NS
NAME = 3


def point(handle: int, path: str, kind: ValueKind = ValueKind.FLOAT) -> Point:
    asset, _, name = path.rpartition("/")
    return Point(UUID(int=handle), handle, path, asset, name, kind)


POINTS = [
    point(1, "Works/P1/speed"),
    point(2, "Works/P1/pressure"),
    point(NAME, "Works/door/name", ValueKind.TEXT),
]


class Bench:
    """Three days of three points, in segments and in the head, and a real compute process."""

    def __init__(self, home: Path, log: Log, rules: tuple[RetentionRule, ...]) -> None:
        self.home = home
        self.data = home / "data"
        self.log = log
        self.disk = SystemDisk()
        self.clock = FakeClock()
        settings = HistorianSettings(compaction_segments_min=3, retention=rules)
        historian = Historian.open(self.disk, self.data / "segments", settings)
        self.worker = HistorianWorker(historian, log, self.clock)
        self.historian = historian
        self.link = ComputeLink(
            log, lambda _id: None, node=NODE, settings=ComputeSettings().for_compute()
        )
        self.spool = Spool(self.disk, self.data)
        self.spool.clear()
        self.pins = Pins(self.worker, self.link, self.disk, self.spool, self.clock)
        self.compaction = Compaction(self.worker, self.link, self.clock)
        self.entries: list[Entry] = []
        self.events: list[Event] = []
        self.time = ReceiveTime(DAY + 3 * DAY_NS)
        self.retention = self.new_retention(rules)
        self.desk = self.new_desk()
        self.compute = RealCompute(home, str(NODE))
        self.sequence = 0

    def new_retention(self, rules: tuple[RetentionRule, ...]) -> Retention:
        known: list[tuple[Point, str | None]] = [(item, None) for item in POINTS]
        return Retention(
            rules,
            lambda: known,
            self.link,
            self.time,
            self.events.append,
            self.disk,
            self.data,
            self.clock,
        )

    def new_desk(self) -> DeletionDesk:
        return DeletionDesk(
            self.worker,
            self.link,
            self.log.retention,
            self.disk,
            self.data,
            self.clock,
            self.record,
        )

    async def record(self, entry: Entry) -> None:
        self.entries.append(entry)

    async def write(self) -> None:
        for day in range(3):
            times = [DAY + day * DAY_NS + n * 600 * S for n in range(144)]
            for handle in (1, 2):
                await self.send(frame(handle, times, [day + n / 7 for n in range(144)]))
            words = [f"guest {day} {n}" for n in range(24)]
            await self.send(frame(NAME, times[::6], words))
            if day < 2:
                await self.worker.flush_now()

    async def send(self, made: object) -> None:
        self.sequence += 1
        await self.log.append_batch(Batch(Origin(NODE, 1, 1), self.sequence, (made,)))  # type: ignore[arg-type]
        await self.worker.take_available()

    def times(self, handle: int) -> list[int]:
        rows, _ = raw(self.historian.pin([handle]), handle, 0, 2**62, 100_000)
        return [int(at) for at in rows.time_ns.tolist()]

    def last(self, handle: int) -> tuple[object, int]:
        rows = self.historian.last.rows([handle])
        return rows.value(0), int(rows.quality[0])

    async def delete(self, path: str, from_ns: int, to_ns: int) -> Deletion:
        points = [item for item in POINTS if item.path.startswith(path)]
        made = self.desk.propose("ada", path, points, from_ns, to_ns, "asked by the guest")
        done = await self.desk.confirm("ada", made.id, f"delete {path}")
        while self.desk._running:
            await asyncio.wait([*self.desk._running])
        return done

    def bytes_of(self, word: bytes) -> list[str]:
        """Files below data/ that hold these bytes."""
        files = sorted(path for path in self.data.rglob("*") if path.is_file())
        return [path.name for path in files if word in path.read_bytes()]


@pytest.fixture
def rules() -> tuple[RetentionRule, ...]:
    return (
        RetentionRule(points="*/speed", keep="1d"),
        RetentionRule(points="*/name", keep="forever"),
        RetentionRule(keep="2d"),
    )


@pytest.fixture
async def bench(tmp_path: Path, rules: tuple[RetentionRule, ...]) -> AsyncIterator[Bench]:
    log = await Log.open(
        tmp_path / "data" / "log" / "0",
        disk=SystemDisk(),
        clock=FakeClock(),
        origin=Origin(NODE, 0, 1),
        settings=LogSettings(linger_ms=0, ballast_bytes=64 * 1024, log_bytes_keep=10**9),
    )
    made = Bench(tmp_path, log, rules)
    try:
        await made.compute.link(made.link)
        await made.write()
        yield made
    finally:
        made.compute.close()
        await made.link.close()
        await made.worker.close(flush=False)
        await log.close()


# --- retention


async def test_what_has_expired_goes_once_a_day_and_is_counted_by_rule(bench: Bench) -> None:
    await bench.worker.flush_now()
    assert bench.retention.is_due()
    assert await bench.retention.step()

    assert DAY + 2 * DAY_NS == bench.times(1)[0]
    assert DAY + DAY_NS == bench.times(2)[0]
    assert DAY == bench.times(NAME)[0]
    counted = {row["words"]: row["rows"] for row in bench.retention.document()["rules"]}  # type: ignore[union-attr, index, call-overload]
    assert {"*/speed: 1d": 288, "*/name: forever": 0, "*: 2d": 144} == counted
    assert ["history.expired", "history.expired"] == [event.type for event in bench.events]
    assert not bench.retention.is_due()
    assert ("1d", DAY + 2 * DAY_NS) == bench.retention.kept(POINTS[0], None)
    assert ("forever", None) == bench.retention.kept(POINTS[NAME - 1], None)


async def test_late_data_that_is_too_old_is_seen_until_the_next_day(bench: Bench) -> None:
    await bench.worker.flush_now()
    await bench.retention.step()
    await bench.send(frame(1, [DAY + 5], [1.0]))
    assert DAY + 5 == bench.times(1)[0]
    await bench.worker.flush_now()

    bench.time.now_ns += DAY_NS
    assert bench.retention.is_due()
    await bench.retention.step()

    assert DAY + 5 not in bench.times(1)


async def test_a_clock_that_is_not_believed_deletes_nothing(bench: Bench) -> None:
    bench.time.now_ns += 10_000 * DAY_NS
    bench.time.jump = Jump(DAY, DAY + 10_000 * DAY_NS)

    assert not bench.retention.is_due()
    bench.time.confirm()
    assert bench.retention.is_due()


async def test_counts_and_the_day_survive_a_restart(
    bench: Bench, rules: tuple[RetentionRule, ...]
) -> None:
    await bench.worker.flush_now()
    await bench.retention.step()

    again = bench.new_retention(rules)

    assert bench.retention.document() == again.document()
    assert not again.is_due()


async def test_without_compute_data_only_stays_longer(bench: Bench) -> None:
    bench.compute.kill()
    await bench.link.close()

    assert not await bench.retention.step()
    assert bench.retention.is_due()
    assert 432 == len(bench.times(1))


# --- deletion


async def test_a_deletion_hides_at_once_what_was_there_also_in_memory(bench: Bench) -> None:
    await bench.delete("Works/P1", DAY + DAY_NS, DAY + 4 * DAY_NS)

    found = bench.desk.all()[0]
    assert (HIDDEN, 576) == (found.state, found.rows)
    assert 144 == len(bench.times(1)) == len(bench.times(2))
    assert 72 == len(bench.times(NAME))
    assert found.ends_ns == found.hidden_ns + 24 * HOUR_NS
    await bench.send(frame(1, [DAY + DAY_NS], [5.0]))
    assert DAY + DAY_NS == bench.times(1)[-1]


async def test_undo_brings_everything_back_also_the_newest_value(bench: Bench) -> None:
    before = [bench.times(handle) for handle in (1, 2, NAME)]
    value, quality = bench.last(NAME)
    made = await bench.delete("Works/door", DAY, DAY + 4 * DAY_NS)
    assert [] == bench.times(NAME)
    assert (None, Quality.BAD_NOT_AVAILABLE) == bench.last(NAME)

    await bench.desk.cancel("ada", made.id)

    assert before == [bench.times(handle) for handle in (1, 2, NAME)]
    assert (value, quality) == bench.last(NAME)
    assert "cancelled" == bench.desk.all()[0].state


async def test_after_the_grace_no_file_holds_it(bench: Bench) -> None:
    """Segments, manifests, what was put aside, and the log once its file has ended."""
    await bench.delete("Works/door", DAY, DAY + 4 * DAY_NS)
    assert bench.bytes_of(b"guest 1 7")

    bench.clock.advance(24 * HOUR_NS)
    await bench.desk.look()
    for _ in range(3):
        await bench.send(frame(1, [DAY + 5 * DAY_NS + bench.sequence], [5.0]))
        await bench.worker.flush_now()

    assert DONE == bench.desk.all()[0].state
    assert [] == bench.bytes_of(b"guest 1 7")
    assert [] == bench.bytes_of(b"guest 2 23")
    with pytest.raises(Refused):
        await bench.desk.cancel("ada", bench.desk.all()[0].id)


async def test_it_waits_for_the_phrase_and_only_for_a_while(bench: Bench) -> None:
    made = bench.desk.propose("ada", "Works/P1", POINTS[:2], 0, DAY, "test of it")
    with pytest.raises(Refused, match="Type exactly"):
        await bench.desk.confirm("ada", made.id, "delete it")
    assert 432 == len(bench.times(1))

    bench.clock.advance(PROPOSAL_NS + 1)

    with pytest.raises(Refused, match="no deletion"):
        await bench.desk.confirm("ada", made.id, made.phrase)


async def test_every_step_is_audited_with_its_counts(bench: Bench) -> None:
    made = await bench.delete("Works/P1", DAY, DAY + DAY_NS)
    await bench.desk.cancel("bob", made.id)

    assert ["deletion.confirm", "deletion.hide", "deletion.cancel"] == [
        entry.action for entry in bench.entries
    ]
    assert ["ada", "ada", "bob"] == [entry.principal for entry in bench.entries]
    facts = bench.entries[1].new
    assert isinstance(facts, dict)
    assert (288, 2, "asked by the guest") == (facts["rows"], facts["points"], facts["reason"])


async def test_a_restart_in_the_grace_keeps_it_hidden_and_undo_possible(bench: Bench) -> None:
    made = await bench.delete("Works/P1", DAY, DAY + DAY_NS)

    again = bench.new_desk()

    assert HIDDEN == again.all()[0].state
    await again.cancel("ada", made.id)
    assert 432 == len(bench.times(1))
    assert "cancelled" == bench.new_desk().all()[0].state


async def test_a_node_that_was_restored_cannot_undo_what_its_backup_does_not_hold(
    bench: Bench,
) -> None:
    made = await bench.delete("Works/P1", DAY, DAY + DAY_NS)
    for path in (bench.data / "withdrawn" / made.id).iterdir():
        path.unlink()

    with pytest.raises(Refused, match="a backup does not hold it"):
        await bench.desk.cancel("ada", made.id)
    assert HIDDEN == made.state


async def test_a_restart_before_the_commit_has_deleted_nothing(bench: Bench) -> None:
    made = bench.desk.propose("ada", "Works/P1", POINTS[:2], 0, DAY + DAY_NS, "test of it")
    made.state = "working"
    await bench.desk._save()

    again = bench.new_desk()

    assert FAILED == again.all()[0].state
    assert 432 == len(bench.times(1))


async def test_a_damaged_file_fails_the_deletion_whole(bench: Bench) -> None:
    await bench.worker.flush_now()
    info = bench.historian.manifest.segments[0]
    path = bench.data / "segments" / info.name
    data = bytearray(path.read_bytes())
    data[info.table_offset + 9] ^= 1
    path.write_bytes(data)

    before = bench.times(2)

    await bench.delete("Works", DAY, DAY + 4 * DAY_NS)

    found = bench.desk.all()[0]
    assert FAILED == found.state
    assert "data_damaged" in found.detail
    assert before == bench.times(2)
    assert [] == [p for p in (bench.data / "withdrawn").rglob("*") if p.is_file()]


# --- size


class Known:
    """Points as the registry has them."""

    def all(self) -> list[tuple[Point, str | None]]:
        return [(item, "Pump" if "P1" in item.path else None) for item in POINTS]


def book(bench: Bench, free_bytes: int = 10**9) -> SizeBook:
    class Small(SystemDisk):
        def free_bytes(self, path: Path) -> int:
            return free_bytes

    rules = bench.historian.settings.retention
    known: Any = Known()
    return SizeBook(bench.link, known, rules, lambda: 0, Small(), bench.spool, bench.clock)


async def test_every_byte_is_that_of_a_point_a_type_and_a_class(bench: Bench) -> None:
    await bench.worker.flush_now()
    made = book(bench)
    await made.fresh()

    shares = made.shares(lambda _: True)

    rows = {name: share.rows for name, share in shares["points"].items()}
    assert {"Works/P1/speed": 432, "Works/P1/pressure": 432, "Works/door/name": 72} == rows
    assert {"Pump": 864, "": 72} == {name: share.rows for name, share in shares["types"].items()}
    total = sum(info.table_offset - 64 for info in bench.historian.manifest.segments)
    for group in shares.values():
        assert total == sum(share.bytes for share in group.values())
    assert {"text"} == set(made.shares(lambda point: "door" in point.path)["kinds"])
    assert [] == bench.disk.list(bench.spool.folder)


async def test_without_a_whole_day_nothing_is_foretold_and_nobody_is_warned(bench: Bench) -> None:
    """The clock of this test says a day on which nothing was recorded."""
    made = book(bench, free_bytes=10)
    assert "too_little" == made.summary()["state"]
    await made.fresh()

    assert {"state": "too_little", "days_left": None, "bytes_per_day": None, "days": 0} == (
        made.summary()
    )
    assert [] == made.notices()


@pytest.mark.parametrize(("days", "codes"), [(3, ["disk_full_soon"]), (40, [])])
async def test_a_disk_that_is_full_within_a_month_is_a_notice(
    bench: Bench, days: int, codes: list[str]
) -> None:
    made = book(bench, free_bytes=days * 1_000)
    made.sizes = Sizes(0, *(np.array([n]) for n in (1, 9, 9)), np.zeros((1, 8)), np.ones(8))  # type: ignore[arg-type, call-arg]
    made._growths = [Growth(9, 1_000.0, None)]

    assert codes == [notice["code"] for notice in made.notices()]
    assert made.summary()["days_left"] == pytest.approx(days)


async def test_while_compute_is_away_the_last_measurement_is_told(bench: Bench) -> None:
    await bench.worker.flush_now()
    made = book(bench)
    before = await made.fresh()
    bench.compute.kill()
    await bench.link.close()
    bench.clock.advance(3_600 * S)

    assert before is await made.fresh()
    with pytest.raises(Refused):
        await book(bench).fresh()


async def test_two_who_confirm_or_undo_at_once_do_it_once(bench: Bench) -> None:
    before = bench.times(NAME)
    points = [POINTS[NAME - 1]]
    made = bench.desk.propose("ada", "Works/door", points, DAY, DAY + 4 * DAY_NS, "asked twice")

    confirmed = await asyncio.gather(
        bench.desk.confirm("ada", made.id, made.phrase),
        bench.desk.confirm("ben", made.id, made.phrase),
        return_exceptions=True,
    )
    while bench.desk._running:
        await asyncio.wait([*bench.desk._running])
    hidden = bench.times(NAME)
    undone = await asyncio.gather(
        bench.desk.cancel("ada", made.id),
        bench.desk.cancel("ben", made.id),
        return_exceptions=True,
    )

    assert 1 == sum(isinstance(answer, Refused) for answer in confirmed)
    assert [] == hidden
    assert 1 == sum(isinstance(answer, Refused) for answer in undone)
    assert before == bench.times(NAME)


async def test_a_damaged_list_of_deletions_is_named(bench: Bench) -> None:
    """It is not taken for empty: the log must still forget what was deleted."""
    (bench.data / "deletions.json").write_bytes(b"[{")

    with pytest.raises(ConfigError, match=r"deletions\.json: is damaged"):
        bench.new_desk()
