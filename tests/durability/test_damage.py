"""Files that were torn, flipped, deleted or copied: each ends in a sentence or in a gap.

One home is filled once, with segments and a tail that is only in the log; each test
hurts a copy of it and starts the whole product on the copy.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import product as kit
import pytest
from counting_server import CountingServer
from whole import COUNTER, GOOD, Whole, records_of, wait_until

from penstock.log import RecordKind

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FLUSH_SOON = "[historian]\nflush_age_s = 2\n"


@dataclasses.dataclass(frozen=True)
class Filled:
    """A home after kill -9 of everything: what history answered before, and where it lies."""

    folder: Path
    to_ns: int
    numbers: list[int]
    alarms: int


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    folder, server = tmp_path_factory.mktemp("filled"), CountingServer()
    product = Whole(folder, server, settings=FLUSH_SOON)
    try:
        product.start()
        product.wait_flowing()
        segments = folder / "home" / "data" / "segments"
        wait_until(lambda: len([*segments.glob("*.seg")]) > 1, "two segments are written")
        server.wait_answers(20)
        to_ns = time.time_ns()
        server.wait_answers(60)
        product.wait_flowing()
        numbers = good(product, to_ns)
        alarms = len(product.journal())
        product.kill_tree()
    finally:
        product.end()
        server.close()
    return Filled(folder, to_ns, numbers, alarms)


@pytest.fixture
def copy(
    filled: Filled, tmp_path: Path, server: CountingServer, whole: Callable[..., Whole]
) -> Whole:
    """The filled home beside a device that lives, with its keys; nothing runs in it yet."""
    shutil.copytree(filled.folder / "home", tmp_path / "home")
    shutil.copytree(filled.folder / "user", tmp_path / "user")
    return whole(settings=FLUSH_SOON)


def good(product: Whole, to_ns: int) -> list[int]:
    return [item.value for item in product.history(COUNTER, to_ns) if item.quality == GOOD]


def log_file(product: Whole) -> Path:
    return max((product.home / "data" / "log" / "0").glob("*.log"))


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 4
    path.write_bytes(data)


def start(product: Whole) -> None:
    product.start()
    product.wait_flowing()


def gaps(product: Whole) -> list[dict[str, object]]:
    records = records_of(product.home / "data" / "log" / "0", is_damaged=True)
    return [record.payload for record in records if record.kind == RecordKind.GAP]


def check_calm(product: Whole) -> None:
    """No process died of what it found, and the end is a clean one."""
    rows = product.get("/system")["processes"]
    assert [] == [row for row in rows if row["restarts"]]
    assert "Traceback" not in product.said()
    assert 0 == product.stop()


@pytest.mark.long
def test_an_undamaged_copy_answers_as_before(copy: Whole, filled: Filled) -> None:
    start(copy)
    assert filled.numbers == good(copy, filled.to_ns)
    assert filled.alarms <= len(copy.journal())
    assert [] == gaps(copy)
    check_calm(copy)


@pytest.mark.long
def test_a_torn_tail_is_cut_and_said(copy: Whole, filled: Filled) -> None:
    """Half a record that was never acknowledged is behind the last good one."""
    path = log_file(copy)
    with path.open("ab") as file:
        file.write(path.read_bytes()[-400:-150])
    start(copy)
    assert "log_tail_torn" in copy.said()
    assert [] == gaps(copy)
    assert filled.numbers == good(copy, filled.to_ns)
    check_calm(copy)


@pytest.mark.long
def test_a_tail_that_was_durable_and_is_gone_becomes_a_gap(copy: Whole, filled: Filled) -> None:
    """The watermark is the witness; the history before it stays whole."""
    path = log_file(copy)
    os.truncate(path, path.stat().st_size - 1000)
    start(copy)
    wait_until(lambda: gaps(copy), "the gap is in the log")
    (gap,) = gaps(copy)
    assert "log_damaged" == gap["cause"]
    assert gap["last_sequence"] >= gap["first_sequence"]
    assert filled.numbers == good(copy, filled.to_ns)
    check_calm(copy)


@pytest.mark.long
def test_a_flipped_bit_in_the_log_becomes_a_gap_and_takes_nothing_else(
    copy: Whole, filled: Filled
) -> None:
    """The bytes are kept aside. What segments hold already is not touched by it."""
    path = log_file(copy)
    flip(path, path.stat().st_size - 3000)
    start(copy)
    wait_until(lambda: gaps(copy), "the gap is in the log")
    (gap,) = gaps(copy)
    lost = int(gap["last_sequence"]) - int(gap["first_sequence"]) + 1  # type: ignore[call-overload]
    assert 1 == lost
    assert [*(copy.home / "data" / "log" / "quarantine").iterdir()]
    assert set(filled.numbers) >= set(good(copy, filled.to_ns))
    assert len(filled.numbers) - lost <= len(good(copy, filled.to_ns))
    assert "log_damaged" in copy.said()
    assert copy.get("/system")["log"]["gaps"]
    check_calm(copy)


@pytest.mark.long
@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.97])
def test_a_flipped_bit_in_a_segment_never_answers_wrongly(
    copy: Whole, filled: Filled, place: float
) -> None:
    """Numbers may be missing, and the log says so; a wrong one never comes back."""
    path = min((copy.home / "data" / "segments").glob("*.seg"))
    flip(path, int(path.stat().st_size * place))
    start(copy)
    found = good(copy, filled.to_ns)
    assert set(found) <= set(filled.numbers)
    assert sorted(found) == found
    if found != filled.numbers:
        assert "segment_damaged" in copy.said()
    check_calm(copy)


@pytest.mark.long
def test_a_missing_watermark_costs_nothing(copy: Whole, filled: Filled) -> None:
    (copy.home / "data" / "log" / "0" / "watermark").unlink()
    start(copy)
    assert filled.numbers == good(copy, filled.to_ns)
    assert [] == gaps(copy)
    check_calm(copy)


@pytest.mark.long
def test_a_cut_database_log_is_projected_again(copy: Whole, filled: Filled) -> None:
    """SQLite forgets its last transactions; alarms and positions come again from the log."""
    wal = copy.home / "data" / "state.db-wal"
    assert wal.stat().st_size
    os.truncate(wal, wal.stat().st_size // 2)
    start(copy)
    assert filled.numbers == good(copy, filled.to_ns)
    wait_until(lambda: len(copy.journal()) >= filled.alarms, "the alarms are projected again")
    journal = copy.journal()
    assert len(journal) == len({event["id"] for event in journal})
    check_calm(copy)


@pytest.mark.long
def test_a_damaged_manifest_loses_nothing_while_the_log_has_its_rows(
    copy: Whole, filled: Filled
) -> None:
    """The manifest before it counts, and the log is replayed from there."""
    path = max((copy.home / "data" / "segments").glob("manifest-*"))
    flip(path, path.stat().st_size // 2)
    start(copy)
    assert filled.numbers == good(copy, filled.to_ns)
    check_calm(copy)


@pytest.mark.long
def test_a_second_start_on_the_folder_says_who_has_it(copy: Whole, filled: Filled) -> None:
    start(copy)
    done = up_once(copy)
    assert 1 == done.returncode
    assert "is in use by process" in done.stderr
    assert "Traceback" not in done.stderr
    assert filled.numbers == good(copy, filled.to_ns)
    check_calm(copy)


def up_once(product: Whole) -> subprocess.CompletedProcess[str]:
    """`penstock up` that is expected to end by itself."""
    command = [*kit.PENSTOCK, "up", "--home", str(product.home), "--http", "127.0.0.1:0"]
    return subprocess.run(
        [*command, "--https", "127.0.0.1:0"],
        env=product.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
