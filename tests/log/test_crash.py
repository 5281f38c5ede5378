"""The real disk: kill -9, a disk that holds its sync back, and the order of system calls."""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from partition import SMALL, OpenLog, batch, batches, everything
from slow_disk import HeldDisk

from penstock.log import Log, LogTail, RecordKind
from penstock.world import SystemDisk

PROGRAM = Path(__file__).with_name("writer_process.py")
SOURCES = f"{Path(__file__).parents[2] / 'src'}{os.pathsep}{Path(__file__).parent}"
Acknowledged = dict[tuple[int, int], int]


def start(folder: Path, acknowledged: Acknowledged, *more: str) -> subprocess.Popen[bytes]:
    """The writer, from the first batch of each sender that was not acknowledged."""
    firsts = [
        1 + max((number for slot, number in acknowledged if slot == wanted), default=0)
        for wanted in (1, 2)
    ]
    command = [sys.executable, str(PROGRAM), str(folder), *map(str, firsts), *more]
    environment = os.environ | {"PYTHONPATH": SOURCES}
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)


def kill_after(process: subprocess.Popen[bytes], lines: int) -> Iterator[tuple[int, int, int]]:
    """Acknowledgements of the process, which is killed in the middle of them."""
    assert process.stdout is not None
    with process:
        for count, line in enumerate(process.stdout):
            if count == lines:
                process.kill()
            if line.endswith(b"\n"):
                slot, number, sequence = map(int, line.split())
                yield slot, number, sequence


async def rounds(folder: Path, open_log: OpenLog, count: int) -> int:
    """Kill and reopen `count` times; the number of acknowledged batches."""
    chance = random.Random(count)
    acknowledged: Acknowledged = {}
    for _ in range(count):
        process = start(folder, acknowledged, str(chance.choice((1, 7, 50))))
        tail = LogTail(folder)
        for slot, number, sequence in kill_after(process, chance.randint(1, 400)):
            assert (slot, number) not in acknowledged
            acknowledged[slot, number] = sequence
            assert sequence <= tail.durable
        tail.close()
        log = await open_log(folder, SystemDisk())
        check(log, acknowledged)
        await log.close()
    return len(acknowledged)


def check(log: Log, acknowledged: Acknowledged) -> None:
    records = everything(log)
    found = [(item.origin.slot, item.sequence) for item in batches(log)]
    assert len(found) == len(set(found))
    assert set(acknowledged) <= set(found)
    assert not [item for item in records if item.kind == RecordKind.GAP]
    assert list(range(1, log.durable + 1)) == [item.sequence for item in records]
    for slot in (1, 2):
        numbers = [number for where, number in found if where == slot]
        assert sorted(numbers) == numbers == list(range(1, len(numbers) + 1))


@pytest.mark.slow
async def test_five_kills_lose_nothing_and_double_nothing(
    tmp_path: Path, open_log: OpenLog
) -> None:
    assert 100 < await rounds(tmp_path / "log" / "0", open_log, 5)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_forty_kills_lose_nothing_and_double_nothing(
    tmp_path: Path, open_log: OpenLog
) -> None:
    assert 2_000 < await rounds(tmp_path / "log" / "0", open_log, 40)


async def test_a_slow_disk_delays_every_acknowledgement(tmp_path: Path, open_log: OpenLog) -> None:
    disk, folder = HeldDisk(), tmp_path / "log" / "0"
    log = await open_log(folder, disk, SMALL)
    tail, before = LogTail(folder), log.durable
    disk.released.clear()
    futures = [log.append_batch_nowait(batch(number)) for number in range(1, 100)]

    done, _ = await asyncio.wait(futures, timeout=0.1)
    assert not done
    assert before == log.durable == tail.durable

    disk.released.set()
    await asyncio.gather(*futures)
    assert log.durable == tail.durable == before + 99
    tail.close()


CALL = re.compile(r"^(\d+)\s+(writev|fdatasync|write)\((\d+)(.*)$")
RESUMED = re.compile(r"^(\d+)\s+<\.\.\. (fdatasync) resumed>.*= 0")


def order_of(lines: Sequence[str]) -> list[str]:
    """ "append", "synced" and "acknowledged" in the order of the trace."""
    found: list[str] = []
    for line in lines:
        call, resumed = CALL.match(line), RESUMED.match(line)
        if resumed or (call and call[2] == "fdatasync" and line.rstrip().endswith("= 0")):
            found.append("synced")
        elif call and call[2] == "writev" and "PREC" in line:
            found.append("append")
        elif call and call[2] == "write" and call[3] == "1":
            found.append("acknowledged")
    return found


@pytest.mark.long
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_each_acknowledgement_follows_the_sync_that_covers_it(tmp_path: Path) -> None:
    """With a window of one batch, each line must lie behind an append and its sync."""
    trace = tmp_path / "trace"
    calls = ["strace", "-f", "-s", "96", "-e", "trace=writev,fdatasync,write", "-o", str(trace)]
    command = [sys.executable, str(PROGRAM), str(tmp_path / "log" / "0"), "1", "1", "1", "50"]
    environment = os.environ | {"PYTHONPATH": SOURCES}
    subprocess.run([*calls, *command], check=True, stdout=subprocess.DEVNULL, env=environment)

    order = order_of(trace.read_text(errors="replace").splitlines())
    assert 100 == order.count("acknowledged")
    covered = 0
    for previous, following in pairwise(order):
        if following == "acknowledged":
            assert "synced" == previous
            covered += 1
        if following == "synced" and covered:
            assert "append" == previous
    assert 100 == covered
