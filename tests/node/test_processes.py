"""The process table and the channel between supervisor and child."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scripted import wait_for

from penstock.node.control import ENVIRONMENT, Control, Message
from penstock.node.processes import (
    RESTART_S_MAX,
    RESTART_S_MIN,
    STEADY_S,
    process_table,
    restart_after_s,
)


def test_a_child_that_dies_at_once_is_started_more_and_more_slowly() -> None:
    pause_s, found = RESTART_S_MIN / 2, []
    for _ in range(9):
        pause_s = restart_after_s(0.1, pause_s)
        found.append(pause_s)

    assert [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, RESTART_S_MAX, RESTART_S_MAX] == pytest.approx(
        found
    )


def test_a_child_that_has_lived_is_started_at_once() -> None:
    assert RESTART_S_MIN == restart_after_s(STEADY_S, RESTART_S_MAX)


def test_the_table_names_each_process_once() -> None:
    table = process_table(Path("/srv/plant"), "node-id", 15020)

    assert ["core", "field", "compute", "simulator"] == [spec.name for spec in table]
    assert [False, True, True, False] == [spec.links_to_core for spec in table]
    assert [0, 0, 10, 0] == [spec.nice for spec in table], "heavy work gives way"
    assert ("--parent", str(os.getpid())) == table[3].arguments[-2:]
    assert ["core", "field", "compute"] == [
        spec.name for spec in process_table(Path("/srv/plant"), "node-id", None)
    ]


class End:
    """One end of a control channel and what it has heard."""

    def __init__(self, sock: socket.socket) -> None:
        self.heard: list[tuple[Message, list[int]]] = []
        self.is_closed = False
        self.control = Control(sock, lambda m, fds: self.heard.append((m, fds)), self._close)

    def _close(self) -> None:
        self.is_closed = True


@pytest.fixture
async def ends() -> AsyncIterator[tuple[End, End]]:
    one, two = map(End, socket.socketpair())
    yield one, two
    one.control.close()
    two.control.close()


async def test_messages_come_whole_and_in_order(ends: tuple[End, End]) -> None:
    one, two = ends
    messages: list[Message] = [{"op": str(n), "text": "ä\n" * n} for n in range(100)]
    for message in messages:
        one.control.send(message)
        await asyncio.sleep(0)
    await wait_for(lambda: len(two.heard) == 100)

    assert messages == [message for message, _ in two.heard]


async def test_a_channel_that_is_full_loses_whole_messages(ends: tuple[End, End]) -> None:
    """The other end is stopped; what comes after the flood is understood again."""
    one, two = ends
    for number in range(5000):
        one.control.send({"op": "processes", "n": number, "rows": ["x"] * 100})
    await wait_for(lambda: bool(two.heard))
    await asyncio.sleep(0.01)
    one.control.send({"op": "stop"})
    await wait_for(lambda: two.heard[-1][0] == {"op": "stop"})

    numbers = [message["n"] for message, _ in two.heard[:-1]]
    assert list(range(len(numbers))) == numbers
    assert 5000 > len(numbers)


async def test_a_socket_goes_with_its_own_message(ends: tuple[End, End]) -> None:
    one, two = ends
    mine, theirs = socket.socketpair()
    other, second = socket.socketpair()
    one.control.send({"op": "before"})
    one.control.send({"op": "link", "fds": 1}, (theirs.fileno(),))
    one.control.send({"op": "between"})
    one.control.send({"op": "link", "fds": 1}, (second.fileno(),))
    await wait_for(lambda: len(two.heard) == 4)

    assert [0, 1, 0, 1] == [len(fds) for _, fds in two.heard]
    for at, far in ((1, mine), (3, other)):
        with socket.socket(fileno=two.heard[at][1][0]) as got:
            got.send(b"hello")
            assert b"hello" == far.recv(9)
    for sock in (mine, theirs, other, second):
        sock.close()


async def test_an_end_that_dies_is_noticed_and_sending_to_it_is_harmless(
    ends: tuple[End, End],
) -> None:
    one, two = ends
    two.control.close()
    await wait_for(lambda: one.is_closed)

    one.control.send({"op": "stop"})
    assert not two.is_closed


async def test_a_process_run_by_hand_has_no_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)

    assert None is Control.inherited(lambda _m, _f: None, lambda: None)
    await asyncio.sleep(0)
