"""SIGTERM under load, and processes that hang (SIGSTOP) instead of dying."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from counting_server import CountingServer
from whole import COUNTER, GOOD, Stored, Whole, Witness, read_log, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

STOP_S_MAX = 10.0
REPLAY_ROWS_MAX = 5_000


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """SIGSTOP, and SIGCONT whatever happens."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def numbers_of(samples: list[Stored]) -> list[int]:
    return [item.value for item in samples if item.quality == GOOD]


def check_whole(server: CountingServer, numbers: list[int], to_ns: int) -> None:
    """Every answer from the first number on, once, in order."""
    sent = [n for n, sent_ns in server.sent if sent_ns < to_ns and n >= numbers[0]]
    assert sent == numbers[: len(sent)]
    assert sorted(set(numbers)) == numbers


def test_sigterm_under_load_ends_in_time_and_loses_nothing(
    whole: Callable[..., Whole], server: CountingServer
) -> None:
    product = whole()
    witness = Witness(product.home)
    product.start()
    product.wait_flowing()
    server.wait_answers(150)
    witness.note()
    begin = time.monotonic()
    code = product.stop()
    took_s = time.monotonic() - begin
    answered = server.count

    assert (0, True) == (code, took_s < STOP_S_MAX), took_s
    assert [] == witness.lost()
    stored = numbers_of(read_log(product.home, time.time_ns()).samples[COUNTER])
    # The last answer may have met a line that was already closed.
    assert stored[-1] >= answered - 1
    assert list(range(stored[0], stored[-1] + 1)) == stored

    product.start()
    head_rows = product.get("/system")["flow"]["head_rows"]
    assert head_rows < REPLAY_ROWS_MAX
    assert stored == numbers_of(product.history(COUNTER, time.time_ns()))[: len(stored)]
    assert 0 == product.stop()


@pytest.mark.long
def test_a_core_that_hangs_for_a_while_misses_nothing(
    whole: Callable[..., Whole], server: CountingServer
) -> None:
    """Field goes on polling and keeps what is not acknowledged; nobody is restarted."""
    product = whole()
    product.start()
    product.wait_flowing()
    core, field = product.pid("core"), product.pid("field")
    begin = server.count
    with stopped(core):
        time.sleep(20.0)  # longer than any watch of one process over another
        assert server.count > begin + 100

    product.wait_flowing()
    to_ns = time.time_ns()
    server.wait_answers(25)
    product.wait_flowing()
    assert (core, field) == (product.pid("core"), product.pid("field"))
    samples = product.history(COUNTER, to_ns)
    check_whole(server, numbers_of(samples), to_ns - 200_000_000)
    assert [] == [item for item in samples if item.quality != GOOD]
    assert 0 == product.stop()


@pytest.mark.long
def test_a_field_that_hangs_turns_its_points_bad_and_comes_back(
    whole: Callable[..., Whole], server: CountingServer
) -> None:
    """Silence is not good news: a value that nobody refreshes must not look measured."""
    product = whole()
    product.start()
    product.wait_flowing()
    field = product.pid("field")
    with stopped(field):
        wait_until(lambda: product.last(COUNTER)["quality"] < 64, "the points turn bad", 20)
        wait_until(lambda: connected(product) == 0, "the device counts as lost", 5)
        assert "process_stopped" in product.notices()
        assert not product.get("/system")["ok"]

    product.wait_flowing()
    assert field == product.pid("field")
    wait_until(lambda: connected(product) == 1, "the device counts as connected again")
    wait_until(lambda: product.get("/system")["ok"], "the System page is content")
    samples = product.history(COUNTER, time.time_ns())
    assert 1 == sum(item.quality != GOOD for item in samples)
    numbers = numbers_of(samples)
    assert list(range(numbers[0], numbers[-1] + 1)) == numbers
    assert 0 == product.stop()


def connected(product: Whole) -> int:
    """The device's system point."""
    points = product.get("/points?limit=500")["points"]
    (id_,) = [row["id"] for row in points if row["path"].endswith("/connected")]
    (row,) = product.get(f"/points/last?ids={id_}")["values"]
    return int(row["value"])
