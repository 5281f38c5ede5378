"""Spool: what waits to be fetched takes no space that the log needs."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from penstock.historian.export.desk import ExportDesk, Order, Ordered
from penstock.historian.sql.answers import Answers
from penstock.log.reserve import RESERVE_BYTES
from penstock.model import Refused
from penstock.node.core.spool_watch import SpoolWatch
from penstock.node.spool import Spool
from penstock.security.principal import Principal
from penstock.testing import FakeClock, FakeDisk
from penstock.world import SystemDisk

WHO = Principal("user:anna", "anna", "Anna", (), frozenset())
EXPORT_BYTES = 1_000


class SmallDisk(SystemDisk):
    """A disk of `capacity` bytes above the reserve, on which only the folder's files lie."""

    def __init__(self, folder: Path, capacity: int) -> None:
        super().__init__()
        self.folder = folder
        self.capacity = capacity
        self.others = 0

    def free_bytes(self, path: Path) -> int:
        used = sum(entry.stat().st_size for entry in self.folder.rglob("*") if entry.is_file())
        return max(0, RESERVE_BYTES + self.capacity - used - self.others)


class Compute:
    """Writes every export as a file of the spool."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.jobs: dict[str, Any] = {}

    async def ask(self, op: str, fields: Any, timeout_s: float = 30, job: str | None = None) -> Any:
        path = self.spool.new_path(".csv")
        path.write_bytes(b"x" * EXPORT_BYTES)
        return {"file": path.name, "row_count": 1, "sequence": "1"}

    def cancel(self, job: str) -> None: ...


class NoPoints:
    async def name(self) -> str:
        return "points"


async def recorded(_entry: object) -> str:
    return ""


class Rig:
    def __init__(self, folder: Path, capacity: int) -> None:
        self.disk = SmallDisk(folder, capacity)
        self.spool = Spool(self.disk, folder)
        self.spool.clear()
        self.clock = FakeClock()
        self.answers = Answers()
        self.desk = ExportDesk(
            Compute(self.spool),
            NoPoints(),  # type: ignore[arg-type]
            self.spool.folder,
            self.clock,
            recorded,
            self.answers,
        )
        self.watch = SpoolWatch(self.spool, self.desk, self.answers, self.clock)

    async def export(self) -> Ordered:
        export = await self.desk.begin(WHO, Order((), 0, 1, "csv"))
        await asyncio.wait_for(export.over.wait(), 10)
        self.clock.advance(1_000_000_000)
        return export


def test_the_last_of_the_disk_is_not_the_spools(tmp_path: Path) -> None:
    disk = FakeDisk(RESERVE_BYTES + 5_000)
    spool = Spool(disk, tmp_path, bytes_max=1_000_000)
    spool.clear()

    assert spool.free_bytes() == 5_000
    disk.capacity_bytes = RESERVE_BYTES

    assert spool.free_bytes() == 0
    with pytest.raises(Refused) as refused:
        spool.new_path(".csv")
    assert refused.value.code == "disk_full"


async def test_an_export_is_refused_where_it_would_take_what_the_log_needs(tmp_path: Path) -> None:
    rig = Rig(tmp_path, 2 * EXPORT_BYTES)

    states = [(export.state, export.code) for export in [await rig.export() for _ in range(3)]]

    assert states == [("done", ""), ("done", ""), ("failed", "disk_full")]


async def test_finished_exports_go_oldest_first_when_the_disk_gets_short(tmp_path: Path) -> None:
    rig = Rig(tmp_path, 4 * EXPORT_BYTES)
    exports = [await rig.export() for _ in range(3)]

    rig.watch.look()
    assert [export.state for export in exports] == ["done"] * 3
    assert rig.watch.notices() == []

    rig.disk.others = 2 * EXPORT_BYTES
    rig.watch.look()

    assert [(export.state, export.code) for export in exports] == [
        ("failed", "disk_full"),
        ("failed", "disk_full"),
        ("done", ""),
    ]
    assert not rig.spool.is_short
    assert [notice["code"] for notice in rig.watch.notices()] == ["spool_emptied"]
    with pytest.raises(Refused) as refused:
        await rig.desk.file_of(exports[0])
    assert refused.value.code == "disk_full"


async def test_an_answer_that_is_being_read_goes_after_the_exports(tmp_path: Path) -> None:
    rig = Rig(tmp_path, 2 * EXPORT_BYTES)
    export = await rig.export()
    path = rig.spool.new_path(".json")
    path.write_bytes(b"x" * 500)
    rig.answers.begin(path, is_kept=False)

    with path.open("rb") as opened:
        rig.disk.others = 10 * EXPORT_BYTES
        rig.watch.look()
        left = os.fstat(opened.fileno()).st_size

    assert export.state == "failed"
    assert left == 0
    assert rig.spool.used_bytes() == 0
