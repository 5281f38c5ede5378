"""From the plant folder to running connectors: all or nothing, and every problem at once."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from scripted import NODE, wait_for, wire

from penstock.link.uplink import Uplink
from penstock.log import Log, LogSettings
from penstock.model import Batch, ConfigError, Origin, ValueKind
from penstock.node.core.apply import Applier, Prepared
from penstock.node.core.field_link import FieldLink
from penstock.node.field.service import FieldService
from penstock.node.home import Home
from penstock.registry import Registry, Snapshot
from penstock.state import State
from penstock.state.migrate import migrate
from penstock.testing import FakeClock
from penstock.testing.disk import FakeDisk
from penstock.world import Disk, SystemClock, SystemDisk

CONNECTOR = 'plugin = "scripted"\naddress = "a"\n'
POINTS = """asset,name,kind,device,writable,command_low,command_high
plant/p1,speed,float,d1,,,
plant/p1,count,int,d1,x,0,100
"""


class ReadOnlyDisk(SystemDisk):
    """A plant folder that cannot be written (also not by root, who runs tests in a container)."""

    def write_whole(self, path: Path, buffers: Sequence[Any]) -> None:
        raise OSError(errno.EROFS, "Read-only file system")


class Bench:
    """A node's registry, log and field around a plant folder."""

    def __init__(self, root: Path, state: State, log: Log) -> None:
        self.home = Home(root)
        self.log = log
        self.registry = Registry(state, FakeClock(), NODE)
        self.link = FieldLink(
            log,
            self.registry.handle_of,
            node=NODE,
            public_key=b"k" * 32,
            on_change=lambda _is_connected: None,
        )
        self.applied: list[tuple[Snapshot, Prepared]] = []
        self.field = FieldService(SystemClock(), Uplink(Origin(NODE, 1, 7)), root / "data")

    def applier(self, disk: Disk | None = None) -> Applier:
        return Applier(
            self.home,
            "node",
            disk=disk or SystemDisk(),
            registry=self.registry,
            data_log=self.log,
            field=self.link,
            on_applied=self._on_applied,
        )

    def _on_applied(self, snapshot: Snapshot, prepared: Prepared) -> None:
        """Before the field is told: the log must know every handle by now."""
        known = {entry.handle for entry in self.log.dictionary}
        assert {point.handle for point in snapshot.points} <= known
        self.applied.append((snapshot, prepared))

    async def connect(self) -> None:
        one, two = socket.socketpair()
        await self.link.connect(one)
        await self.field.connect(two)

    def write(self, name: str, text: str) -> Path:
        path = self.home.root / "plant" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def everything(self) -> tuple[Any, ...]:
        """All that an apply may change."""
        files = {path: path.read_bytes() for path in self.home.root.rglob("plant/**/*.*")}
        return (
            files,
            self.registry.all_known(),
            self.registry.snapshot,
            self.log.dictionary,
            self.link._configuration,
            len(self.applied),
        )

    def rows(self, handle: int) -> int:
        records = self.log.read(0, records_max=10_000)
        batches = [item.payload for item in records if isinstance(item.payload, Batch)]
        return sum(int((f.point == handle).sum()) for batch in batches for f in batch.frames)


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("schema") / "state.db"
    migrate(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.fixture
async def bench(tmp_path: Path, schema: bytes) -> AsyncIterator[Bench]:
    (tmp_path / "state.db").write_bytes(schema)
    state = State.open(f"sqlite:///{tmp_path}/state.db")
    log = await Log.open(
        Path("/data/log/0"),
        disk=FakeDisk(),
        clock=FakeClock(),
        origin=Origin(NODE, 0, 1),
        settings=LogSettings(linger_ms=0, ballast_bytes=64 * 1024),
    )
    made = Bench(tmp_path / "home", state, log)
    made.write("connectors/plc.toml", CONNECTOR)
    made.write("connectors/plc.csv", POINTS)
    await made.connect()
    yield made
    await made.field._host.close()
    await made.link.close()
    assert made.field._serving is not None
    await asyncio.wait([made.field._serving])
    await log.close()
    state.close()


async def test_a_plant_is_applied_and_runs(bench: Bench) -> None:
    prepared, files = await bench.applier().apply()

    assert ("plant/connectors/plc.csv",) == files
    assert () == prepared.warnings
    points = {point.path: point for point in bench.registry.snapshot.points}
    assert {"plant/p1/speed", "plant/p1/count", "system/node/plc/d1/connected"} == set(points)
    assert 1_000_000_000 == points["plant/p1/speed"].period_ns
    assert points["plant/p1/count"].writable
    assert not points["plant/p1/speed"].writable
    await wait_for(lambda: bench.rows(points["plant/p1/speed"].handle) > 0)
    await wait_for(lambda: bench.rows(points["system/node/plc/d1/connected"].handle) == 1)


async def test_ids_stand_in_the_file_afterwards(bench: Bench) -> None:
    await bench.applier().apply()

    text = (bench.home.root / "plant/connectors/plc.csv").read_text()
    ids = [line.split(",")[0] for line in text.splitlines()]
    speed = bench.registry.snapshot.by_path("plant/p1/speed")
    assert speed is not None
    assert ["id", str(speed.id)] == ids[:2]
    assert POINTS == "".join(line.partition(",")[2] + "\n" for line in text.splitlines())


async def test_a_second_apply_disturbs_nothing(bench: Bench) -> None:
    await bench.applier().apply()
    await wait_for(lambda: wire().count("open") == 1)
    known, dictionary = bench.registry.all_known(), bench.log.dictionary

    _, files = await bench.applier().apply()
    await wait_for(lambda: wire().count("read") >= 1)

    assert () == files
    assert (known, dictionary) == (bench.registry.all_known(), bench.log.dictionary)
    assert 1 == wire().count("open")


async def test_a_rename_keeps_the_handle_and_is_in_the_dictionary(bench: Bench) -> None:
    await bench.applier().apply()
    before = bench.registry.snapshot.by_path("plant/p1/speed")
    assert before is not None
    path = bench.home.root / "plant/connectors/plc.csv"
    path.write_text(path.read_text().replace("p1,speed", "p1,velocity"))

    await bench.applier().apply()

    after = bench.registry.snapshot.by_path("plant/p1/velocity")
    assert after is not None
    assert (before.id, before.handle) == (after.id, after.handle)
    assert [after.path] == [e.path for e in bench.log.dictionary if e.handle == after.handle]


async def test_all_problems_come_at_once_and_nothing_is_changed(bench: Bench) -> None:
    await bench.applier().apply()
    path = bench.home.root / "plant/connectors/plc.csv"
    path.write_text(path.read_text().replace(",float,", ",int,") + ",plant/p1,x,int,\n")
    bench.write("points/loose.csv", "asset,name,kind\nplant,note,bool\n")
    bench.write("connectors/odd.toml", 'plugin = "telepathy"\n')
    bench.write("connectors/far.toml", 'plugin = "scripted"\naddress = "wrong"\n')
    bench.write("rules/broken.toml", "level = \n")
    before = bench.everything()

    with pytest.raises(ConfigError) as raised:
        await bench.applier().apply()

    places = {problem.place for problem in raised.value.problems}
    assert {
        "plant/points/loose.csv:2",
        "plant/connectors/odd.toml: plugin",
        "far.toml: address",
        "plant/connectors/plc.csv:4: device",
        "plant/connectors/plc.csv:2",
    } <= places
    assert any("broken.toml" in place for place in places)
    assert before == bench.everything()


async def test_a_plan_alone_changes_nothing(bench: Bench) -> None:
    before = bench.everything()

    prepared = await bench.applier().plan()

    assert 3 == len(prepared.registry.added)
    assert before == bench.everything()
    assert 0 == wire().count("open")


async def test_a_read_only_folder_is_a_warning_and_keeps_history(bench: Bench) -> None:
    prepared, files = await bench.applier(ReadOnlyDisk()).apply()
    known = bench.registry.all_known()

    again, _ = await bench.applier(ReadOnlyDisk()).apply()

    assert () == files
    assert ["plant"] == [problem.place for problem in prepared.warnings]
    assert "Make the folder writable" in prepared.warnings[0].message
    assert known == bench.registry.all_known()
    assert again.warnings
    assert POINTS == (bench.home.root / "plant/connectors/plc.csv").read_text()


async def test_a_removed_point_stays_in_the_dictionary(bench: Bench) -> None:
    bench.write("points/loose.csv", "asset,name,kind\nplant,note,text\n")
    await bench.applier().apply()
    (bench.home.root / "plant/points/loose.csv").unlink()

    prepared, _ = await bench.applier().apply()

    assert ["plant/note"] == [point.path for point in prepared.registry.removed]
    assert ["plant/note"] == [
        entry.path for entry in bench.log.dictionary if entry.kind is ValueKind.TEXT
    ]


async def test_two_applies_at_once_take_turns(bench: Bench) -> None:
    applier = bench.applier()
    results = await asyncio.gather(applier.apply(), applier.apply())

    assert [1, 0] == [len(files) for _, files in results]
    assert [1, 2] == [snapshot.revision for snapshot, _ in bench.applied]
    assert 3 == len(bench.registry.all_known())


async def test_a_mistake_after_a_restart_leaves_the_last_good_plant_running(bench: Bench) -> None:
    """A typo and a power cut must not stop data, alarms and commands of a plant."""
    await bench.applier().apply()
    points = {point.path: point.id for point in bench.registry.snapshot.points}
    (bench.home.root / "plant/connectors/plc.csv").write_text("asset,name\n")

    with pytest.raises(ConfigError):
        await bench.applier().apply()
    assert await bench.applier().apply_last_good()

    assert points == {point.path: point.id for point in bench.registry.snapshot.points}
    assert "asset,name\n" == (bench.home.root / "plant/connectors/plc.csv").read_text()


@pytest.mark.parametrize("damage", ["", "[]", '{"a.toml": 1}'])
async def test_a_damaged_memory_of_the_last_good_plant_is_none(bench: Bench, damage: str) -> None:
    await bench.applier().apply()
    (bench.home.data / "applied.json").write_text(damage)

    assert not await bench.applier().apply_last_good()
