"""penstock doctor and the bytes of a node that is off: verified, named, and mended when told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from penstock.historian import Historian, HistorianSettings
from penstock.historian.manifest import manifest_names
from penstock.historian.query import raw
from penstock.log import Log, LogSettings
from penstock.model import Batch, Origin
from penstock.node.home import Home
from penstock.testing import frame
from penstock.world import SystemClock, SystemDisk

S = 1_000_000_000
Doctor = Callable[..., tuple[int, list[dict[str, str]]]]


async def write_history(home: Home) -> None:
    """Three segments and the log of their rows."""
    disk, origin = SystemDisk(), Origin(UUID(int=7), 0, 1)
    settings = LogSettings(ballast_bytes=64 * 1024)
    log = await Log.open(home.log, disk=disk, clock=SystemClock(), origin=origin, settings=settings)
    log.declare_reader("nobody", blocks=True)
    historian = Historian.open(disk, home.segments, HistorianSettings())
    for number in range(1, 4):
        times = [number * 1_000 * S + n * S for n in range(200)]
        made = Batch(origin, number, (frame(7, times, [n * 0.1 for n in range(200)]),))
        historian.append(made, await log.append_batch(made), SystemClock().now_ns())
        historian.seal(log.incarnation)
        historian.adopt(historian.write())
    await log.close()


@pytest.fixture
def written(plant: Path) -> Home:
    home = Home(plant)
    settings = plant / "penstock.toml"  # no port of this machine matters here
    settings.write_text(
        f'{settings.read_text()}[server]\nhttp = "127.0.0.1:0"\nhttps = "127.0.0.1:0"\n'
    )
    asyncio.run(write_history(home))
    return home


@pytest.fixture
def doctor(run: Any, plant: Path) -> Doctor:
    def ask(*arguments: str) -> tuple[int, list[dict[str, str]]]:
        done = run("doctor", "--home", str(plant), "--json", *arguments)
        assert done.stdout, done.stderr
        rows = json.loads(done.stdout)["notices"]
        assert done.returncode == int(any(row["state"] == "fault" for row in rows))
        found = [row for row in rows if row["name"] == "history"]
        # Disk and clock of a busy machine are not what is asked here.
        return int(any(row["state"] == "fault" for row in found)), found

    return ask


def answers(home: Home) -> list[float]:
    historian = Historian.open(SystemDisk(), home.segments, HistorianSettings())
    rows, _ = raw(historian.pin([7]), 7, 0, 2**62, 10_000)
    return list(rows.value)  # type: ignore[arg-type]


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 16
    path.write_bytes(bytes(data))


def second_segment(home: Home) -> Path:
    return sorted(home.segments.glob("*.seg"))[1]


@pytest.mark.slow
def test_damage_is_named_and_mended_only_when_told_to(written: Home, doctor: Doctor) -> None:
    before = answers(written)
    code, (whole,) = doctor()
    assert (0, "ok", True) == (code, whole["state"], "600 rows" in whole["detail"])
    path = second_segment(written)
    flip(path, 150)
    damaged = path.read_bytes()

    code, (fault,) = doctor()
    assert (1, "fault") == (code, fault["state"])
    assert f"segments/{path.name}@" in fault["detail"]
    assert "--repair" in fault["remedy"]
    assert damaged == path.read_bytes(), "a doctor changes nothing"

    code, rows = doctor("--repair")
    assert 0 == code
    assert "mended" in rows[0]["detail"]
    assert damaged == (written.data / "quarantine" / f"00000001-{path.name}").read_bytes()
    assert (0, before) == (doctor()[0], answers(written))


@pytest.mark.slow
def test_a_damaged_manifest_gives_way_to_the_one_before_it_and_the_log(
    written: Home, doctor: Doctor
) -> None:
    """Without this the next start would be refused."""
    name = manifest_names(SystemDisk(), written.segments)[-1]
    flip(written.segments / name, 200)
    code, _ = doctor("--repair")

    assert 0 == code
    assert 400 == len(answers(written)), "the log has the rest, and gives it at the start"
    assert (written.data / "quarantine" / f"00000001-{name}").is_file()


@pytest.mark.slow
def test_a_damaged_manifest_stays_where_the_log_could_not_take_its_place(
    written: Home, doctor: Doctor
) -> None:
    name = manifest_names(SystemDisk(), written.segments)[-1]
    flip(written.segments / name, 200)
    for path in written.log.glob("*.log"):
        path.unlink()
    code, rows = doctor("--repair")

    assert 1 == code
    assert (written.segments / name).is_file()
    assert any(name in row["detail"] and row["state"] == "fault" for row in rows)


@pytest.mark.slow
def test_a_damaged_record_of_the_log_is_named(written: Home, doctor: Doctor) -> None:
    path = next(written.log.glob("*.log"))
    flip(path, len(path.read_bytes()) - 3_000)
    code, rows = doctor("--repair")

    assert 1 == code
    assert any(path.name in row["detail"] for row in rows)
