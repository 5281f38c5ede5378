"""The disk is full, and the power is cut: a whole product on a file system of its own."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from counting_server import CountingServer
from volume import Ext4, fill, need_root, small_disk
from whole import COUNTER, GOOD, WAVE, Whole, Witness, read_log, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SMALL = "[log]\nballast_bytes = 4194304\nfile_bytes_max = 4194304\n"


def check_no_hole(server: CountingServer, numbers: list[int], to_ns: int) -> None:
    """Every answer of the device, once, in order."""
    sent = [number for number, sent_ns in server.sent if sent_ns < to_ns - 200_000_000]
    expected = [number for number in sent if number >= numbers[0]]
    assert expected == numbers[: len(expected)]
    assert sorted(set(numbers)) == numbers


def good_numbers(whole: Whole, path: str, to_ns: int) -> list[int]:
    return [item.value for item in whole.history(path, to_ns) if item.quality == GOOD]


def raised_before(whole: Whole, to_ns: int) -> int:
    raised = [item for item in whole.journal() if item["type"] == "alarm.raised"]
    return sum(int(item["time_ns"]) < to_ns for item in raised)


def test_a_full_disk_refuses_new_data_keeps_what_it_has_and_goes_on_by_itself(
    whole: Callable[..., Whole], server: CountingServer, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "home" / "data", 48) as data, contextlib.ExitStack() as stack:
        product = whole(settings=SMALL)
        stack.callback(product.end)
        witness = Witness(product.home)
        product.start()
        product.wait_flowing()
        server.wait_answers(60)
        core, field = product.pid("core"), product.pid("field")

        filler = fill(data)
        wait_until(lambda: "log_full" in product.notices(), "the System page says log_full")
        before, full_ns = product.last_number(), time.time_ns()
        fill(data)  # also what the ballast has released
        server.wait_answers(150)

        assert good_numbers(product, COUNTER, full_ns)
        assert product.journal()
        assert before + 100 > product.last_number()
        witness.note()

        filler.unlink()
        wait_until(lambda: product.last_number() > before + 150, "writes resume")
        wait_until(lambda: "log_full" not in product.notices(), "the state is left")
        assert (core, field) == (product.pid("core"), product.pid("field"))
        server.wait_answers(50)
        to_ns = time.time_ns()
        server.wait_answers(30)
        product.wait_flowing()
        numbers = good_numbers(product, COUNTER, to_ns)
        check_no_hole(server, numbers, to_ns)
        assert [] == witness.lost()
        wave = [item.value for item in product.history(WAVE, to_ns) if item.quality == GOOD]
        rising = sum(a < 50 < b for a, b in zip([0, *wave], wave, strict=False))
        wait_until(lambda: rising == raised_before(product, to_ns), "the alarms have caught up")
        assert 0 == product.stop()


@pytest.mark.long
def test_a_core_that_dies_on_a_full_disk_comes_back_to_be_read(
    whole: Callable[..., Whole], server: CountingServer, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "home" / "data", 48) as data, contextlib.ExitStack() as stack:
        product = whole(settings=SMALL)
        stack.callback(product.end)
        product.start()
        product.wait_flowing()
        server.wait_answers(60)
        filler = fill(data)
        wait_until(lambda: "log_full" in product.notices(), "the System page says log_full")
        fill(data)
        full_ns = time.time_ns()
        numbers = good_numbers(product, COUNTER, full_ns)
        dead = product.pid("core")
        product.kill("core")
        wait_until(lambda: product.pid("core") != dead, "core runs again")
        wait_until(lambda: "log_full" in product.notices(), "the new core says log_full")
        back = product.pid("core")
        assert numbers == good_numbers(product, COUNTER, full_ns)
        server.wait_answers(100)
        assert back == product.pid("core")

        filler.unlink()
        product.wait_flowing()
        to_ns = time.time_ns()
        server.wait_answers(30)
        product.wait_flowing()
        check_no_hole(server, good_numbers(product, COUNTER, to_ns), to_ns)
        assert 0 == product.stop()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_power_cut_loses_nothing_that_was_acknowledged(
    whole: Callable[..., Whole], server: CountingServer, tmp_path: Path
) -> None:
    """Field loses its memory too; what the watermark had called durable must all be there."""
    need_root()
    disk = Ext4(tmp_path, 256)
    product = whole(disk.place)
    os.sync()  # the plant that a person wrote a while ago
    witness = Witness(product.home)
    try:
        for cut in range(5):
            product.start()
            product.wait_flowing()
            server.wait_answers(50 + 37 * cut)
            noted = witness.note()
            disk.cut_power()
            product.kill_tree()
            disk.unmount()
            disk.mount()
            assert noted > 40
        product.start()
        product.wait_flowing()
        to_ns = time.time_ns()
        server.wait_answers(20)
        product.wait_flowing()
        numbers = good_numbers(product, COUNTER, to_ns)
        assert sorted(set(numbers)) == numbers
        assert set(numbers) <= {number for number, _ in server.sent}
        assert 0 == product.stop()
        assert [] == witness.lost()
        stored = read_log(product.home, to_ns).samples[COUNTER]
        assert numbers == [item.value for item in stored if item.quality == GOOD]
    finally:
        product.end()
        disk.unmount()
