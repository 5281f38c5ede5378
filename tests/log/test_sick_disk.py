"""A disk that says no in one way or another: reads go on, and writes resume by themselves."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from partition import SMALL, OpenLog, batch, batches, event

from penstock.log import Log, RecordKind
from penstock.model import Refused
from penstock.testing.disk import FakeDisk
from penstock.world import SystemDisk

CALLS = 400
SETTINGS = SMALL.model_copy(update={"cache_bytes_max": 0})


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS, errno.EDQUOT, errno.ENOSPC])
async def test_while_every_write_fails_reads_go_on_and_then_writes_do(
    open_log: OpenLog, disk: FakeDisk, code: int
) -> None:
    """A bad medium, a remount read-only, a quota, no space: no restart, nothing lost."""
    log = await open_log(settings=SETTINGS)
    await log.append_batch(batch(1))
    for call in range(1, CALLS):
        disk.fail_at(call, OSError(code, os.strerror(code)))
    for number in range(2, 12):
        with pytest.raises(Refused):
            await log.append_batch(batch(number))
        assert [1] == [item.sequence for item in batches(log)]
    with pytest.raises(Refused):
        await log.append_event(event(1))
    assert log.statistics()["write_errors"] > 0

    disk.medium.faults.clear()
    for number in range(2, 12):
        await log.append_batch(batch(number))
    await log.append_event(event(2))
    assert 0 == log.statistics()["is_full"]
    disk.power_cut(code)

    again = await open_log(settings=SETTINGS)
    assert list(range(1, 12)) == [item.sequence for item in batches(again)]
    assert 0 == again.statistics()["gaps"]


@pytest.fixture
def few_inodes(tmp_path: Path) -> Iterator[Path]:
    """A file system with space and hardly any names left."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a file system needs root")
    folder = tmp_path / "few"
    folder.mkdir()
    options = "size=64m,nr_inodes=12,mode=0700"
    command = ["mount", "-t", "tmpfs", "-o", options, "penstock-test", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not possible here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_without_names_for_files_the_log_says_so_and_comes_back(
    few_inodes: Path, open_log: OpenLog
) -> None:
    """The open file goes on until it is full; a new one cannot begin."""
    settings = SETTINGS.model_copy(update={"file_bytes_max": 4096})
    log = await open_log(few_inodes / "log" / "0", SystemDisk(), settings)
    use_up(few_inodes)
    accepted = await fill(log)
    assert 0 < len(accepted) < 400
    assert accepted == [item.sequence for item in batches(log)]

    give_back(few_inodes)
    await log.append_batch(batch(500))
    await log.append_json(RecordKind.FINDING, {"text": "x"})

    assert [*accepted, 500] == [item.sequence for item in batches(log)]


def use_up(folder: Path) -> None:
    """Names until there are no more."""
    with contextlib.suppress(OSError):
        for number in range(100):
            (folder / f"filler-{number}").touch()
    assert not (folder / "filler-99").exists()


def give_back(folder: Path) -> None:
    for path in folder.glob("filler-*"):
        path.unlink()


async def fill(log: Log) -> list[int]:
    """Batches until one is refused."""
    accepted: list[int] = []
    with contextlib.suppress(Refused):
        for number in range(1, 400):
            await log.append_batch(batch(number))
            accepted.append(number)
    return accepted
