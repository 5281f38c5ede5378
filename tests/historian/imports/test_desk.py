"""The desk: who may import into what, what is refused, and that nothing is sent by half."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from penstock.historian.imports.config import ImportSettings
from penstock.historian.imports.desk import ImportDesk
from penstock.historian.imports.handler import check_file, look_at_file, send_prepared
from penstock.historian.imports.options import Options
from penstock.historian.imports.record import ImportRecord
from penstock.model import Batch, Point, Refused, ValueKind
from penstock.security.audit import Entry
from penstock.security.principal import Grant, Principal
from penstock.world import SystemClock, SystemDisk

NODE = UUID(int=7)
HANDLERS = {
    "import_look": look_at_file,
    "import_check": check_file,
    "import_send": send_prepared,
}
GOOD = "time,point,value\n2026-01-01T00:00:00Z,level,1.5\n2026-01-01T00:00:01Z,level,2.5\n"
BAD = GOOD + "2026-01-01T00:00:02Z,level,oops\n"


def point(number: int, asset: str, name: str, unit: str = "") -> Point:
    path = f"{asset}/{name}"
    return Point(UUID(int=number), number, path, asset, name, ValueKind.FLOAT, unit)


POINTS = [point(1, "plant/tank", "level", "m"), point(2, "other/hall", "secret")]


def who(name: str, *grants: Grant) -> Principal:
    return Principal(f"user:{name}", name, name, (), frozenset(grants))


ANNA = who("anna", Grant("configure", "plant"))
OTTO = who("otto", Grant("configure", "other"))


@dataclass
class Registry:
    points: list[Point]
    revision: int = 1


@dataclass
class Job:
    """Compute's job without compute: what is put is taken once a number, as the log does."""

    data: Path
    taken: dict[tuple[int, int], Batch]
    disk: SystemDisk = field(default_factory=SystemDisk)
    clock: SystemClock = field(default_factory=SystemClock)
    node: UUID = NODE
    stop_after: int = 10**9
    repeats: int = 0
    is_held: bool = False
    reached: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def report(self, **progress: Any) -> None: ...

    def check_cancelled(self) -> None: ...
    def check_going_on(self) -> None: ...

    def point(self, id_: UUID, kind: ValueKind, path: str) -> int:
        return id_.int + 100

    def put_numbered(self, batch: Batch) -> None:
        key = batch.origin.incarnation, batch.sequence
        self.repeats += key in self.taken
        self.taken.setdefault(key, batch)
        self.stop_after -= 1
        if self.stop_after == 0 and self.is_held:
            self.reached.set()
            assert self.ended.wait(20)
            raise Refused("cancelled")
        if self.stop_after == 0:
            raise Refused("compute_away")

    def wait_acknowledged(self) -> None: ...


class DirectCompute:
    """The link to compute with the handlers behind it; it may die after some batches."""

    def __init__(self, data: Path) -> None:
        self.job = Job(data, {})
        self.jobs: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []

    async def ask(
        self, op: str, fields: dict[str, Any], timeout_s: float = 30, job: str | None = None
    ) -> dict[str, Any]:
        self.asked.append(op)
        return await asyncio.to_thread(HANDLERS[op], self.job, fields)

    def cancel(self, job: str) -> None:
        self.job.ended.set()


class Rig:
    def __init__(self, data: Path, **settings: int) -> None:
        self.data = data
        self.compute = DirectCompute(data)
        self.audit: list[Entry] = []
        self.desk = self.new_desk(**settings)

    def new_desk(self, **settings: int) -> ImportDesk:
        return ImportDesk(
            self.compute,
            SystemDisk(),
            self.data,
            SystemClock(),
            lambda: Registry(POINTS),
            ImportSettings(**settings),
            "Europe/Berlin",
            self.record,
        )

    async def record(self, entry: Entry) -> str:
        self.audit.append(entry)
        return ""

    async def upload(self, text: str, by: Principal = ANNA, key: str = "") -> ImportRecord:
        one = await self.desk.begin(by, "a.csv", key or str(uuid4()), parts_of(text))
        return await self.settled(one)

    async def settled(self, one: ImportRecord) -> ImportRecord:
        for _ in range(2_000):
            if one.state not in {"looking", "checking", "sending"} and not self.desk._tasks:
                return one
            await asyncio.sleep(0.005)
        raise AssertionError(one.state)

    async def answer(self, one: ImportRecord, by: Principal = ANNA, **options: Any) -> ImportRecord:
        await self.desk.answer(by, UUID(one.id), Options(**options))
        return await self.settled(one)

    async def start(self, one: ImportRecord, *, is_dry_run: bool = False) -> ImportRecord:
        await self.desk.start(ANNA, UUID(one.id), is_dry_run=is_dry_run)
        return await self.settled(one)

    @property
    def rows(self) -> int:
        return sum(batch.rows for batch in self.compute.job.taken.values())


async def parts_of(text: str) -> AsyncIterator[bytes]:
    data = text.encode()
    for begin in range(0, len(data), 40):
        yield data[begin : begin + 40]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    await rig.desk.close()


async def test_a_file_is_asked_about_checked_sent_and_forgotten(rig: Rig) -> None:
    one = await rig.upload(GOOD)
    assert "open" == one.state
    assert ["names"] == [question["id"] for question in one.questions]
    assert ["plant/tank/level"] == one.open_names[0]["near"]

    await rig.answer(one, asset="plant/tank")
    await rig.start(one)
    details = await rig.desk.details(one)

    assert "done" == one.state
    assert 2 == rig.rows
    assert [101, 101] == [
        p for b in rig.compute.job.taken.values() for p in b.frames[0].point.tolist()
    ]
    assert [("plant/tank/level", 2)] == [(p["path"], p["count"]) for p in details["points"]]
    assert ["checked.json", "state.json", "targets.json"] == sorted(
        path.name for path in (rig.data / "imports" / one.id).iterdir()
    )
    assert ["import.upload", "import.start", "import.done"] == [e.action for e in rig.audit]


async def test_a_foreign_point_is_as_unknown_as_none(rig: Rig) -> None:
    foreign = await rig.upload(GOOD.replace("level", "other/hall/secret"))
    nothing = await rig.upload(GOOD.replace("level", "other/hall/nothing"))
    by_id = await rig.upload(GOOD.replace("level", str(UUID(int=2))))

    for one in (foreign, nothing, by_id):
        assert "open" == one.state
        assert 1 == one.names["unknown"]
    assert foreign.open_names[0]["near"] == nothing.open_names[0]["near"]


async def test_nobody_sees_the_import_of_another(rig: Rig) -> None:
    one = await rig.upload(GOOD)
    boss = who("boss", Grant("configure", ""))

    with pytest.raises(Refused) as refused:
        rig.desk.find(OTTO, UUID(one.id))
    assert "not_found" == refused.value.code
    assert [] == rig.desk.all_of(OTTO)
    assert [one] == rig.desk.all_of(boss)


async def test_an_open_import_does_not_start(rig: Rig) -> None:
    one = await rig.upload(GOOD)

    with pytest.raises(Refused) as refused:
        await rig.desk.start(ANNA, UUID(one.id), is_dry_run=False)

    assert "import_open" == refused.value.code
    assert {} == rig.compute.job.taken


async def test_one_bad_row_keeps_all_rows_out_unless_it_is_skipped(rig: Rig) -> None:
    one = await rig.upload(BAD)
    await rig.answer(one, asset="plant/tank")
    await rig.start(one)
    rejects = (await rig.desk.details(one))["rejects"]

    assert ("rejected", {}) == (one.state, rig.compute.job.taken)
    assert [(4, "oops", "is no number")] == [(r["row"], r["text"], r["reason"]) for r in rejects]

    await rig.answer(one, asset="plant/tank", skip_bad=True)
    await rig.start(one)
    assert ("done", 2) == (one.state, rig.rows)


async def test_a_dry_run_sends_nothing_and_may_be_followed_by_the_import(rig: Rig) -> None:
    one = await rig.upload(GOOD)
    await rig.answer(one, asset="plant/tank")
    await rig.start(one, is_dry_run=True)
    assert ("checked", 0) == (one.state, rig.rows)

    await rig.start(one)
    assert ("done", 2) == (one.state, rig.rows)
    assert 1 == rig.compute.asked.count("import_check")


async def test_another_unit_is_asked(rig: Rig) -> None:
    data = "time,level [mm]\n2026-01-01T00:00:00Z,1.5\n2026-01-01T00:00:01Z,2.5\n"
    one = await rig.upload(data)
    await rig.answer(one, asset="plant/tank")

    assert ["ignore_units"] == [question["id"] for question in one.questions]
    await rig.answer(one, asset="plant/tank", ignore_units=True)
    assert "ready" == one.state


async def test_the_same_key_is_the_same_import(rig: Rig) -> None:
    one = await rig.upload(GOOD, key="k")

    assert one is await rig.desk.begin(ANNA, "a.csv", "k", parts_of(GOOD))
    with pytest.raises(Refused) as refused:
        await rig.desk.begin(OTTO, "a.csv", "k", parts_of(GOOD))
    assert "idempotency_key_reused" == refused.value.code


async def test_a_file_beyond_the_limit_leaves_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path, file_bytes_max=1024)
    with pytest.raises(Refused) as refused:
        await rig.upload("x" * 2_000)

    assert "too_large" == refused.value.code
    assert [] == [*(tmp_path / "imports").iterdir()]


async def test_a_file_that_is_no_table_fails_with_its_reason_and_does_not_start(rig: Rig) -> None:
    one = await rig.upload("no table\nat all\n")
    assert ("failed", "import_unreadable") == (one.state, one.code)

    with pytest.raises(Refused, match="No line of the file has a time"):
        await rig.desk.start(ANNA, UUID(one.id), is_dry_run=False)
    await rig.desk.remove(ANNA, UUID(one.id))
    assert [] == rig.desk.all_of(ANNA)
    assert [] == [*(rig.data / "imports").iterdir()]


async def test_an_import_that_is_ended_keeps_what_was_sent_and_goes_on_later(rig: Rig) -> None:
    rows = "".join(f"{1_767_225_600 + n},level,{n}\n" for n in range(100_000))
    one = await rig.upload("time_s,point,value\n" + rows)
    await rig.answer(one, asset="plant/tank")
    rig.compute.job.stop_after, rig.compute.job.is_held = 2, True
    await rig.desk.start(ANNA, UUID(one.id), is_dry_run=False)
    await asyncio.to_thread(rig.compute.job.reached.wait, 20)
    await rig.desk.remove(ANNA, UUID(one.id))
    await rig.settled(one)
    assert "cancelled" == one.state
    assert "stay" in one.detail

    await rig.start(one)
    assert ("done", 100_000) == (one.state, rig.rows)


async def test_what_compute_had_sent_before_it_died_is_taken_once(rig: Rig) -> None:
    rows = "".join(f"{1_767_225_600 + n},level,{n}\n" for n in range(100_000))
    one = await rig.upload("time_s,point,value\n" + rows)
    await rig.answer(one, asset="plant/tank")
    rig.compute.job.stop_after = 2
    await rig.start(one)

    assert "done" == one.state
    assert 2 == rig.compute.job.repeats
    assert 100_000 == rig.rows


async def test_a_new_core_goes_on_with_what_the_last_one_was_sending(rig: Rig) -> None:
    one = await rig.upload(GOOD)
    await rig.answer(one, asset="plant/tank")
    await rig.start(one, is_dry_run=True)
    one.state = "sending"
    one.save(SystemDisk(), rig.data / "imports" / one.id)
    await rig.desk.close()

    rig.desk = rig.new_desk()
    running = asyncio.create_task(rig.desk.run())
    for _ in range(2_000):
        found = rig.desk.all_of(ANNA)
        if found and found[0].state == "done":
            break
        await asyncio.sleep(0.005)
    running.cancel()

    assert ("done", 2) == (found[0].state, rig.rows)
