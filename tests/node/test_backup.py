"""Backup and restore of a home: one moment, every byte checked, nothing half."""

from __future__ import annotations

import asyncio
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from penstock.codec.layout import Damaged
from penstock.historian import Historian, HistorianSettings
from penstock.historian.query import raw
from penstock.log import Log, LogRecord, LogSettings, LogTail
from penstock.model import Batch, Origin, Refused
from penstock.model.time import TIME_NS_MAX
from penstock.node.backup.document import NAME, decode
from penstock.node.backup.make import Made, Order, make_backup
from penstock.node.backup.restore import (
    INCARNATION_STEP,
    BackupDamaged,
    restore,
    verify_in_place,
)
from penstock.node.backup.sealed_keys import open_keys_file, seal_keys
from penstock.node.backup.sources import open_source
from penstock.node.backup.stage import Stage, clear_stages
from penstock.node.home import Home, lock
from penstock.node.prepare import migrate_if_needed
from penstock.security.keys import key_folder, open_keys
from penstock.testing import frame
from penstock.world import SystemClock, SystemDisk

S = 1_000_000_000
HANDLE = 7
SENDER = Origin(UUID(int=7), 0, 1)
LOG = LogSettings(ballast_bytes=0, file_bytes_max=16_384, compress=False)


def nothing(done: int, total: int) -> None:
    """No progress is wanted."""


def batch(number: int) -> Batch:
    times = [number * 1_000 * S + n * S for n in range(200)]
    return Batch(SENDER, number, (frame(HANDLE, times, [n * 0.1 + number for n in range(200)]),))


async def write_home(home: Home, first: int = 1, last: int = 5) -> int:
    """Batches in the log, all but the last of them in segments; the newest sequence."""
    disk, origin = SystemDisk(), Origin(UUID(int=1), 0, SystemClock().now_ns())
    log = await Log.open(home.log, disk=disk, clock=SystemClock(), origin=origin, settings=LOG)
    log.declare_reader("nobody", blocks=True)
    historian = Historian.open(disk, home.segments, HistorianSettings())
    historian.resume(historian.position[1])
    for number in range(first, last + 1):
        sequence = await log.append_batch(batch(number))
        if number < last:
            historian.append(batch(number), sequence, TIME_NS_MAX)
            historian.seal(log.incarnation)
            historian.adopt(historian.write())
    durable = log.durable
    await log.close()
    return durable


@pytest.fixture
def home(tmp_path: Path, home: Path) -> Home:  # HOME of the test is made by tests/conftest.py
    """A node that is off: history, log, database, plant, keys."""
    made = Home(tmp_path / "node")
    (made.root / "plant").mkdir(parents=True, mode=0o700)
    (made.root / "plant" / "points.csv").write_text("asset,name\n")
    (made.root / "penstock.toml").write_text('[plant]\nname = "Test"\n')
    open_keys(key_folder(made.key_name()))
    asyncio.run(write_home(made))
    migrate_if_needed(made)
    return made


def back_up(home: Home, to: Path, **options: object) -> Made:
    order = Order(to, **options)  # type: ignore[arg-type]
    return make_backup(home, SystemDisk(), order, nothing, is_running=False)


def restored(place: Path, to: Path, **options: object) -> Home:
    made = Home(to)
    options = {"is_replacing": False, **options}
    with open_source(place) as source:
        restore(source, made, SystemDisk(), nothing, **options)  # type: ignore[arg-type]
    return made


def check(place: Path) -> None:
    with open_source(place) as source:
        verify_in_place(source, place, SystemDisk(), nothing)


def log_of(home: Home) -> list[LogRecord]:
    tail = LogTail(home.log)
    try:
        return [r for r in tail.read(0, 10_000) if isinstance(r.payload, Batch)]
    finally:
        tail.close()


def numbers(home: Home) -> list[int]:
    return [r.payload.sequence for r in log_of(home) if isinstance(r.payload, Batch)]


def samples(home: Home) -> list[float]:
    """What the segments hold."""
    historian = Historian.open(SystemDisk(), home.segments, HistorianSettings())
    historian.resume(historian.position[1])
    rows, _ = raw(historian.pin([HANDLE]), HANDLE, 0, 10**18, 10_000)
    assert isinstance(rows.value, np.ndarray)
    return [float(value) for value in rows.value.tolist()]


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_what_was_backed_up_is_restored_bit_by_bit(home: Home, tmp_path: Path, name: str) -> None:
    made = back_up(home, tmp_path / name)
    restored(tmp_path / name, tmp_path / "other")

    for path in ("penstock.toml", "plant/points.csv", "data/FORMAT"):
        assert (home.root / path).read_bytes() == (tmp_path / "other" / path).read_bytes()
    for file in sorted(home.segments.glob("*.seg")):
        assert file.read_bytes() == (tmp_path / "other/data/segments" / file.name).read_bytes()
    assert [5] == numbers(Home(tmp_path / "other"))[-1:]
    assert samples(home) == samples(Home(tmp_path / "other"))
    assert 800 == len(samples(home)) == made.document.rows
    assert log_of(home)[-1].sequence == made.document.sequence


def test_the_log_of_a_backup_begins_where_the_history_ends(home: Home, tmp_path: Path) -> None:
    made = back_up(home, tmp_path / "backup")

    kept = {path.name for path in (tmp_path / "backup/home/data/log/0").glob("*.log")}
    all_files = sorted(path.name for path in home.log.glob("*.log"))
    assert len(all_files) >= 2
    assert all_files[-1] in kept
    assert made.document.history_sequence < made.document.sequence
    assert made.document.first_sequence <= made.document.history_sequence + 1


def test_a_restored_node_has_an_incarnation_that_it_never_had(home: Home, tmp_path: Path) -> None:
    """The original went on after the backup, under sequences that the copy gives again."""
    made = back_up(home, tmp_path / "backup")
    asyncio.run(write_home(home, 6, 8))
    copy = restored(tmp_path / "backup", tmp_path / "other")

    async def go_on() -> tuple[int, int]:
        disk, clock = SystemDisk(), SystemClock()
        origin = Origin(UUID(int=1), 0, clock.now_ns())
        log = await Log.open(copy.log, disk=disk, clock=clock, origin=origin, settings=LOG)
        found = log.incarnation, await log.append_batch(batch(6))
        await log.close()
        return found

    incarnation, sequence = asyncio.run(go_on())
    assert incarnation > made.document.incarnation + INCARNATION_STEP
    assert made.document.sequence < sequence
    assert 6 == numbers(copy)[-1]


def test_what_senders_gave_after_the_backup_is_taken_again(home: Home, tmp_path: Path) -> None:
    """De-duplication goes by what the copy has, not by what the original had."""
    back_up(home, tmp_path / "backup")
    asyncio.run(write_home(home, 6, 8))
    copy = restored(tmp_path / "backup", tmp_path / "other")

    async def send_again() -> dict[str, int]:
        disk, clock = SystemDisk(), SystemClock()
        origin = Origin(UUID(int=1), 0, clock.now_ns())
        log = await Log.open(copy.log, disk=disk, clock=clock, origin=origin, settings=LOG)
        for number in range(1, 9):
            await log.append_batch(batch(number))
        found = log.statistics()
        await log.close()
        return found

    assert 5 == asyncio.run(send_again())["duplicates"]
    assert [6, 7, 8] == numbers(copy)[-3:]


# --- nothing half, nothing damaged


@pytest.mark.parametrize(
    "part", ["data/segments", "data/log/0", "data/state.db", "plant/points.csv", "data/FORMAT"]
)
@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_a_flipped_bit_is_named_and_refused(
    home: Home, tmp_path: Path, name: str, part: str
) -> None:
    back_up(home, tmp_path / "backup")
    place = tmp_path / "backup" / "home" / part
    files = [place] if place.is_file() else sorted(place.glob("*.[sl][eo]g"))
    data = bytearray(files[-1].read_bytes())
    data[len(data) // 2] ^= 4
    files[-1].write_bytes(data)
    if name.endswith(".tar"):
        with tarfile.open(tmp_path / name, "w") as tar:
            for path in sorted(p for p in (tmp_path / "backup").rglob("*") if p.is_file()):
                tar.add(path, path.relative_to(tmp_path / "backup").as_posix())

    with pytest.raises(BackupDamaged) as found:
        restored(tmp_path / name, tmp_path / "other")

    assert [files[-1].relative_to(tmp_path / "backup").as_posix()] == [
        place.partition(" ")[0] for place in found.value.places
    ]
    assert not (tmp_path / "other").exists()
    assert [] == list(tmp_path.glob("other*"))


def test_a_missing_file_is_named(home: Home, tmp_path: Path) -> None:
    back_up(home, tmp_path / "backup")
    (tmp_path / "backup/home/plant/points.csv").unlink()

    with pytest.raises(BackupDamaged) as found:
        check(tmp_path / "backup")
    assert ["home/plant/points.csv is missing"] == found.value.places


def test_damage_that_the_backup_has_copied_is_found_by_the_format(
    home: Home, tmp_path: Path
) -> None:
    """The checksum of the file fits, that of the chunk does not."""
    segment = min(home.segments.glob("*.seg"))
    data = bytearray(segment.read_bytes())
    data[100] ^= 1
    segment.write_bytes(data)
    back_up(home, tmp_path / "backup")

    with pytest.raises(BackupDamaged) as found:
        check(tmp_path / "backup")
    assert segment.name in found.value.places[0]


def test_a_changed_document_is_no_backup(home: Home, tmp_path: Path) -> None:
    back_up(home, tmp_path / "backup")
    place = tmp_path / "backup" / NAME
    document = json.loads(place.read_text())
    document["log"]["sequence"] = "1"
    place.write_text(json.dumps(document))

    with pytest.raises(Damaged, match="digest"):
        check(tmp_path / "backup")


def test_a_path_that_leaves_the_backup_is_no_backup() -> None:
    with pytest.raises(Damaged):
        decode(b'{"what": "penstock backup", "format": 1, "digest": ""}')


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_a_full_disk_leaves_nothing(
    home: Home, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "to").mkdir()
    full = shutil.disk_usage(tmp_path)._replace(free=1_000)
    monkeypatch.setattr("penstock.node.backup.targets.shutil.disk_usage", lambda _: full)

    with pytest.raises(OSError, match="free space"):
        back_up(home, tmp_path / "to" / name)
    assert [] == list((tmp_path / "to").iterdir())
    assert [] == list(home.data.glob("backup-*"))


def test_a_place_that_is_taken_is_left_alone(home: Home, tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()

    with pytest.raises(FileExistsError):
        back_up(home, tmp_path / "backup")
    assert [] == list((tmp_path / "backup").iterdir())


def test_a_backup_that_was_killed_is_none_and_gives_its_place_to_the_next(
    home: Home, tmp_path: Path
) -> None:
    part = tmp_path / "backup.part"
    (part / "home").mkdir(parents=True)
    (part / "home" / "penstock.toml").write_text("half")
    with pytest.raises(Damaged, match=r"no BACKUP\.json"):
        check(part)

    back_up(home, tmp_path / "backup")

    check(tmp_path / "backup")
    assert not part.exists()


def test_a_deletion_meanwhile_begins_the_backup_anew(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the list of deletions would say that data is hidden which the manifest shows."""
    said = iter([b"before", b"after", b"after", b"after"])
    monkeypatch.setattr("penstock.node.backup.collect._Attempt._deletions", lambda _: next(said))

    back_up(home, tmp_path / "backup")

    check(tmp_path / "backup")
    assert [] == list(said)


def test_links_of_a_killed_backup_are_removed_and_those_of_a_living_one_stay(home: Home) -> None:
    dead = home.data / "backup-dead"
    dead.mkdir()
    (dead / "x.seg").write_bytes(b"x")
    with Stage(home.data) as stage:
        clear_stages(home.data)

        assert not dead.exists()
        assert stage.folder.is_dir()
    assert not stage.folder.exists()


# --- further backups


def test_the_next_backup_shares_what_never_changes(home: Home, tmp_path: Path) -> None:
    back_up(home, tmp_path / "monday")
    asyncio.run(write_home(home, 6, 8))

    made = back_up(home, tmp_path / "tuesday", base=tmp_path / "monday")

    segment = min(home.segments.glob("*.seg")).name
    first, second = (
        tmp_path / day / "home/data/segments" / segment for day in ("monday", "tuesday")
    )
    assert first.stat().st_ino == second.stat().st_ino
    assert made.shared_bytes > 0
    assert "monday" == made.document.base
    shutil.rmtree(tmp_path / "monday")
    restored(tmp_path / "tuesday", tmp_path / "other")
    assert 8 == numbers(Home(tmp_path / "other"))[-1]


def test_a_file_of_the_same_name_with_another_content_is_copied(home: Home, tmp_path: Path) -> None:
    back_up(home, tmp_path / "monday")
    segment = min(home.segments.glob("*.seg")).name
    place = tmp_path / "monday/home/data/segments" / segment
    place.write_bytes(place.read_bytes()[:-8] + b"another!")

    back_up(home, tmp_path / "tuesday", base=tmp_path / "monday")

    copied = (tmp_path / "tuesday/home/data/segments" / segment).read_bytes()
    assert (home.segments / segment).read_bytes() == copied


# --- what is there already, and the keys


def test_a_home_that_is_not_empty_is_left_alone(home: Home, tmp_path: Path) -> None:
    back_up(home, tmp_path / "backup")
    before = sorted(path.name for path in home.data.rglob("*"))

    with pytest.raises(Refused, match="not empty"):
        restored(tmp_path / "backup", home.root)
    assert before == sorted(path.name for path in home.data.rglob("*"))


def test_replacing_moves_the_old_home_aside(home: Home, tmp_path: Path) -> None:
    back_up(home, tmp_path / "backup")
    (home.root / "plant" / "points.csv").write_text("spoilt")

    with open_source(tmp_path / "backup") as source:
        done = restore(source, home, SystemDisk(), nothing, is_replacing=True)

    assert done.moved_aside is not None
    assert "spoilt" == (done.moved_aside / "plant" / "points.csv").read_text()
    assert "asset,name\n" == (home.root / "plant" / "points.csv").read_text()


def test_a_home_that_runs_is_not_replaced(home: Home, tmp_path: Path) -> None:
    back_up(home, tmp_path / "backup")
    held = lock(home)
    assert held is not None

    with pytest.raises(Refused, match="runs there"):
        restored(tmp_path / "backup", home.root, is_replacing=True)


def test_sealed_keys_come_back_on_another_machine(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = key_folder(home.key_name())
    sealed = seal_keys(folder, "four words of mine")
    back_up(home, tmp_path / "backup.tar", sealed=sealed)
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)

    restored(tmp_path / "backup.tar", tmp_path / "other", passphrase="four words of mine")

    assert key_folder(home.key_name()) != folder
    assert open_keys(folder).seal == open_keys(key_folder(home.key_name())).seal
    assert b"PRIVATE" not in (tmp_path / "backup.tar").read_bytes()


def test_another_passphrase_opens_nothing(home: Home) -> None:
    sealed = seal_keys(key_folder(home.key_name()), "four words of mine")

    with pytest.raises(Refused):
        open_keys_file(sealed, "four words of yours")


@pytest.mark.parametrize("field", ["salt", "nonce", "sealed", "keys", "passes"])
def test_a_changed_byte_of_sealed_keys_is_refused(home: Home, field: str) -> None:
    document = json.loads(seal_keys(key_folder(home.key_name()), "four words of mine"))
    change: Callable[[str], str] = lambda text: ("b" if text[0] == "a" else "a") + text[1:]  # noqa: E731
    document[field] = document[field] + 1 if field == "passes" else change(document[field])

    with pytest.raises((Refused, Damaged)):
        open_keys_file(json.dumps(document).encode(), "four words of mine")
